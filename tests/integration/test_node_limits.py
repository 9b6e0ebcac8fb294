"""Limits that the settings of a node put on requests and connections, through a whole node and real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, BodyTooLarge, Config, Context, Plugin, Request
from twinplane.testing import gateway

MIB = 1024 * 1024
WAIT_S = 60.0
ROUTES = [{"name": "r", "paths": ["/"]}]
CONNECTIONS = "kong_nginx_connections_total"


class NoConfig(Config):
    """Nothing to set."""


class Measure(Plugin[NoConfig]):
    """Reads bodies whole, and says how long they are."""

    name = "measure"
    version = "1"
    priority = 1
    config_class = NoConfig
    body_bytes_max = 16 * MIB

    def access(self, request: Request, ctx: Context, config: NoConfig) -> Answer | None:
        try:
            return ctx.exit(200, f"{len(request.body)} {request.body.count(b'x')}")
        except BodyTooLarge:
            return ctx.exit(413, "too long")


@pytest.mark.parametrize(("size", "held_bytes"), [("9m", 9 * MIB), ("1k", 8 * MIB)], ids=["more", "the least"])
def test_a_plugin_reads_bodies_as_long_as_the_node_holds(size: str, held_bytes: int) -> None:
    with gateway(ROUTES, plugins=[Measure], settings={"client_body_buffer_size": size}) as node:
        answer = node.post("/", b"x" * held_bytes)
        assert (answer.status, answer.body.decode()) == (200, f"{held_bytes} {held_bytes}")
        answer = node.post("/", b"x" * (held_bytes + 1))
        assert (answer.status, answer.body) == (413, b"too long")


def test_connections_beyond_their_number_are_closed_and_counted() -> None:
    most = 3
    with gateway(ROUTES, settings={"nginx_events_worker_connections": str(most)}) as node:

        def connected() -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_S)
            connection.connect()
            return connection

        def is_served(connection: http.client.HTTPConnection) -> bool:
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
            except ConnectionError:
                return False
            return (answer.status, bool(answer.read())) == (200, True)

        def counted(state: str) -> float:
            return node.metric(CONNECTIONS, state=state)

        kept = [connected() for _ in range(most)]
        assert all(map(is_served, kept))
        assert (counted("accepted"), counted("handled")) == (most, most)
        for _ in range(2):
            with closing(connected()) as one_too_many:
                assert not is_served(one_too_many)
        assert (counted("accepted"), counted("handled")) == (most + 2, most)
        # Who is served keeps being served, and room is given again.
        assert all(map(is_served, kept))
        kept.pop().close()

        def finds_room() -> bool:
            with closing(connected()) as another:
                return is_served(another)

        eventually(finds_room, seconds=WAIT_S)
        for connection in kept:
            connection.close()


class Hangup:
    """An upstream that hears a request and hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                self.heard += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def hanging_up() -> Iterator[Hangup]:
    upstream = Hangup()
    try:
        yield upstream
    finally:
        upstream.close()


@pytest.mark.parametrize(
    ("settings", "tries"),
    [
        pytest.param({}, 5, id="as many as the service allows"),
        pytest.param({"nginx_proxy_proxy_next_upstream_tries": "2"}, 2, id="fewer"),
        pytest.param({"nginx_proxy_proxy_next_upstream_tries": "9"}, 5, id="never more"),
        pytest.param({"nginx_proxy_proxy_next_upstream_tries": "1"}, 1, id="one"),
    ],
)
def test_a_request_is_tried_so_often(settings: dict[str, str], tries: int) -> None:
    with hanging_up() as upstream:
        service: dict[str, Any] = {"name": "s", "url": f"http://127.0.0.1:{upstream.port}", "retries": 4}
        service["routes"] = [{"name": "r", "paths": ["/"]}]
        with gateway({"_format_version": "3.0", "services": [service]}, settings=settings) as node:
            assert node.get("/").status == 502
            assert upstream.heard == tries
