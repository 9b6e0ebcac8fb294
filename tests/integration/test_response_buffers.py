"""Responses whose clients are slow: what is read ahead of them, so that upstreams are done early."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import orjson
import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.raw_peer import WAIT_S

LISTEN = "127.0.0.1:0 http2, 127.0.0.1:0 http2 ssl"
BODY = bytes(range(256)) * 65_536
# All of it finds room.
ROOMY = {"proxy_listen": LISTEN, "nginx_proxy_proxy_buffers": "64 512k"}
STALLED_S = 0.5


def _endless() -> int:
    """More than what the sockets between the two ends take by themselves, however the system lets them grow."""
    limits = (Path("/proc/sys/net/ipv4", name).read_text().split()[-1] for name in ("tcp_rmem", "tcp_wmem"))
    return 2 * len(BODY) + sum(map(int, limits))


class Upstream:
    """Answers one request after the other, as a test says, and tells how much of an answer was taken off it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        self._socket.settimeout(WAIT_S)
        self.port: int = self._socket.getsockname()[1]
        self._connection: socket.socket | None = None
        self._length = self.sent = 0

    def accept(self) -> None:
        """Take the next connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection, _ = self._socket.accept()
        self._connection.settimeout(WAIT_S)

    def begin(self, *fields: str, length: int = len(BODY), missing: int = 0) -> int:
        """Take the next request of the connection, and begin to answer it with BODY over and over.

        How much of the request's body came with its head.
        """
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.connection.recv(65_536)
            assert more
            head += more
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {length}", *fields]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._length, self.sent = length - missing, 0
        return len(head.partition(b"\r\n\r\n")[2])

    @property
    def connection(self) -> socket.socket:
        assert self._connection is not None
        return self._connection

    def ends(self, within_s: float = WAIT_S) -> bool:
        """Write until all was taken, or nothing was for a while."""
        while self.sent < self._length:
            _, writable, _ = select.select([], [self.connection], [], within_s)
            if not writable:
                return False
            at = self.sent % len(BODY)
            most = min(262_144, self._length - self.sent)
            self.sent += self.connection.send(memoryview(BODY)[at : at + most])
        return True

    def close(self) -> None:
        """Close everything."""
        self._socket.close()
        if self._connection is not None:
            self._connection.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def running_node(upstream: Upstream) -> Iterator[RunningNode]:
    def entry(name: str, **route: Any) -> Any:
        route |= {"name": name, "hosts": [f"{name}.example"]}
        return {"name": name, "url": f"http://127.0.0.1:{upstream.port}", "routes": [route]}

    config = {"_format_version": "3.0", "services": [entry("held"), entry("streamed", response_buffering=False)]}
    config["services"].append(entry("early", request_buffering=False))
    with running(ROOMY, config) as node:
        yield node


@pytest.fixture
def node(running_node: RunningNode) -> Iterator[RunningNode]:
    yield running_node
    # Whatever a test has held is let go of, and the next one finds the settings that it expects.
    assert ahead(running_node, most=0) == 0
    running_node.adopt(ROOMY)


def ahead(node: RunningNode, least: int = 0, most: int | None = None) -> int:
    """Bytes that are held, once they are within bounds or time is over."""
    end = time.monotonic() + WAIT_S
    while True:
        held: int = orjson.loads(node.core.drain("metrics"))["responses_ahead"]["bytes"]
        if time.monotonic() > end or (held >= least and (most is None or held <= most)):
            return held
        time.sleep(0.01)


def refused(node: RunningNode) -> int:
    found: int = orjson.loads(node.core.drain("metrics"))["responses_ahead"]["refused"]
    return found


@contextlib.contextmanager
def connected(node: RunningNode) -> Iterator[socket.socket]:
    """A client that takes little while it does not read."""
    client = socket.socket()
    # Before it connects: how much it can be sent is agreed on then.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    client.settimeout(WAIT_S)
    client.connect(("127.0.0.1", node.port))
    with client:
        yield client


@contextlib.contextmanager
def asking(node: RunningNode, host: str) -> Iterator[socket.socket]:
    """A client that has asked and reads nothing yet."""
    with connected(node) as client:
        client.sendall(f"GET /x HTTP/1.1\r\nHost: {host}.example\r\nConnection: close\r\n\r\n".encode())
        yield client


def read(client: socket.socket) -> bytes:
    """The body of an answer, up to the close."""
    with client.makefile("rb") as stream:
        _, _, body = stream.read().partition(b"\r\n\r\n")
    return body


def goes_on(client: socket.socket, upstream: Upstream) -> bool:
    """Whether an upstream that waits is read again once its client reads."""
    before, end = upstream.sent, time.monotonic() + WAIT_S
    while upstream.sent == before and time.monotonic() < end:
        assert client.recv(1_048_576)
        upstream.ends(within_s=0)
    return upstream.sent > before


def test_an_upstream_ends_before_a_slow_client_has_read_and_serves_the_next(
    node: RunningNode, upstream: Upstream
) -> None:
    with asking(node, "held") as client:
        upstream.accept()
        upstream.begin()
        assert upstream.ends()
        assert ahead(node) > 0
        # Over the same connection: it is free.
        with asking(node, "held") as other:
            upstream.begin("X-Is: another")
            assert upstream.ends()
            assert read(other) == BODY
        assert read(client) == BODY


@pytest.mark.parametrize(
    ("host", "fields"),
    [
        ("streamed", []),
        ("held", ["X-Accel-Buffering: no"]),
        ("held", ["Content-Type: Text/Event-Stream; charset=utf-8"]),
        ("streamed", ["X-Accel-Buffering: yes", "Content-Type: text/event-stream"]),
    ],
)
def test_an_upstream_waits_for_its_client_where_nothing_is_read_ahead(
    node: RunningNode, upstream: Upstream, host: str, fields: list[str]
) -> None:
    with asking(node, host) as client:
        upstream.accept()
        upstream.begin(*fields, "Connection: close", length=_endless())
        assert not upstream.ends(within_s=STALLED_S)
        assert ahead(node) == 0
        assert goes_on(client, upstream)


def test_an_upload_goes_on_behind_an_early_answer(node: RunningNode, upstream: Upstream) -> None:
    head = f"POST /x HTTP/1.1\r\nHost: early.example\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with connected(node) as client:
        sending = threading.Thread(target=client.sendall, args=(head.encode() + BODY,))
        sending.start()
        upstream.accept()
        left = len(BODY) - upstream.begin()
        # The whole answer would find room, and the connection would be let go of with its end.
        upstream.ends(within_s=STALLED_S)
        while left:
            more = upstream.connection.recv(1_048_576)
            assert more, f"{left} bytes of the request never came"
            left -= len(more)
        sending.join()
        answering = threading.Thread(target=upstream.ends)
        answering.start()
        assert read(client) == BODY
        answering.join()


def test_an_upstream_may_ask_to_be_read_ahead(node: RunningNode, upstream: Upstream) -> None:
    with asking(node, "streamed") as client:
        upstream.accept()
        upstream.begin("X-Accel-Buffering: yes", "Connection: close")
        assert upstream.ends()
        assert ahead(node) > 0
        assert read(client) == BODY


def test_a_client_of_http_2_frees_its_upstream_too(node: RunningNode, upstream: Upstream) -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "held.example"), (":path", "/x")]
    connection.send_headers(1, fields, end_stream=True)
    with socket.create_connection(("127.0.0.1", node.port), timeout=WAIT_S) as client:
        client.sendall(connection.data_to_send())
        upstream.accept()
        upstream.begin("Connection: close")
        assert upstream.ends()
        # No more than the window of a stream has gone on.
        least = len(BODY) - 2 * 65_536
        assert ahead(node, least) >= least
        taken, is_ended = bytearray(), False
        while not is_ended:
            for event in connection.receive_data(client.recv(1_048_576)):
                if isinstance(event, h2.events.DataReceived):
                    taken += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
                is_ended = is_ended or isinstance(event, h2.events.StreamEnded)
            client.sendall(connection.data_to_send())
        assert bytes(taken) == BODY


def test_what_came_before_a_break_is_delivered_and_not_called_whole(node: RunningNode, upstream: Upstream) -> None:
    with asking(node, "held") as client:
        upstream.accept()
        upstream.begin(missing=1)
        assert upstream.ends()
        upstream.connection.close()
        assert read(client) == BODY[:-1]


def test_what_is_held_for_a_client_that_leaves_is_let_go(node: RunningNode, upstream: Upstream) -> None:
    with asking(node, "held"):
        upstream.accept()
        upstream.begin("Connection: close")
        assert upstream.ends()
        assert ahead(node) > 0
    assert ahead(node, most=0) == 0


@pytest.mark.parametrize(
    ("settings", "least", "most", "counted"),
    [
        # To within a read.
        ({"nginx_proxy_proxy_buffers": "8 64k"}, 393_216, 589_824, 0),
        ({"response_buffers_total": "256k"}, 131_072, 327_680, 1),
        ({"nginx_proxy_proxy_buffering": "off"}, 0, 0, 0),
    ],
)
def test_an_upstream_waits_at_the_bound(
    node: RunningNode, upstream: Upstream, settings: dict[str, str], least: int, most: int, counted: int
) -> None:
    before = refused(node)
    node.adopt({**ROOMY, **settings})
    with asking(node, "held") as client:
        upstream.accept()
        upstream.begin("Connection: close", length=_endless())
        assert not upstream.ends(within_s=STALLED_S)
        assert least <= ahead(node, least) <= most
        assert refused(node) - before == counted
        assert goes_on(client, upstream)
