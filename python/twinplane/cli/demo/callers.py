"""Who calls in the demo, how often, and what for. Data, and the day that all of them live by."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinplane.cli.demo.shop import PRODUCTS

RATE_PER_SECOND = 20.0
"""Requests of all callers together, on average over a day."""

DAY_SECONDS = 3600.0
"""A day of the demo is an hour, so that its ups and downs fit into a chart."""

_SWING = 0.45


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request. `target` makes the path of each one; `weight` is its share among those of its caller."""

    weight: float
    target: Callable[[random.Random], str]
    method: str = "GET"
    body: Callable[[random.Random], bytes] = lambda _: b""


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who sends requests, one after the other. `key` is the beginning of the key; "" is none."""

    name: str
    share: float
    calls: Sequence[Call]
    key: str = ""
    is_known: bool = True
    over_tls: bool = False


def busyness(moment: float) -> float:
    """How busy it is: 1 on average over a day, a night of few requests, a day with a second, smaller peak. Pure."""
    turn = 2 * math.pi * (moment % DAY_SECONDS) / DAY_SECONDS
    return 1 - _SWING * (0.8 * math.cos(turn) + 0.2 * math.cos(2 * turn))


def _path(path: str) -> Callable[[random.Random], str]:
    return lambda _: path


def _product(path: str) -> Callable[[random.Random], str]:
    return lambda chance: f"{path}/{chance.choice(list(PRODUCTS))}"


def _number(path: str, low: int, high: int) -> Callable[[random.Random], str]:
    return lambda chance: f"{path}/{chance.randrange(low, high)}"


def _one_of(*paths: str) -> Callable[[random.Random], str]:
    return lambda chance: chance.choice(paths)


def _order(chance: random.Random) -> bytes:
    return json.dumps({"product": chance.choice(list(PRODUCTS))}).encode()


def _payment(chance: random.Random) -> bytes:
    return json.dumps({"amount_cents": chance.randrange(900, 20_000)}).encode()


_SEARCHES = _one_of(*(f"/search?q={word}" for word in ("lamp", "tea", "linen", "kettle", "gift")))
_SUGGESTIONS = _one_of(*(f"/search/suggest?q={word}" for word in ("la", "te", "li", "ke")))

CALLERS: Sequence[Caller] = (
    Caller(
        "web-shop", 5.5, key="web-shop",
        calls=(
            Call(8, _product("/catalogue")), Call(4, _path("/catalogue")), Call(4, _SEARCHES), Call(2, _SUGGESTIONS),
            Call(3, _product("/reviews")), Call(3, _path("/basket")), Call(1, _path("/basket"), "POST"),
            Call(1, _path("/orders"), "POST", _order), Call(1, _path("/payments"), "POST", _payment),
        ),
    ),
    Caller(
        "mobile-app", 5.0, key="mobile-app", over_tls=True,
        calls=(
            Call(6, _product("/products")), Call(3, _SEARCHES), Call(3, _path("/basket")),
            Call(1, _product("/reviews"), "POST", lambda _: b"as described"), Call(2, _path("/orders")),
            Call(1, _path("/orders"), "POST", _order), Call(1, _path("/payments"), "POST", _payment),
            Call(1, _number("/shipping", 1000, 9000)),
        ),
    ),
    # About as much as the group may: at the busy hours some of it is refused.
    Caller("wholesale", 2.0, key="wholesale", calls=(Call(3, _path("/stock")), Call(1, _path("/orders")))),
    Caller("marketplace", 1.0, key="marketplace", calls=(Call(4, _product("/stock")), Call(1, _path("/payments")))),
    Caller("price-watch", 1.3, key="price-watch", calls=(Call(1, _product("/stock")),)),
    Caller(
        "back-office", 1.5, key="back-office",
        calls=(
            Call(3, _number("/accounts", 1, 400)), Call(2, _number("/shipping", 1000, 9000)),
            Call(2, _number("/orders", 990, 1040)), Call(1, _path("/orders"), "POST", lambda _: b"{}"),
        ),
    ),
    Caller("reporting", 0.25, key="reporting", calls=(Call(1, _path("/orders/export")),)),
    # People without a key, and those who are still with what is gone.
    Caller(
        "visitors", 2.0,
        calls=(
            Call(6, _product("/catalogue")), Call(2, _product("/reviews")), Call(1, _number("/catalogue", 90, 99)),
            Call(1, _one_of("/v1/products", "/v1/basket")),
        ),
    ),
    Caller(
        "crawler", 0.75,
        calls=(
            Call(2, _one_of("/robots.txt", "/sitemap.xml", "/.env", "/wp-login.php", "/admin")),
            Call(1, _path("/accounts")),
        ),
    ),
    Caller("forgotten-script", 0.7, key="web-shop-of-last-year", is_known=False, calls=(Call(1, _path("/orders")),)),
)  # fmt: skip
