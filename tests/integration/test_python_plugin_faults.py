"""What a plugin in Python that raises, hangs or cannot keep up costs: the one request, and it is counted."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, Chunk, Config, Context, Plugin, Request, Response
from twinplane.testing import Gateway, gateway

CALLS = "twinplane_python_plugin_calls_total"
release = threading.Event()


class FaultConfig(Config):
    """What to do wrong."""

    fault: Annotated[Literal["raise", "sleep", "spin", "await", "none"], "What to do wrong."] = "none"


class Faulty(Plugin[FaultConfig]):
    """Does something wrong in the phase that the request names."""

    name = "faulty"
    timeout_ms = 1500
    config_class = FaultConfig

    def access(self, request: Request, ctx: Context, config: FaultConfig) -> Answer | None:
        request.headers["X-Touched"] = "yes"
        return self._do(request.headers.get("X-Access"), ctx)

    def header_filter(self, response: Response, ctx: Context, config: FaultConfig) -> None:
        response.headers["X-Filtered"] = "yes"
        self._do(ctx.request.headers.get("X-Header-Filter"), ctx)

    def body_filter(self, chunk: Chunk, ctx: Context, config: FaultConfig) -> None:
        self._do(ctx.request.headers.get("X-Body-Filter"), ctx)

    @staticmethod
    def _do(fault: str | None, ctx: Context) -> Answer | None:
        if fault == "raise":
            raise RuntimeError("broken on purpose")
        if fault == "sleep":
            release.wait(20)
        if fault == "spin":
            while True:
                pass
        if fault == "nonsense":
            return "nonsense"  # type: ignore[return-value]
        return None


class FaultyOpen(Faulty):
    name = "faulty-open"
    on_failure = "fail_open"


ROUTES = [{"name": "r", "paths": ["/"]}]


@pytest.fixture(scope="module")
def closed() -> Iterator[Gateway]:
    with gateway(ROUTES, plugins=[Faulty]) as running:
        yield running
        release.set()


@pytest.fixture(scope="module")
def opened() -> Iterator[Gateway]:
    with gateway(ROUTES, plugins=[FaultyOpen]) as running:
        yield running
        release.set()


def test_an_exception_costs_its_request_alone(closed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failed = closed.get("/", X_Access="raise")
        eventually(lambda: "broken on purpose" in caplog.text)
    assert failed.status == 500
    assert failed.json()["message"] == "An unexpected error occurred"
    assert f"request_id={failed.header('X-Kong-Request-Id')}" in caplog.text
    assert "broken on purpose" not in failed.body.decode()
    assert closed.get("/", X_Access="nonsense").status == 500
    assert closed.get("/").status == 200
    assert closed.metric(CALLS, plugin="faulty", phase="access", result="failed") == 2


def test_an_exception_in_the_head_of_a_response_answers_500(closed: Gateway) -> None:
    failed = closed.get("/", X_Header_Filter="raise")
    assert (failed.status, failed.header("X-Filtered")) == (500, None)


def test_an_exception_in_the_body_cuts_the_response(closed: Gateway) -> None:
    with pytest.raises(Exception, match=r"IncompleteRead|closed|chunked|reset"):
        closed.get("/", X_Body_Filter="raise")
    assert closed.get("/").status == 200


def test_a_late_phase_is_refused_and_the_others_go_on(closed: Gateway) -> None:
    before = closed.metric(CALLS, phase="access", result="late")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(closed.get, "/", X_Access="sleep")
        assert closed.get("/").status == 200
        assert slow.result().status == 500
    assert closed.metric(CALLS, phase="access", result="late") == before + 1
    release.set()


def test_an_endless_loop_is_interrupted(closed: Gateway) -> None:
    # More of them at once than there are threads.
    with ThreadPoolExecutor(6) as pool:
        spinning = [pool.submit(closed.get, "/", X_Access="spin") for _ in range(6)]
        assert [each.result().status for each in spinning] == [500] * 6
    assert closed.get("/").status == 200
    eventually(lambda: closed.metric("twinplane_python_plugin_threads_busy") == 0)
    assert closed.metric("twinplane_python_plugin_calls_interrupted_total") >= 4


def test_fail_open_passes_what_the_client_sent(opened: Gateway) -> None:
    for fault in ("raise", "spin"):
        told = opened.get("/", X_Access=fault)
        assert told.status == 200
        assert "X-Touched" not in told.json()["headers"]
        filtered = opened.get("/", X_Header_Filter=fault)
        assert (filtered.status, filtered.header("X-Filtered")) == (200, None)
        assert filtered.json()["headers"]["X-Touched"] == "yes"
        assert opened.get("/", X_Body_Filter=fault).status == 200


def test_overload_is_bounded_and_counted() -> None:
    blocked = threading.Event()

    class Blocking(Plugin[Config]):
        name = "blocking"
        timeout_ms = 60_000

        def access(self, request: Request, ctx: Context, config: Config) -> None:
            blocked.wait(60)

    settings = {"python_plugin_threads": "1", "python_plugin_queue": "3"}
    with gateway(ROUTES, plugins=[Blocking], settings=settings) as running, ThreadPoolExecutor(12) as pool:
        first = pool.submit(running.get, "/")
        eventually(lambda: running.metric("twinplane_python_plugin_threads_busy") == 1)
        rest = [pool.submit(running.get, "/") for _ in range(11)]
        eventually(lambda: running.metric(CALLS, result="refused") == 8)
        assert running.metric("twinplane_python_plugin_calls_waiting") == 3
        blocked.set()
        statuses = Counter(each.result().status for each in (first, *rest))
        assert statuses == {200: 4, 503: 8}
        assert running.metric("twinplane_python_plugin_calls_refused_total") == 8


def test_a_thousand_requests_at_once_wait_in_coroutines() -> None:
    arrived: set[str] = set()
    everybody_is_here: list[asyncio.Event] = []
    everybody = 1000

    class Gathering(Plugin[Config]):
        name = "gathering"
        timeout_ms = 60_000

        async def access(self, request: Request, ctx: Context, config: Config) -> None:
            if not arrived:
                everybody_is_here.append(asyncio.Event())
            arrived.add(ctx.request_id)
            if len(arrived) == everybody:
                everybody_is_here[0].set()
            await everybody_is_here[0].wait()
            request.headers["X-Id"] = ctx.request_id

    async def ask(port: int) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()

    async def ask_all(port: int) -> list[tuple[int, str]]:
        return await asyncio.gather(*(ask(port) for _ in range(everybody)))

    terminating = {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": "http://<upstream>", "routes": ROUTES}],
        "plugins": [{"name": "gathering"}, {"name": "request-termination", "config": {"status_code": 200}}],
    }
    Gathering.priority = 10_000
    with gateway(terminating, plugins=[Gathering]) as running:
        answers = asyncio.run(ask_all(running.port))
        assert Counter(status for status, _ in answers) == {200: everybody}
        assert len(arrived) == everybody
        eventually(lambda: running.metric("twinplane_python_plugin_coroutines") == 0)


def test_a_coroutine_that_hangs_is_cancelled() -> None:
    cancelled = threading.Event()

    class Hanging(Plugin[Config]):
        name = "hanging"
        timeout_ms = 100

        async def access(self, request: Request, ctx: Context, config: Config) -> None:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    with gateway(ROUTES, plugins=[Hanging]) as running:
        assert running.get("/").status == 500
        assert cancelled.wait(30)
        assert running.metric(CALLS, plugin="hanging", result="late") == 1


def test_memory_does_not_grow_with_requests() -> None:
    class Keeping(Plugin[Config]):
        name = "keeping"

        def access(self, request: Request, ctx: Context, config: Config) -> Answer:
            ctx.kept["much"] = "x" * 20_000
            request.headers["X-Kept"] = "1"
            return ctx.exit(204)

    memory = "kong_memory_workers_lua_vms_bytes"
    with gateway(ROUTES, plugins=[Keeping]) as running:
        for _ in range(300):
            assert running.get("/").status == 204
        settled = running.metric(memory)
        for _ in range(1500):
            running.get("/")
        # What one request keeps, kept of each, would be 30 MB.
        assert running.metric(memory) - settled < 15_000_000
        started = time.monotonic()
        eventually(lambda: running.metric("twinplane_python_plugin_threads_busy") == 0)
        assert time.monotonic() - started < 60
