"""The shop behind the demo answers as its callers expect, fails as often as it should, and comes and goes."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from twinplane.cli.demo import upstreams
from twinplane.cli.demo.callers import CALLERS, DAY_SECONDS, Call, busyness
from twinplane.cli.demo.line import Address, Line, LineError
from twinplane.cli.demo.shop import BODY_BYTES_MAX, Shop
from twinplane.cli.demo.traffic import Traffic

PATIENCE_S = 30.0


class Steady(random.Random):
    """Chance without slowness and failures."""

    def random(self) -> float:
        return 0.999

    def lognormvariate(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return 0.0


async def ask(shop: Shop, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await shop({"method": method, "path": path}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]) if sent[1]["body"] else None


async def eventually(probe: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await probe():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/catalogue", b"", 200),
        ("HEAD", "/catalogue/3", b"", 200),
        ("GET", "/catalogue/99", b"", 404),
        ("GET", "/search/suggest", b"", 200),
        ("POST", "/reviews/3", b"good", 201),
        ("POST", "/orders", b'{"product": "3"}', 201),
        ("POST", "/orders", b"{}", 400),
        ("POST", "/orders", b"[", 400),
        ("POST", "/orders", b'{"product": ["3"]}', 422),
        ("DELETE", "/orders", b"", 405),
        ("GET", "/orders/1", b"", 404),
        ("GET", "/orders/export", b"", 200),
        ("PUT", "/catalogue/3", b"", 404),
        ("POST", "/payments", b"{}", 201),
        ("GET", "/nothing", b"", 404),
        ("POST", "/orders", b"x" * (BODY_BYTES_MAX + 1), 413),
    ],
)
async def test_what_is_asked_is_answered(method: str, path: str, body: bytes, status: int) -> None:
    found, told = await ask(Shop(Steady()), method, path, body)
    assert found == status
    assert (told is None) == (method == "HEAD")


async def test_placed_orders_can_be_read_and_are_bounded() -> None:
    shop = Shop(Steady())
    for _ in range(600):
        _, order = await ask(shop, "POST", "/orders", b'{"product": "3"}')
    assert await ask(shop, "GET", f"/orders/{order['id']}") == (200, order)
    _, exported = await ask(shop, "GET", "/orders/export")
    assert len(exported["orders"]) == 500


async def test_payments_fail_now_and_then() -> None:
    class Hasty(random.Random):
        def lognormvariate(self, mu: float = 0.0, sigma: float = 1.0) -> float:
            return 0.0

    shop = Shop(Hasty(1))
    statuses = Counter([(await ask(shop, "POST", "/payments", b"{}"))[0] for _ in range(1000)])
    assert set(statuses) == {201, 502}
    assert 10 < statuses[502] < 70


def test_callers_ask_for_what_the_shop_has() -> None:
    chance = random.Random(2)
    paths = {call.target(chance).split("?")[0].split("/")[1] for caller in CALLERS for call in caller.calls}
    assert {"catalogue", "products", "search", "reviews", "basket", "orders", "payments", "stock"} <= paths
    assert all(isinstance(call, Call) and call.weight > 0 for caller in CALLERS for call in caller.calls)


def test_a_day_has_ups_and_downs_around_one() -> None:
    day = [busyness(DAY_SECONDS * step / 200) for step in range(200)]
    assert sum(day) / len(day) == pytest.approx(1, abs=0.01)
    assert min(day) > 0.5
    assert max(day) < 1.5
    assert busyness(7 * DAY_SECONDS + 60) == pytest.approx(busyness(60))


@pytest.fixture
def reserved() -> Iterator[dict[str, str]]:
    """A port for each part of the shop: bound here, so that nobody else is given it, and free to be listened on."""
    with ExitStack() as stack:
        ports = {}
        for name in (*upstreams.STEADY, upstreams.UNSTEADY):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            ports[name] = str(holder.getsockname()[1])
        yield ports


async def test_one_target_comes_and_goes_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, reserved: dict[str, str]
) -> None:
    monkeypatch.setattr(upstreams, "UP_SECONDS", 0.2)
    monkeypatch.setattr(upstreams, "DOWN_SECONDS", 0.2)

    async def answers(port: str) -> bool:
        line = Line(Address(int(port), "localhost"))
        try:
            return await line.ask("GET", "/health", {}) == 200
        except LineError:
            return False
        finally:
            line.close()

    async with upstreams.listening(reserved, Steady()) as ports:
        assert ports == reserved
        unsteady = ports[upstreams.UNSTEADY]
        await eventually(lambda: answers(unsteady))

        async def is_away() -> bool:
            return not await answers(unsteady)

        await eventually(is_away)
        await eventually(lambda: answers(unsteady))
        for name in upstreams.STEADY:
            assert await answers(ports[name])
    for port in ports.values():
        assert not await answers(port)
    async with upstreams.listening(ports, Steady()) as again:
        assert again == ports


async def test_callers_outlive_a_server_that_is_away_and_count_it() -> None:
    chance = random.Random(3)
    async with upstreams.listening({}, Steady()) as ports:
        shop = Address(int(ports["SHOP_1"]), "localhost")
        traffic = Traffic(shop, shop, secret="s", chance=chance)
        running = asyncio.create_task(traffic.run())

        async def has(count: int) -> bool:
            return sum(traffic.answered.values()) >= count

        await eventually(lambda: has(10))
    gone = traffic.unanswered_total

    async def is_noticed() -> bool:
        return traffic.unanswered_total > gone

    await eventually(is_noticed)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_server_that_sends_no_answer_is_told_as_such() -> None:
    async def garble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nothing of the kind\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garble, "127.0.0.1", 0)
    line = Line(Address(server.sockets[0].getsockname()[1], "localhost"))
    with pytest.raises(LineError):
        await line.ask("GET", "/", {})
    line.close()
    server.close()
    await server.wait_closed()
