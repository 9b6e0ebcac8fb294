"""The upstream of the demo: the API of a shop, kept in memory, with the latencies and failures of such things."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 64 * 1024
ORDERS_MAX = 500

_GOODS = (
    ("Kettle", "kitchen", 3490), ("Reading lamp", "light", 5900), ("Wool blanket", "home", 8900),
    ("Tea tin", "kitchen", 1250), ("Desk clock", "home", 4400), ("Door mat", "home", 2900),
    ("Candle, beeswax", "light", 990), ("Bread knife", "kitchen", 3750), ("Linen towel", "home", 1890),
    ("Lantern", "light", 6200), ("Salt mill", "kitchen", 2790), ("Fruit bowl", "kitchen", 4100),
)  # fmt: skip
PRODUCTS: Mapping[str, Mapping[str, Any]] = {
    str(number): {"id": str(number), "name": name, "category": category, "price_cents": price}
    for number, (name, category, price) in enumerate(_GOODS, 1)
}


@dataclass(frozen=True, slots=True)
class Temper:
    """How a part of the shop behaves: its usual latency, how often it is slow, how often and how it fails."""

    median_ms: float
    slow_share: float = 0.01
    slow_ms: float = 600
    failing_share: float = 0.0
    failure: int = 500


_TEMPERS = {
    "health": Temper(1, slow_share=0),
    "catalogue": Temper(9),
    "search": Temper(45, slow_share=0.03, slow_ms=1200, failing_share=0.004, failure=503),
    "reviews": Temper(14),
    "stock": Temper(18, failing_share=0.01),
    "basket": Temper(11),
    "orders": Temper(35, slow_share=0.02),
    "export": Temper(1400, slow_share=0.2, slow_ms=2600),
    "payments": Temper(160, slow_share=0.04, slow_ms=1900, failing_share=0.03, failure=502),
    "shipping": Temper(90, slow_share=0.03, slow_ms=1500, failing_share=0.015, failure=503),
    "accounts": Temper(22),
}
_SPREAD = 0.35
_REASONS = {500: "the part fell over", 502: "the bank did not answer", 503: "too much to do; try again"}

Told = tuple[int, Any]

_NOTHING: Told = (404, {"error": "nothing is sold here"})


class Shop:
    """What the shop knows. An ASGI application; `chance` decides latencies and failures."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._orders: deque[dict[str, Any]] = deque(maxlen=ORDERS_MAX)
        self._ordered = 1000
        self.served_total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _read(receive)
        parts: list[str] = scope["path"].strip("/").split("/")
        temper = _TEMPERS.get("export" if parts == ["orders", "export"] else parts[0], Temper(5))
        await asyncio.sleep(self._latency_ms(temper) / 1000)
        if body is None:
            status, told = 413, {"error": f"at most {BODY_BYTES_MAX} bytes"}
        elif self._chance.random() < temper.failing_share:
            status, told = temper.failure, {"error": _REASONS[temper.failure]}
        else:
            status, told = self._answer(scope["method"], parts, body)
        self.served_total += 1
        data = b"" if scope["method"] == "HEAD" else json.dumps(told).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _latency_ms(self, temper: Temper) -> float:
        is_slow = self._chance.random() < temper.slow_share
        return (temper.slow_ms if is_slow else temper.median_ms) * self._chance.lognormvariate(0, _SPREAD)

    def _answer(self, method: str, parts: list[str], body: bytes) -> Told:
        if parts == ["health"]:
            return 200, {"status": "ok"}
        if parts[0] in ("catalogue", "search", "stock", "reviews"):
            return self._of_goods("GET" if method == "HEAD" else method, parts, body)
        if parts[0] == "orders":
            return self._of_orders(method, parts[1:], body)
        return self._of_sales(method, parts)

    def _of_goods(self, method: str, parts: list[str], body: bytes) -> Told:
        match method, *parts:
            case "GET", "search", *_:
                found = self._chance.sample(list(PRODUCTS.values()), k=4)
                return 200, {"found": found, "total": len(found)}
            case "GET", "catalogue":
                return 200, {"products": list(PRODUCTS.values())}
            case "GET", "stock":
                return 200, {number: self._chance.randrange(0, 90) for number in PRODUCTS}
            case _, _, number if number not in PRODUCTS:
                return 404, {"error": f"there is no product {number[:20]}"}
            case "GET", "catalogue", number:
                return 200, PRODUCTS[number]
            case "GET", "stock", number:
                return 200, {"product": number, "in_stock": self._chance.randrange(0, 90)}
            case "GET", "reviews", number:
                return 200, {"product": number, "stars": round(self._chance.uniform(3, 5), 1)}
            case "POST", "reviews", number:
                return 201, {"product": number, "text": body.decode(errors="replace")[:200]}
        return _NOTHING

    def _of_sales(self, method: str, parts: list[str]) -> Told:
        match method, *parts:
            case "GET", "basket" | "accounts" as what, *rest:
                return 200, {what: rest[0][:40] if rest else "own", "items": self._chance.randrange(1, 6)}
            case "PUT" | "POST" | "DELETE", "basket", *_:
                return 200, {"items": 0 if method == "DELETE" else self._chance.randrange(1, 6)}
            case "POST", "payments":
                return 201, {"payment": self._chance.randrange(10**8), "state": "authorised"}
            case "GET" | "POST", "payments" | "shipping" as what, *_:
                return 200, {what: self._chance.randrange(10**8), "state": "under way"}
        return _NOTHING

    def _of_orders(self, method: str, rest: list[str], body: bytes) -> Told:
        if method == "POST" and not rest:
            try:
                product = json.loads(body)["product"]
            except (ValueError, TypeError, KeyError):
                return 400, {"error": "an order is a JSON object with a product"}
            if not isinstance(product, str) or product not in PRODUCTS:
                return 422, {"error": "an order names a product of the catalogue"}
            self._ordered += 1
            self._orders.append({"id": str(self._ordered), "product": product})
            return 201, self._orders[-1]
        if method != "GET":
            return 405, {"error": "orders are read and placed"}
        if rest in ([], ["export"]):
            return 200, {"orders": list(self._orders)[-(ORDERS_MAX if rest else 20) :]}
        found = next((order for order in self._orders if order["id"] == rest[0]), None)
        return (200, found) if found else (404, {"error": f"there is no order {rest[0][:20]}"})


async def _read(receive: Receive) -> bytes | None:
    """The body; None where it is too large."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body"):
            return body
