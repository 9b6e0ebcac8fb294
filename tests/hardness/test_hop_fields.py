"""Fields of one hop stop here both ways; `Connection` names away nothing that is relied on; upgrades wait for 101."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.hardness.gateway import Gateway, one_route, serving
from tests.hardness.recorded import OK, RecordingUpstream, Then
from tests.hardness.wire import ask

HOP_FIELDS = ("Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Proxy", "Transfer-Encoding", "Expect")
# What the gateway writes itself or decides by: no client may name it away.
RELIED_ON = {
    "Host": "a.example",
    "Content-Length": "0",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "a.example",
    "X-Forwarded-Path": "/a",
    "X-Real-IP": "127.0.0.1",
    "Via": "1.1 twinplane/",
    "X-Kong-Request-Id": "",
    "X-Added": "by the gateway",
    "X-Consumer-Username": "alice",
    "X-Credential-Identifier": "",
}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = (
    b"GET /a HTTP/1.1\r\nHost: a.example\r\napikey: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    config = one_route(
        upstream,
        {"name": "key-auth", "route": "all", "config": {"hide_credentials": True}},
        {"name": "request-transformer", "config": {"add": {"headers": ["X-Added:by the gateway"]}}},
    )
    config["services"][0]["routes"].append({"name": "open", "hosts": ["sentinel.example"], "strip_path": False})
    config["consumers"] = [{"username": "alice", "keyauth_credentials": [{"key": "k"}]}]
    with serving(upstream, config) as found:
        yield found


def request(*lines: str, method: str = "POST") -> bytes:
    """A request of alice's."""
    head = [f"{method} /a HTTP/1.1", "Host: a.example", "apikey: k", "Content-Length: 0", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"


@pytest.mark.parametrize("how", ["one line", "many lines", "other case", "with close", "quoted by tabs"])
def test_what_the_gateway_relies_on_cannot_be_named_away(gateway: Gateway, how: str) -> None:
    named = [*RELIED_ON, "Authorization", "Cookie-Not"]
    lines = {
        "one line": ["Connection: " + ", ".join(named)],
        "many lines": [f"Connection: {name}" for name in named],
        "other case": ["CONNECTION: " + ",".join(name.upper() for name in named)],
        "with close": ["Connection: close, " + ", ".join(named)],
        "quoted by tabs": ["Connection: ,\t" + "\t,\t".join(named) + "\t,,"],
    }[how]
    gateway.forget()
    answer = ask(gateway.port, request(*lines, "X-Forwarded-For: 6.6.6.6"))
    assert answer.status == 200
    (forwarded,) = gateway.settled()
    for name, value in RELIED_ON.items():
        (found,) = forwarded.values(name)
        assert value in found or name == "Host", name
    # What the client says of the hops before it is kept, and the peer's own address is added.
    assert forwarded.values("x-forwarded-for") == ["6.6.6.6, 127.0.0.1"]


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: X-Mine, X-Other"],
        ["Connection: x-mine,X-OTHER"],
        ["Connection: X-Mine", "Connection: X-Other"],
        ["Connection: keep-alive", "Connection: X-Mine, X-Other"],
        ["Connection: close", "connection:X-Other", "CONNECTION: X-Mine"],
        ["Connection: , ,X-Mine,,\tX-Other ,"],
    ],
)
def test_what_a_client_nominates_goes_no_further(gateway: Gateway, lines: list[str]) -> None:
    gateway.forget()
    assert ask(gateway.port, request(*lines, "X-Mine: 1", "X-Other: 2", "X-Kept: 3")).status == 200
    (forwarded,) = gateway.settled()
    assert [forwarded.values(name) for name in ("x-mine", "x-other", "x-kept")] == [[], [], ["3"]]
    assert forwarded.values("connection") == ["keep-alive"]


def test_fields_of_one_hop_stop_on_the_way_up(gateway: Gateway) -> None:
    gateway.forget()
    for name in HOP_FIELDS:
        if name in {"Transfer-Encoding", "Expect"}:
            continue
        assert ask(gateway.port, request(f"{name}: something-of-this-hop", method="GET")).status == 200, name
    for forwarded in gateway.settled():
        assert b"something-of-this-hop" not in forwarded.head, forwarded.head


def test_fields_of_one_hop_stop_on_the_way_down(gateway: Gateway, upstream: RecordingUpstream) -> None:
    upstream.reply(
        b"HTTP/1.1 200 OK\r\nConnection: X-Hop, Server\r\nConnection: X-Second\r\nX-Hop: 1\r\nX-Second: 1\r\n"
        b"Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTrailer: X-T\r\nTE: x\r\n"
        b"Content-Length: 2\r\nX-Kept: 1\r\n\r\nok"
    )
    answer = ask(gateway.port, request(method="GET"))
    assert (answer.status, answer.body, answer.values("x-kept")) == (200, b"ok", ["1"])
    for name in ("x-hop", "x-second", "keep-alive", "proxy-connection", "upgrade", "trailer", "te"):
        assert answer.values(name) == [], name
    assert answer.values("connection") == ["keep-alive"]
    # Its own marks stay, whatever the upstream nominates.
    assert len(answer.values("x-kong-request-id")) == len(answer.values("via")) == 1


def test_no_byte_passes_before_the_upstream_agreed(gateway: Gateway, upstream: RecordingUpstream) -> None:
    came = threading.Event()
    go = threading.Event()
    early: list[bytes] = []

    def hold(connection: socket.socket, rest: bytes) -> None:
        came.set()
        go.wait(20)
        connection.setblocking(False)
        try:
            early.append(rest + connection.recv(65536))
        except BlockingIOError:
            early.append(rest)
        connection.settimeout(20)
        connection.sendall(SWITCH)
        connection.sendall(connection.recv(65536))

    upstream.reply(hold)
    with gateway.connect() as wire:
        wire.send(UPGRADE + b"early bytes")
        assert came.wait(20)
        # Whatever would leak has had its time: another request goes all the way through behind it.
        gateway.settled()
        go.set()
        answer = wire.read()
        assert answer.status == 101
        assert answer.values("upgrade") == ["websocket"]
        assert wire.rest() == b"early bytes"
    assert early == [b""]


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"426 Upgrade Required"])
def test_a_declined_upgrade_opens_nothing(gateway: Gateway, upstream: RecordingUpstream, status: bytes) -> None:
    gateway.forget()
    upstream.reply(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
    with gateway.connect() as wire:
        wire.send(UPGRADE + request("X-Behind: 1", method="GET"))
        assert wire.read().status == int(status[:3])
        # What follows is read as a request of its own, never as bytes of a tunnel.
        assert wire.read().status == 200
    first, second = gateway.settled()
    assert first.values("upgrade") == ["websocket"]
    assert second.values("x-behind") == ["1"]


def test_an_upgrade_nobody_asked_for_is_no_answer(gateway: Gateway, upstream: RecordingUpstream) -> None:
    upstream.reply(Then(SWITCH + b"smuggled", act="close"))
    answer = ask(gateway.port, request(method="GET"))
    assert answer.status == 502
    assert b"smuggled" not in answer.body
    upstream.reply(Then(SWITCH, act="close"))
    assert ask(gateway.port, request("Upgrade: websocket", method="GET")).status == 502


def test_an_upgrade_that_is_refused_here_reaches_nobody(gateway: Gateway) -> None:
    gateway.forget()
    with gateway.connect() as wire:
        wire.send(UPGRADE.replace(b"apikey: k", b"apikey: x"))
        assert wire.read().status == 401
    assert gateway.settled() == []
    assert [each.status for each in gateway.records(2)] == [401, 200]


def test_a_trailer_adds_no_field(gateway: Gateway) -> None:
    gateway.forget()
    head = request("Transfer-Encoding: chunked", "Trailer: X-Consumer-Username, Host").replace(
        b"Content-Length: 0\r\n", b""
    )
    trailers = b"X-Consumer-Username: mallory\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n"
    assert ask(gateway.port, head + b"2\r\nab\r\n0\r\n" + trailers).status == 200
    (forwarded,) = gateway.settled()
    assert forwarded.values("x-consumer-username") == ["alice"]
    assert (forwarded.content, len(forwarded.values("host"))) == (b"ab", 1)
    assert b"mallory" not in forwarded.body
    assert b"evil" not in forwarded.body


def test_an_answer_behind_the_answer_is_never_served(gateway: Gateway, upstream: RecordingUpstream) -> None:
    upstream.reply(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    with gateway.connect() as wire:
        for _ in range(3):
            wire.send(request(method="GET"))
            assert wire.read().body == b"ok"
