"""Plugins in Python that do the worst: each costs its own request, and the node serves on."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, Chunk, Config, Context, Plugin, Request, Response
from twinplane.testing import Gateway, gateway

CALLS = "twinplane_python_plugin_calls_total"
ROUTES = [{"name": "r", "paths": ["/"]}]


class Awful(BaseException):
    """No handler of `Exception` catches it."""


def deeper(number: int) -> int:
    return deeper(number + 1) + 1


RAISED: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "awful": Awful,
    "memory": MemoryError,
    "stop": StopIteration,
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
}


class Worst(Plugin[Config]):
    """Does in `access` what the path says."""

    name = "worst"
    priority = 900

    def access(self, request: Request, ctx: Context, config: Config) -> Answer | None:
        wish = request.path.removeprefix("/")
        request.headers["X-Touched"] = "yes"
        if wish == "deep":
            deeper(0)
        if wish in RAISED:
            raise RAISED[wish]
        if wish == "huge":
            request.headers["X-Huge"] = "x" * int(request.headers["X-Size"])
        if wish == "kept":
            kept.append((request, ctx))
        if wish == "late-use":
            return ctx.exit(200, late_use())
        return None

    def header_filter(self, response: Response, ctx: Context, config: Config) -> None:
        wish = ctx.request.headers.get("X-Wish")
        if wish in RAISED:
            raise RAISED[wish]
        if wish == "split":
            response.headers["X-A"] = "1\r\nSet-Cookie: evil=1"
        if wish == "name":
            response.headers["X-A: 1\r\nX-B"] = "1"
        if wish == "frame":
            response.headers.add("Transfer-Encoding", "chunked")
        if wish == "many":
            for number in range(500):
                response.headers.add("X-Many", str(number))


class WorstAsync(Plugin[Config]):
    """The same, in a coroutine."""

    name = "worst-async"
    priority = 800

    async def access(self, request: Request, ctx: Context, config: Config) -> None:
        wish = request.headers.get("X-Async") or ""
        await asyncio.sleep(0)
        if wish == "deep":
            deeper(0)
        if wish in RAISED:
            raise RAISED[wish]


kept: list[tuple[Request, Context]] = []


def late_use() -> list[str]:
    """Views of a request that is over."""
    request, ctx = kept[-1]
    found = []
    for use in (
        lambda: request.method,
        lambda: request.headers.add("X-A", "1"),
        lambda: ctx.consumer,
        lambda: ctx.kept,
    ):
        try:
            found.append(f"gave {use()}")
        except Exception as error:
            found.append(type(error).__name__)
    return found


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(ROUTES, plugins=[Worst, WorstAsync]) as running:
        yield running


@pytest.mark.parametrize("wish", [*RAISED, "deep"])
def test_whatever_is_raised_costs_its_request_alone(gw: Gateway, wish: str) -> None:
    before = gw.metric(CALLS, result="failed")
    assert gw.get(f"/{wish}").status == 500
    assert gw.get("/fine", X_Async=wish).status == 500
    if wish != "deep":
        assert gw.get("/fine", X_Wish=wish).status == 500
    assert gw.get("/fine").json()["headers"]["X-Touched"] == "yes"
    assert gw.metric(CALLS, result="failed") == before + (2 if wish == "deep" else 3)


def test_all_threads_still_work_after_the_worst(gw: Gateway) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(lambda number: gw.get("/exit" if number % 2 else "/fine").status, range(200)))
    assert statuses == {500: 100, 200: 100}
    eventually(lambda: gw.metric("twinplane_python_plugin_threads_busy") == 0)


@pytest.mark.parametrize("wish", ["split", "name", "frame"])
def test_no_header_of_a_response_is_split_or_frames_it(gw: Gateway, wish: str) -> None:
    refused = gw.get("/fine", X_Wish=wish)
    assert refused.status == 500
    assert not {"x-a", "x-b", "set-cookie"} & {name.lower() for name, _ in refused.headers}


def test_huge_headers_go_upstream_and_many_back(gw: Gateway) -> None:
    told = gw.get("/huge", X_Size="30000").json()["headers"]
    assert len(told["X-Huge"]) == 30_000
    with socket.create_connection(("127.0.0.1", gw.port)) as client:
        client.sendall(b"GET /fine HTTP/1.1\r\nHost: a\r\nX-Wish: many\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"X-Many: ") == 500


def test_a_view_of_a_request_that_is_over_gives_nothing(gw: Gateway) -> None:
    gw.get("/kept")
    assert gw.get("/late-use").json() == ["VisitOver"] * 4


def test_a_cut_client_does_not_keep_a_plugin(gw: Gateway) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(Plugin[Config]):
        name = "slow"
        timeout_ms = 60_000

        async def access(self, request: Request, ctx: Context, config: Config) -> None:
            entered.set()
            while not leave.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)

    with gateway(ROUTES, plugins=[Slow]) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert entered.wait(60)
        leave.set()
        assert running.get("/").status == 200
        eventually(lambda: running.metric("twinplane_python_plugin_coroutines") == 0)


def test_two_hundred_slow_coroutines_at_once_hold_nobody_up() -> None:
    gathered: list[str] = []
    everybody = 200
    quick = threading.Event()

    class Slow(Plugin[Config]):
        name = "slow"
        timeout_ms = 120_000

        async def access(self, request: Request, ctx: Context, config: Config) -> Answer:
            if request.path == "/quick":
                return ctx.exit(200, "quick")
            gathered.append(ctx.request_id)
            while not quick.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.02)
            return ctx.exit(200, ctx.request_id)

    with gateway(ROUTES, plugins=[Slow]) as running, ThreadPoolExecutor(everybody) as pool:
        slow = [pool.submit(running.get, "/slow") for _ in range(everybody)]
        eventually(lambda: len(gathered) == everybody, seconds=120)
        # All of them wait; one that does not is served.
        assert running.get("/quick").body == b"quick"
        assert running.metric("twinplane_python_plugin_coroutines") == everybody
        quick.set()
        bodies = {each.result().body.decode() for each in slow}
        assert bodies == set(gathered)


def test_versions_are_swapped_under_load_and_no_request_is_lost() -> None:
    def version(number: int) -> type[Plugin[Config]]:
        class Swapped(Plugin[Config]):
            name = "swapped"

            async def access(self, request: Request, ctx: Context, config: Config) -> None:
                await asyncio.sleep(0)
                ctx.kept["version"] = number

            def header_filter(self, response: Response, ctx: Context, config: Config) -> None:
                # Both phases of a request are of one version.
                response.headers["X-Version"] = f"{ctx.kept['version']},{number}"

            def body_filter(self, chunk: Chunk, ctx: Context, config: Config) -> None:
                assert ctx.kept["version"] == number

        return Swapped

    with gateway(ROUTES, plugins=[version(0)]) as running:
        answers: Counter[tuple[int, str | None]] = Counter()
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answer = running.get("/")
                answers[answer.status, answer.header("X-Version")] += 1

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 6):
            assert running.reload(version(number))
            eventually(lambda number=number: answers[200, f"{number},{number}"] > 0)
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {(200, f"{number},{number}") for number in range(6)} or set(answers) == {
        (200, f"{number},{number}") for number in range(1, 6)
    }


def test_a_plugin_that_raises_while_it_is_made_or_told_is_refused_or_logged() -> None:
    class Unmade(Plugin[Config]):
        name = "unmade"

        def __init__(self) -> None:
            raise RuntimeError("cannot be made")

        def access(self, request: Request, ctx: Context, config: Config) -> None:
            """Never called."""

    with pytest.raises(Exception, match="cannot be made"):
        gateway(ROUTES, plugins=[Unmade]).__enter__()

    class Untold(Plugin[Config]):
        name = "untold"

        def configure(self, configs: object) -> None:
            raise SystemExit("not with me")

        def access(self, request: Request, ctx: Context, config: Config) -> None:
            """Nothing to do."""

    with gateway(ROUTES, plugins=[Untold]) as running:
        assert running.get("/").status == 200
