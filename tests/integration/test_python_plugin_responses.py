"""The response phase of plugins in Python: the whole answer of an upstream, through a whole node and real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, Chunk, Config, Context, Plugin, Request, Response, WholeResponse
from twinplane.testing import Gateway, GatewayRefused, gateway

CALLS = "twinplane_python_plugin_calls_total"
OVERRUNS = "twinplane_response_buffer_overruns_total"
ROUTES = [{"name": "r", "paths": ["/"]}]
ALLOWED = 100_000


class Whole(Plugin[Config]):
    """Does what the path says to the whole response."""

    name = "whole"
    priority = 900
    response_bytes_max = ALLOWED

    def access(self, request: Request, ctx: Context, config: Config) -> Answer | None:
        ctx.shared.setdefault("from", self.name)
        return ctx.exit(200, "own") if request.path == "/own" else None

    def response(self, response: WholeResponse, ctx: Context, config: Config) -> Answer | None:
        wish = ctx.request.path
        response.headers["X-Length"] = str(len(response.body))
        if wish == "/upper":
            response.body = response.body.upper()
        if wish == "/status":
            response.status = 418
            del response.headers["X-Secret"]
        if wish == "/json":
            response.body = b'{"n":%d}' % (response.json()["n"] + 1)
        if wish == "/answer":
            return ctx.exit(409, {"message": "no"}, {"X-From": "response"})
        if wish == "/raise":
            response.body = b"half done"
            raise RuntimeError("broken on purpose")
        return None


class WholeOpen(Whole):
    name = "whole-open"
    priority = 800
    on_failure = "fail_open"

    async def response(self, response: WholeResponse, ctx: Context, config: Config) -> Answer | None:  # type: ignore[override]
        response.headers["X-Open"] = ctx.shared["from"]
        if ctx.request.path == "/twice":
            response.body += b", twice"
        return super().response(response, ctx, config) if ctx.request.headers.get("X-Fail") == "open" else None


class Filtering(Plugin[Config]):
    """Sees what the response phase left."""

    name = "filtering"

    def header_filter(self, response: Response, ctx: Context, config: Config) -> None:
        response.headers["X-Filtered"] = response.headers.get("X-Length") or "nothing"

    def body_filter(self, chunk: Chunk, ctx: Context, config: Config) -> None:
        if ctx.request.path == "/filtered":
            chunk.replace(chunk.data.replace(b"one", b"two"))


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(ROUTES, plugins=[Whole]) as running:
        yield running


@pytest.fixture
def reply(gw: Gateway) -> Iterator[Gateway]:
    yield gw
    gw.upstream.reply = None


def test_the_body_is_seen_whole_and_replaced(reply: Gateway) -> None:
    body = b"abc" * 30_000
    reply.upstream.reply = lambda arrival: (200, {"X-Secret": "1"}, body)
    upper = reply.get("/upper")
    assert (upper.body, upper.header("X-Length"), upper.header("Content-Length")) == (body.upper(), "90000", "90000")
    assert reply.get("/same").body == body


def test_the_head_is_changed_after_the_body_was_seen(reply: Gateway) -> None:
    reply.upstream.reply = lambda arrival: (200, {"X-Secret": "1"}, b"x")
    changed = reply.get("/status")
    assert (changed.status, changed.header("X-Secret"), changed.body) == (418, None, b"x")
    assert changed.header("X-Kong-Upstream-Latency") is not None


def test_json_goes_in_and_comes_out(reply: Gateway) -> None:
    reply.upstream.reply = lambda arrival: (200, {"Content-Type": "application/json"}, b'{"n": 41}')
    assert reply.get("/json").json() == {"n": 42}


def test_an_answer_takes_the_place_of_the_upstreams(gw: Gateway) -> None:
    refused = gw.get("/answer")
    assert (refused.status, refused.json(), refused.header("X-From")) == (409, {"message": "no"}, "response")
    assert refused.header("X-Length") is None


def test_an_answer_of_the_gateway_does_not_come_by(gw: Gateway) -> None:
    own = gw.get("/own")
    assert (own.body, own.header("X-Length")) == (b"own", None)


def test_an_exception_costs_its_request_alone(gw: Gateway) -> None:
    failed = gw.get("/raise")
    assert (failed.status, failed.json()["message"]) == (500, "An unexpected error occurred")
    assert gw.metric(CALLS, phase="response", result="failed") == 1
    assert gw.get("/").status == 200


def test_a_response_that_is_too_long_is_refused_and_counted(reply: Gateway) -> None:
    before = reply.metric(OVERRUNS, plugin="whole")
    reply.upstream.reply = lambda arrival: (200, {}, b"x" * ALLOWED)
    assert reply.get("/").body == b"x" * ALLOWED
    reply.upstream.reply = lambda arrival: (200, {}, b"x" * (ALLOWED + 1))
    refused = reply.get("/")
    assert (refused.status, refused.json()["message"]) == (502, "The upstream's response is too large to be held back")
    assert reply.metric(OVERRUNS, plugin="whole") == before + 1


def test_a_node_holds_no_more_than_its_own_bound_whatever_a_plugin_says() -> None:
    with gateway(ROUTES, plugins=[Whole], settings={"python_plugin_response_max": "1000"}) as running:
        running.upstream.reply = lambda arrival: (200, {}, b"x" * 1000)
        assert running.get("/").body == b"x" * 1000
        running.upstream.reply = lambda arrival: (200, {}, b"x" * 1001)
        assert running.get("/").status == 502
        assert running.metric(OVERRUNS, plugin="whole") == 1


def test_a_response_without_a_body_stays_without(reply: Gateway) -> None:
    reply.upstream.reply = lambda arrival: (204, {}, b"")
    empty = reply.get("/upper")
    assert (empty.status, empty.header("X-Length"), empty.body) == (204, "0", b"")
    reply.upstream.reply = lambda arrival: (200, {}, b"12345")
    head = reply.request("HEAD", "/upper")
    assert (head.status, head.body, head.header("Content-Length")) == (200, b"", "5")


def test_what_is_compressed_stays_so(reply: Gateway) -> None:
    packed = gzip.compress(b"plain")
    reply.upstream.reply = lambda arrival: (200, {"Content-Encoding": "gzip"}, packed)
    assert reply.get("/").body == packed


def test_a_connection_is_kept_after_a_whole_response(gw: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gw.port)) as connection:
        for _ in range(3):
            connection.sendall(b"GET /upper HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_open_plugins_let_pass_what_they_could_not_hold_back() -> None:
    body = b"y" * (3 * ALLOWED)
    with gateway(ROUTES, plugins=[WholeOpen, Filtering]) as running:
        running.upstream.reply = lambda arrival: (200, {}, body)
        passed = running.get("/")
        assert (passed.status, passed.body == body, passed.header("X-Open")) == (200, True, None)
        assert running.metric(OVERRUNS, plugin="whole-open") == 1
        running.upstream.reply = lambda arrival: (200, {}, b"one")
        raised = running.get("/raise", X_Fail="open")
        # Taken back: what the call had changed.
        assert (raised.status, raised.body, raised.header("X-Length")) == (200, b"one", None)


def test_two_of_them_and_the_filters_follow_each_other() -> None:
    with gateway(ROUTES, plugins=[WholeOpen, Filtering, Whole]) as running:
        running.upstream.reply = lambda arrival: (200, {}, b"one")
        twice = running.get("/twice")
        assert (twice.body, twice.header("X-Open"), twice.header("X-Filtered")) == (b"one, twice", "whole", "3")
        assert running.get("/filtered").body == b"two"


def test_an_upstream_that_breaks_off_is_an_error() -> None:
    class Server:
        """Promises more than it sends."""

        def __init__(self) -> None:
            self.socket = socket.create_server(("127.0.0.1", 0))

        def serve(self) -> None:
            connection, _ = self.socket.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.close()

    server = Server()
    threading.Thread(target=server.serve, daemon=True).start()
    document: dict[str, Any] = {
        "_format_version": "3.0",
        "services": [
            {
                "name": "s",
                "url": f"http://127.0.0.1:{server.socket.getsockname()[1]}",
                "retries": 0,
                "routes": [{"name": "r", "paths": ["/"]}],
            }
        ],
        "plugins": [{"name": "whole"}],
    }
    with gateway(document, plugins=[Whole]) as running:
        cut = running.get("/")
        assert (cut.status, cut.header("X-Length")) == (502, None)
        eventually(lambda: running.metric("twinplane_python_plugin_threads_busy") == 0)
    server.socket.close()


def test_an_agreed_upgrade_passes_by() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                connection.sendall(connection.recv(65_536).upper())

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        route = {"name": "r", "paths": ["/"]}
        document = {"_format_version": "3.0", "services": [{"name": "s", "url": url, "routes": [route]}]}
        running = stack.enter_context(gateway({**document, "plugins": [{"name": "whole"}]}, plugins=[Whole]))
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as client:
            client.sendall(b"GET /upper HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65_536)
            assert head.startswith(b"HTTP/1.1 101")
            client.sendall(b"hello")
            assert client.recv(65_536) == b"HELLO"
        assert running.metric(CALLS, phase="response") == 0
        assert running.metric(CALLS, phase="access", result="continued") == 1


def test_response_beside_the_filters_that_it_replaces_is_refused() -> None:
    class Both(Whole):
        name = "both"

        def header_filter(self, response: Response, ctx: Context, config: Config) -> None:
            """Never called."""

    with pytest.raises(Exception, match="defines response beside header_filter") as raised:
        gateway(ROUTES, plugins=[Both]).__enter__()
    assert not isinstance(raised.value, GatewayRefused)
