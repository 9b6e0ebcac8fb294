"""Slow heads, bodies and readers by the thousand: each is ended at its limit, counted, logged; none else notices."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Mapping

import pytest
from tests.hardness.cost import core_seconds, memory
from tests.hardness.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    FrameWire,
    block,
    frame,
    request,
)
from tests.hardness.gateway import Gateway, one_route, serving
from tests.hardness.recorded import OK, RecordingUpstream
from tests.hardness.test_tls import GOOD_SUITES, hello
from tests.hardness.wire import ask

CLIENTS = 1_000
# Both ends of a client's connection and of the one behind it, and what this process has open anyway.
DESCRIPTORS = 4 * CLIENTS + 500
LIMITS = {"head_timeout_ms": 1_500, "body_timeout_ms": 1_500, "send_timeout_ms": 1_500, "idle_timeout_ms": 1_500}
GET = b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
_WAIT_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Iterator[None]:
    """As many descriptors as it takes, for as long as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"this process may have no more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, limits=LIMITS) as found:
        yield found


@contextlib.contextmanager
def crowd(port: int, first: bytes, *, buffer_bytes: int = 0, clients: int = CLIENTS) -> Iterator[list[socket.socket]]:
    """Connections that have each said the same."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(clients):
            sock = stack.enter_context(socket.socket())
            if buffer_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            sock.settimeout(_WAIT_S)
            sock.connect(("127.0.0.1", port))
            sock.sendall(first)
            sockets.append(sock)
        yield sockets


@contextlib.contextmanager
def watching(sockets: list[socket.socket]) -> Iterator[selectors.BaseSelector]:
    """Looks at all of them at once."""
    with selectors.DefaultSelector() as watched:
        for sock in sockets:
            watched.register(sock, selectors.EVENT_READ)
        yield watched


def ready(watched: selectors.BaseSelector) -> list[socket.socket]:
    """Those on which something has come, or will never come."""
    return [key.fileobj for key, _ in watched.select(0.1) if isinstance(key.fileobj, socket.socket)]


def received(sock: socket.socket) -> bytes:
    """What has come; nothing where the connection is over."""
    try:
        return sock.recv(65536)
    except ConnectionError:
        return b""


def answers_of(
    sockets: list[socket.socket], *, dribble: bytes = b"", dribbles: Mapping[socket.socket, bytes] | None = None
) -> list[bytes]:
    """What each was told before it was closed; meanwhile each sends a little again and again, all alike or its own."""
    each_own = dict.fromkeys(sockets, dribble) | dict(dribbles or {})
    told = dict.fromkeys(sockets, b"")
    left = set(sockets)
    with watching(sockets) as watched:
        end = time.monotonic() + _WAIT_S
        while left and time.monotonic() < end:
            for sock in ready(watched):
                data = received(sock)
                told[sock] += data
                if not data:
                    left.discard(sock)
                    watched.unregister(sock)
            for sock in left:
                with contextlib.suppress(OSError):
                    sock.send(each_own[sock])
    assert not left, f"{len(left)} were never closed"
    return list(told.values())


def none_is_left(gateway: Gateway) -> None:
    """The gateway has let go of every connection but the one that asks last."""
    end = time.monotonic() + _WAIT_S
    while (found := gateway.counts()["connections"]["active"]) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert found <= 1


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OPENED = PREFACE + frame(SETTINGS, 0, 0)
HELLO = hello(0x0303, GOOD_SUITES)
POSTED = frame(HEADERS, END_HEADERS, 1, block(request(method=b"POST")))
# Where it is sent, what is, and what follows it bit by bit for as long as it is taken.
BEGINNINGS: dict[str, tuple[str, bytes, bytes]] = {
    "nothing of TLS": ("tls", b"", b""),
    "half a hello": ("tls", HELLO[:40], b""),
    "a hello and no more": ("tls", HELLO, b""),
    "a hello bit by bit": ("tls", HELLO[:40], b"\0"),
    "nothing": ("h2", b"", b""),
    "half a preface": ("h2", PREFACE[:10], b""),
    "a preface": ("h2", PREFACE, b""),
    "a preface with settings": ("h2", OPENED, b""),
    "half a frame": ("h2", OPENED + b"\0\0", b""),
    "a frame bit by bit": ("h2", OPENED + b"\0\x40\0\1\4\0\0\0\1", b"\0"),
    "headers that go on": ("h2", OPENED + frame(HEADERS, 0, 1, block(request())), b""),
    "headers bit by bit": ("h2", OPENED + frame(HEADERS, 0, 1, block(request())), frame(CONTINUATION, 0, 1, b"\0")),
    "no body": ("h2", OPENED + POSTED, b""),
    "half a proxy header": ("proxied", b"PROXY TCP4 1.2", b""),
    "half a binary one": ("proxied", b"\r\n\r\n\0\r\nQUIT\n\x21\x11", b""),
    "a proxy header bit by bit": ("proxied", b"PROXY TCP6 ", b"1"),
}


def test_whatever_was_begun_and_does_not_go_on_is_ended(upstream: RecordingUpstream) -> None:
    listen = "127.0.0.1:0, 127.0.0.1:0 http2 ssl, 127.0.0.1:0 http2, 127.0.0.1:0 proxy_protocol"
    with (
        serving(upstream, limits=LIMITS, settings={"proxy_listen": listen}) as gateway,
        contextlib.ExitStack() as stack,
    ):
        ports = {"tls": gateway.tls_port, "h2": gateway.h2_port, "proxied": gateway.core.status().listeners[3][1]}
        dribbles: dict[socket.socket, bytes] = {}
        for port, first, more in BEGINNINGS.values():
            dribbles |= dict.fromkeys(stack.enter_context(crowd(ports[port], first, clients=20)), more)
        others_are_served(gateway)
        told = answers_of(list(dribbles), dribbles=dribbles)
        assert not any(b"HTTP/1.1 200" in each for each in told)
        assert {each.target for each in gateway.settled()} == {"/other"}
        none_is_left(gateway)


def others_are_served(gateway: Gateway) -> None:
    """Requests of other clients, while the crowd is there."""
    assert [ask(gateway.port, GET).status for _ in range(20)] == [200] * 20


def test_heads_that_never_come_are_not_waited_for(gateway: Gateway) -> None:
    gateway.forget()
    with crowd(gateway.port, b"") as sockets:
        others_are_served(gateway)
        assert set(answers_of(sockets)) == {b""}
    assert {each.target for each in gateway.settled()} == {"/other"}


def test_heads_that_come_slowly_are_ended(gateway: Gateway) -> None:
    gateway.forget()
    with crowd(gateway.port, b"GET /slow HTTP/1.1\r\nHost: a\r\n") as sockets:
        others_are_served(gateway)
        told = answers_of(sockets, dribble=b"X")
    assert all(each.startswith(b"HTTP/1.1 408 ") for each in told)
    assert {each.target for each in gateway.settled()} == {"/other"}
    records = [record for record in gateway.records(CLIENTS + 21) if record.status != 200]
    assert {(record.status, record.source) for record in records} == {(408, "kong")}
    assert len(records) == CLIENTS
    none_is_left(gateway)


def test_bodies_that_stop_are_ended(gateway: Gateway) -> None:
    gateway.forget()
    with crowd(gateway.port, POST + b"x") as sockets:
        others_are_served(gateway)
        told = answers_of(sockets)
    assert all(each.startswith(b"HTTP/1.1 408 ") for each in told)
    assert {each.target for each in gateway.settled()} == {"/other"}
    assert len([record for record in gateway.records(CLIENTS + 21) if record.status == 408]) == CLIENTS


def test_bodies_that_come_too_slowly_are_ended_and_counted(upstream: RecordingUpstream) -> None:
    pace = {"body_bytes_per_s_min": 1_000, "body_grace_ms": 1_000}
    with serving(upstream, limits=pace) as gateway:
        with crowd(gateway.port, POST) as sockets:
            others_are_served(gateway)
            told = answers_of(sockets, dribble=b"x")
        assert all(each.startswith(b"HTTP/1.1 408 ") for each in told)
        assert gateway.wait_for("limits_broken", CLIENTS) == CLIENTS
        assert {each.target for each in gateway.settled()} == {"/other"}
        with FrameWire(gateway.h2_port) as wire:
            wire.send(frame(HEADERS, END_HEADERS, 1, block(request(method=b"POST"))))
            end = time.monotonic() + _WAIT_S
            while not wire.is_over(1) and time.monotonic() < end:
                wire.send(frame(DATA, 0, 1, b"x"))
                time.sleep(0.02)
            assert wire.reply(1).status == 408
        assert gateway.wait_for("limits_broken", CLIENTS + 1) == CLIENTS + 1


def test_a_route_that_streams_lets_bodies_take_their_time(upstream: RecordingUpstream) -> None:
    config = one_route(upstream)
    config["services"][0]["routes"][0]["request_buffering"] = False
    with serving(upstream, config, limits={"body_bytes_per_s_min": 1_000_000, "body_grace_ms": 1}) as gateway:
        with gateway.connect() as wire:
            wire.send(POST.replace(b"100000", b"40"))
            for _ in range(40):
                wire.send(b"x")
                time.sleep(0.005)
            assert wire.read().status == 200
        assert [each.content for each in gateway.settled()] == [b"x" * 40]
        assert gateway.counts()["limits_broken"] == 0


def test_readers_that_stop_are_let_go_and_cost_little(gateway: Gateway, upstream: RecordingUpstream) -> None:
    gateway.forget()
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000
    upstream.answer = lambda forwarded: large if forwarded.target == "/large" else OK
    before = memory()
    with crowd(gateway.port, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", buffer_bytes=4_096, clients=60):
        others_are_served(gateway)
        found = [record for record in gateway.records(60 + 20) if record.path == "/large"]
        after = memory()
    upstream.answer = lambda _: OK
    # Each was given up, and none of the bodies was taken in whole: what is held is a piece for each.
    assert len(found) == 60
    assert after - before <= 60 * 1024 * 1024
    assert gateway.counts()["requests_active"] == 0


def test_a_thousand_windows_that_never_open_are_let_go(gateway: Gateway, upstream: RecordingUpstream) -> None:
    gateway.forget()
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    upstream.answer = lambda forwarded: large if forwarded.target == "/large" else OK
    before, seconds = memory(), core_seconds()
    # An initial window of nothing: of each answer comes the head, and no byte of its body.
    first = PREFACE + frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")
    first += frame(HEADERS, END_HEADERS | END_STREAM, 1, block(request(path=b"/large")))
    try:
        with crowd(gateway.h2_port, first) as sockets:
            others_are_served(gateway)
            told = answers_of(sockets)
    finally:
        upstream.answer = lambda _: OK
    assert all(each and b"xxxx" not in each for each in told)
    found = [record for record in gateway.records(CLIENTS + 20) if record.path == "/large"]
    assert len(found) == CLIENTS
    assert memory() - before <= CLIENTS * 200 * 1024
    assert core_seconds() - seconds <= 15
    assert gateway.counts()["requests_active"] == 0


def test_connections_beyond_the_limit_are_refused_and_counted(upstream: RecordingUpstream) -> None:
    with serving(upstream, limits={"connections_max": 50}) as gateway:
        with (
            crowd(gateway.port, b"GET /held HTTP/1.1\r\n", clients=300) as sockets,
            watching(sockets) as watched,
        ):
            end = time.monotonic() + _WAIT_S
            refused = 0
            while refused < 250 and time.monotonic() < end:
                for sock in ready(watched):
                    received(sock)
                    watched.unregister(sock)
                    refused += 1
            assert refused == 250
        end = time.monotonic() + _WAIT_S
        status = 0
        while not status and time.monotonic() < end:
            with contextlib.suppress(ConnectionError):
                status = ask(gateway.port, GET).status
        assert status == 200
        assert gateway.counts()["connections"]["refused"] >= 250
