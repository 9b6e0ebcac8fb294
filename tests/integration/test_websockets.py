"""WebSocket through a node: a real server behind it, a real client before it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

WAIT_S = 30.0
KEY = "the-key-of-alice"
LARGE = 3_000_000


@dataclass
class Peer:
    """An echo server, and what it saw."""

    port: int
    heads: list[dict[str, str]] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note_end(self, code: int, reason: str) -> None:
        """A connection has ended so."""
        with self.changed:
            self.closed.append((code, reason))
            self.changed.notify_all()

    def sees_end(self, code: int, reason: str) -> bool:
        """Whether a connection ends so, in time; others may end in between."""
        with self.changed:
            return self.changed.wait_for(lambda: (code, reason) in self.closed, WAIT_S)


@contextlib.contextmanager
def echoing() -> Iterator[Peer]:
    peer = Peer(0)

    def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        peer.heads.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        try:
            for message in connection:
                if message == "close":
                    connection.close(4_001, "as you wish")
                    break
                connection.send(message)
        finally:
            peer.note_end(connection.close_code or 0, connection.close_reason or "")

    def refuse(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(409, "not today\n") if request.path == "/refuse" else None

    def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((one for one in offered if one == "chat.v2"), None)

    def start() -> Server:
        return serve(echo, "127.0.0.1", 0, select_subprotocol=choose, process_request=refuse, max_size=None)

    with start() as server:
        peer.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Gateway:
    """A node before an echo server."""

    node: RunningNode
    peer: Peer

    def connect(self, host: str = "open", path: str = "/", **options: Any) -> ClientConnection:
        """Open a WebSocket."""
        address = f"ws://{host}.example:{self.node.port}{path}"
        plain = {"compression": None, "open_timeout": WAIT_S, "close_timeout": WAIT_S, "max_size": None, "proxy": None}
        stream = socket.create_connection(("127.0.0.1", self.node.port), timeout=WAIT_S)
        return connect(address, sock=stream, **(plain | options))


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with echoing() as peer:

        def entry(name: str, plugins: list[Any], **service: Any) -> Any:
            route = {"name": name, "hosts": [f"{name}.example"], "plugins": plugins}
            return {"name": name, "url": f"http://127.0.0.1:{peer.port}", "routes": [route], **service}

        document = {
            "_format_version": "3.0",
            "services": [
                entry("open", [{"name": "file-log", "config": {"path": "/dev/null"}}]),
                entry(
                    "guarded",
                    [{"name": "key-auth"}, {"name": "rate-limiting", "config": {"minute": 1, "policy": "local"}}],
                ),
                entry("short", [], read_timeout=1_500),
            ],
            "consumers": [{"username": "alice", "keyauth_credentials": [{"key": KEY}]}],
        }
        with running({}, document) as node:
            yield Gateway(node, peer)


def test_messages_pass_both_ways_and_are_logged_at_the_end(gateway: Gateway) -> None:
    gateway.node.core.drain("logs")
    with gateway.connect(path="/chat?room=1") as opened:
        for message in ("hello", b"\x00\xff", "", "\u263a" * 100):
            opened.send(message)
            assert opened.recv(WAIT_S) == message
        opened.close(1_000, "said all")
    assert gateway.peer.sees_end(1_000, "said all")
    head = gateway.peer.heads[-1]
    assert (head["upgrade"].lower(), head["x-forwarded-proto"]) == ("websocket", "http")
    (entry,) = gateway.node.log_entries(1)
    assert (entry["response"]["status"], entry["request"]["uri"]) == (101, "/chat?room=1")
    assert int(entry["response"]["size"]) > 300


def test_large_and_fragmented_messages(gateway: Gateway) -> None:
    with gateway.connect() as opened:
        message = bytes(range(256)) * (LARGE // 256)
        opened.send(message)
        assert opened.recv(WAIT_S) == message
        opened.send(["one ", "two ", "three"])
        assert opened.recv(WAIT_S) == "one two three"


def test_a_subprotocol_is_agreed_on_between_the_ends(gateway: Gateway) -> None:
    with gateway.connect(subprotocols=[Subprotocol("chat.v1"), Subprotocol("chat.v2")]) as opened:
        assert opened.subprotocol == "chat.v2"
        opened.send("seen")
        assert opened.recv(WAIT_S) == "seen"
    assert gateway.peer.heads[-1]["sec-websocket-protocol"] == "chat.v1, chat.v2"


def test_compression_is_agreed_on_between_the_ends(gateway: Gateway) -> None:
    with gateway.connect(compression=None, extensions=[ClientPerMessageDeflateFactory()]) as opened:
        assert [extension.name for extension in opened.protocol.extensions] == ["permessage-deflate"]
        opened.send("a" * 100_000)
        assert opened.recv(WAIT_S) == "a" * 100_000


def test_pings_and_close_codes_pass(gateway: Gateway) -> None:
    with gateway.connect() as opened:
        assert opened.ping(b"there?").wait(WAIT_S)
        opened.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(WAIT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4_001, "as you wish")
    with gateway.connect() as opened:
        opened.close(4_002, "enough")
    assert gateway.peer.sees_end(4_002, "enough")


def test_a_refusal_of_the_upstream_is_its_answer(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused, gateway.connect(path="/refuse"):
        pass
    assert refused.value.response.status_code == 409
    assert refused.value.response.body == b"not today\n"


def test_plugins_stand_before_the_upgrade(gateway: Gateway) -> None:
    seen = len(gateway.peer.heads)
    with pytest.raises(InvalidStatus) as refused, gateway.connect("guarded"):
        pass
    assert refused.value.response.status_code == 401
    assert len(gateway.peer.heads) == seen
    with gateway.connect("guarded", additional_headers={"apikey": KEY}) as opened:
        opened.send("x")
        assert opened.recv(WAIT_S) == "x"
    assert gateway.peer.heads[-1]["x-consumer-username"] == "alice"
    with pytest.raises(InvalidStatus) as refused, gateway.connect("guarded", additional_headers={"apikey": KEY}):
        pass
    assert refused.value.response.status_code == 429


def test_silence_longer_than_the_read_timeout_ends_it(gateway: Gateway) -> None:
    with gateway.connect("short", ping_interval=None) as opened:
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(WAIT_S)
        assert closed.value.rcvd is None
