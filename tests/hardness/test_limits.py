"""Limits of a request, on by default: up to them it is served, beyond them refused, logged, and never taken in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from tests.hardness.cost import core_seconds, memory
from tests.hardness.frames import Fields, FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import ask

REFUSALS = {400, 414, 431}
HOST = b"Host: a.example"
# What may be on its way when the gateway makes up its mind: the buffers of two sockets.
UNDER_WAY_BYTES = 8 * 1024 * 1024
MEMORY_MAX = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


def get(*lines: bytes, target: bytes = b"/a") -> bytes:
    """A request without a body."""
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", HOST, *lines]) + b"\r\n\r\n"


def chunked(*after: bytes) -> bytes:
    """A request whose body is in chunks."""
    return b"\r\n".join([b"POST /a HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"", *after])


def fields(count: int, size: int) -> list[bytes]:
    """So many fields, each of about this length."""
    return [b"X-%d: %b" % (number, b"v" * size) for number in range(count)]


# Up to the limit, and beyond it.
HEADS: dict[str, tuple[bytes, bytes]] = {
    "a target": (get(target=b"/" + b"a" * 8_000), get(target=b"/" + b"a" * 8_300)),
    "a query": (get(target=b"/?" + b"a" * 8_000), get(target=b"/?" + b"a" * 8_300)),
    "a field": (get(b"X-A: " + b"v" * 8_000), get(b"X-A: " + b"v" * 8_300)),
    "a name": (get(b"X-" + b"a" * 8_000 + b": v"), get(b"X-" + b"a" * 8_300 + b": v")),
    "a cookie": (get(b"Cookie: a=" + b"v" * 8_000), get(b"Cookie: a=" + b"v" * 8_300)),
    "a head": (get(*fields(30, 1_000)), get(*fields(40, 1_000))),
    "a head of cookies": (get(*[b"Cookie: " + b"v" * 1_000] * 30), get(*[b"Cookie: " + b"v" * 1_000] * 40)),
    "fields": (get(*fields(99, 1)), get(*fields(101, 1))),
    "fields of nothing": (get(*[b"X:"] * 99), get(*[b"X:"] * 101)),
    "trailers": (
        chunked(b"0", *fields(50, 1), b"", b""),
        chunked(b"0", *fields(40, 1_000), b"", b""),
    ),
    "a chunk's extension": (
        chunked(b"1;a=b", b"x", b"0", b"", b""),
        chunked(b"1;a=" + b"b" * 40_000, b"x", b"0", b"", b""),
    ),
    "empty lines before": (b"\r\n" + get(), b"\r\n" * 40_000 + get()),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_its_limits(gateway: Gateway, name: str) -> None:
    within, beyond = HEADS[name]
    gateway.forget()
    assert ask(gateway.port, within).status == 200
    assert len(gateway.settled()) == 1
    gateway.forget()
    answer = ask(gateway.port, beyond)
    assert answer.status in REFUSALS | ({0} if "before" in name else set())
    assert gateway.settled() == []
    refused = [record for record in gateway.records(1 + bool(answer.status)) if "/sentinel-" not in record.path]
    assert [(record.status, record.source) for record in refused] == [(answer.status, "kong")] * bool(answer.status)


def endless(first: bytes, again: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """Bytes that never end."""
    return lambda: itertools.chain([first], (again(number) * 100 for number in itertools.count()))


ENDLESS = {
    "method": endless(b"", lambda _: b"GET"),
    "target": endless(b"GET /", lambda _: b"a" * 100),
    "version": endless(b"GET / HTTP/1.1", lambda _: b"1" * 100),
    "name": endless(b"GET / HTTP/1.1\r\nX-", lambda _: b"a" * 100),
    "value": endless(b"GET / HTTP/1.1\r\nX-A: ", lambda _: b"a" * 100),
    "fields": endless(b"GET / HTTP/1.1\r\n", lambda number: b"X-%d: 1\r\n" % number),
    "space": endless(b"GET / HTTP/1.1\r\nX-A:", lambda _: b" " * 100),
    "folds": endless(b"GET / HTTP/1.1\r\nX-A: 1\r\n", lambda _: b" 1\r\n"),
    "empty lines": endless(b"", lambda _: b"\r\n"),
    "size of a chunk": endless(chunked(), lambda _: b"0" * 100),
    "extension of a chunk": endless(chunked(b"1;"), lambda _: b"a" * 100),
    "trailers": endless(chunked(b"0", b""), lambda number: b"X-%d: 1\r\n" % number),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_ended(gateway: Gateway, name: str) -> None:
    gateway.forget()
    before, seconds, sent = memory(), core_seconds(), 0
    with gateway.connect() as wire:
        try:
            for piece in ENDLESS[name]():
                wire.sock.sendall(piece)
                sent += len(piece)
                if sent > UNDER_WAY_BYTES:
                    break
        except ConnectionError:
            pass
    assert sent <= UNDER_WAY_BYTES
    assert gateway.settled() == []
    assert memory() - before <= MEMORY_MAX
    assert core_seconds() - seconds <= 0.5


H2_LISTS: dict[str, tuple[Fields, Fields]] = {
    "a target": (request(path=b"/" + b"a" * 8_000), request(path=b"/" + b"a" * 8_300)),
    "a field": (request((b"x-a", b"v" * 8_000)), request((b"x-a", b"v" * 8_300))),
    "fields": (
        request(*((b"x-%d" % number, b"1") for number in range(90))),
        request(*((b"x-%d" % number, b"1") for number in range(101))),
    ),
    # Each crumb is small; together they are one field, and too long for one.
    "crumbs": (
        request(*((b"cookie", b"a=" + b"v" * 90) for _ in range(60))),
        request(*((b"cookie", b"a=" + b"v" * 90) for _ in range(95))),
    ),
}


@pytest.mark.parametrize("name", H2_LISTS)
def test_a_header_list_has_its_limits(gateway: Gateway, name: str) -> None:
    within, beyond = H2_LISTS[name]
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, within)
        assert wire.reply(1).status == 200
        wire.ask(3, beyond)
        assert wire.reply(3).status in REFUSALS
        # The connection serves on.
        wire.ask(5, request())
        assert wire.reply(5).status == 200
    assert len(gateway.settled()) == 2
    statuses = [record.status for record in gateway.records(4)]
    assert len([status for status in statuses if status in REFUSALS]) == 1
