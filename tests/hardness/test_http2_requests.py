"""What HTTP/2 can say and HTTP/1 cannot is refused, nothing of it forwarded; the rest becomes one clean request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.hardness.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Fields,
    FrameWire,
    block,
    frame,
    request,
)
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream


def without(name: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """A request that lacks a field."""
    return [each for each in request(*more) if each[0] != name]


def with_value(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """A request with another value of a pseudo-field."""
    return [(key, value if key == name else old) for key, old in request()]


BAD: dict[str, Fields] = {
    # Names and values
    "name in upper case": request((b"X-A", b"1")),
    "empty name": request((b"", b"1")),
    "name with a colon": request((b"x:a", b"1")),
    "name with a space": request((b"x a", b"1")),
    "name with CR LF": request((b"x\r\nx-b", b"1")),
    "name with LF": request((b"x\n", b"1")),
    "name with NUL": request((b"x\0", b"1")),
    "name with a high byte": request((b"x\xff", b"1")),
    "value with CR LF": request((b"x-a", b"1\r\nx-b: 2")),
    "value with LF": request((b"x-a", b"1\n2")),
    "value with CR": request((b"x-a", b"1\r2")),
    "value with NUL": request((b"x-a", b"1\x002")),
    "value with an escape": request((b"x-a", b"1\x1b2")),
    "value with DEL": request((b"x-a", b"1\x7f2")),
    "value ended by a request": request((b"x-a", b"1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n")),
    "value after a space": request((b"x-a", b" 1")),
    "value before a space": request((b"x-a", b"1 ")),
    "value after a tab": request((b"x-a", b"\t1")),
    "cookie with CR LF": request((b"cookie", b"a=1\r\nx-b: 2")),
    # Fields of a connection
    "connection": request((b"connection", b"close")),
    "keep-alive": request((b"keep-alive", b"timeout=5")),
    "proxy-connection": request((b"proxy-connection", b"keep-alive")),
    "upgrade": request((b"upgrade", b"websocket")),
    "transfer-encoding": request((b"transfer-encoding", b"chunked"), method=b"POST"),
    "te other than trailers": request((b"te", b"gzip")),
    # Pseudo-fields
    "no method": without(b":method"),
    "no path": without(b":path"),
    "no scheme": without(b":scheme"),
    "no authority, no host": without(b":authority"),
    "method twice": [*request(), (b":method", b"GET")],
    "path twice": [*request()[:4], (b":path", b"/b")],
    "scheme twice": [(b":scheme", b"http"), *request()],
    "authority twice": [(b":authority", b"b.example"), *request()],
    "pseudo-field after a field": [(b"x-a", b"1"), *request()],
    "unknown pseudo-field": [*request(), (b":protocol-x", b"1")],
    "pseudo-field of a response": [(b":status", b"200"), *request()],
    "empty path": with_value(b":path", b""),
    "path without a slash": with_value(b":path", b"a"),
    "asterisk": with_value(b":path", b"*"),
    "absolute path": with_value(b":path", b"http://b.example/"),
    "path with a space": with_value(b":path", b"/a b"),
    "path with a version": with_value(b":path", b"/a HTTP/1.1\r\nx-a: 1\r\n\r\n"),
    "path with CR LF": with_value(b":path", b"/a\r\nx-a: 1"),
    "path with NUL": with_value(b":path", b"/a\0"),
    "path with an escaped NUL": with_value(b":path", b"/a%00"),
    "path with a control byte": with_value(b":path", b"/a\x01"),
    "path above the root": with_value(b":path", b"/../a"),
    "method with a space": with_value(b":method", b"GET /b"),
    "method in lower case": with_value(b":method", b"get"),
    "method with CR LF": with_value(b":method", b"GET / HTTP/1.1\r\nx: "),
    "empty method": with_value(b":method", b""),
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"a.example:443")],
    "TRACE": with_value(b":method", b"TRACE"),
    "authority with user": with_value(b":authority", b"u@a.example"),
    "authority with a path": with_value(b":authority", b"a.example/b"),
    "authority with a space": with_value(b":authority", b"a b"),
    "authority with CR LF": with_value(b":authority", b"a\r\nx-a: 1"),
    "authority with a comma": with_value(b":authority", b"a,b"),
    "empty authority": with_value(b":authority", b""),
    "authority and another host": request((b"host", b"b.example")),
    "two hosts": without(b":authority", (b"host", b"a.example"), (b"host", b"a.example")),
    "host with a slash": without(b":authority", (b"host", b"a/b")),
    # Lengths
    "length of letters": request((b"content-length", b"abc")),
    "length with a plus": request((b"content-length", b"+1")),
    "two lengths": request((b"content-length", b"0"), (b"content-length", b"0")),
    "list of lengths": request((b"content-length", b"0, 0")),
    "length without data": request((b"content-length", b"5")),
    # Limits
    "101 fields": request(*((b"x-%d" % number, b"1") for number in range(101))),
    "a long line": request((b"x-a", b"1" * 9_000)),
    "a long path": with_value(b":path", b"/" + b"a" * 9_000),
    "a long list": request(*((b"x-%d" % number, b"1" * 4_000) for number in range(30))),
    "many crumbs of a cookie": request(*((b"cookie", b"a=%d" % number) for number in range(3_000))),
}

GOOD: dict[str, Fields] = {
    "plain": request(),
    "host alone": without(b":authority", (b"host", b"a.example")),
    "authority and the same host": request((b"host", b"a.example")),
    "te trailers": request((b"te", b"trailers")),
    "length of nothing": request((b"content-length", b"0")),
    "crumbs of a cookie": request((b"cookie", b"a=1"), (b"cookie", b"b=2")),
    "high bytes in a value": request((b"x-a", b"\xe2\x82\xac")),
    "empty value": request((b"x-a", b"")),
}


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_said_in_one_way_reaches_nobody(gateway: Gateway, name: str) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        payload = block(BAD[name])
        pieces = [payload[at : at + 16_000] for at in range(0, len(payload), 16_000)]
        for at, piece in enumerate(pieces):
            kind, end = (CONTINUATION if at else HEADERS), (END_HEADERS if at + 1 == len(pieces) else 0)
            wire.send(frame(kind, end | (0 if at else END_STREAM), 1, piece))
        reply = wire.reply(1)
        refused = reply.status in {400, 405, 414, 431} or reply.reset is not None or wire.goaway not in {None, 0}
        assert refused, reply
    assert gateway.settled() == []
    # Where it was a request at all it is recorded as one that was refused here.
    assert {record.source for record in gateway.records(1)[:-1]} <= {"kong"}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_let_in_becomes_one_clean_request(gateway: Gateway, name: str) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, GOOD[name])
        reply = wire.reply(1)
        assert (reply.status, reply.body) == (200, b"ok")
    (forwarded,) = gateway.settled()
    assert forwarded.line == "GET /a HTTP/1.1"
    assert len(forwarded.values("host")) == 1
    assert forwarded.values("transfer-encoding") == []
    assert len(forwarded.values("cookie")) <= 1
    assert forwarded.body == b""


@pytest.mark.parametrize(
    ("length", "frames"),
    [
        (3, [b"abcd"]),
        (3, [b"ab", b"cd"]),
        (5, [b"abcd"]),
        (5, [b"ab", b""]),
        (1, [b""]),
        (0, [b"x"]),
        (2, [b"ab", b"GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n"]),
    ],
)
def test_data_that_belies_its_length_is_no_request(gateway: Gateway, length: int, frames: list[bytes]) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1, block(request((b"content-length", b"%d" % length), method=b"POST"))))
        for at, data in enumerate(frames):
            wire.send(frame(DATA, END_STREAM if at + 1 == len(frames) else 0, 1, data))
        reply = wire.reply(1)
        assert reply.reset is not None or reply.status == 400 or wire.goaway, reply
    assert gateway.settled() == []


@pytest.mark.parametrize(
    "trailers",
    [
        [(b"x-t", b"1")],
        [(b"content-length", b"99")],
        [(b"transfer-encoding", b"chunked")],
        [(b"host", b"evil.example")],
        [(b"connection", b"x")],
        [(b":path", b"/smuggled")],
        [(b":method", b"DELETE")],
        [(b"x-t", b"1\r\nx-u: 2")],
        [(b"x-consumer-username", b"mallory")],
        [(b"authorization", b"secret")],
    ],
)
def test_trailers_change_nothing(gateway: Gateway, trailers: Fields) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1, block(request(method=b"POST"))))
        wire.send(frame(DATA, 0, 1, b"abc"))
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(trailers)))
        reply = wire.reply(1)
    for forwarded in gateway.settled():
        assert reply.status == 200
        assert forwarded.line == "POST /a HTTP/1.1"
        assert forwarded.content == b"abc"
        assert forwarded.values("host") == [f"127.0.0.1:{gateway.upstream.port}"]
        for leaked in (b"evil", b"mallory", b"smuggled", b"secret", b"x-u"):
            assert leaked not in forwarded.head + forwarded.body


def test_a_body_leaves_in_one_framing(gateway: Gateway) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, request((b"content-length", b"3"), method=b"POST"), b"abc")
        wire.ask(3, request(method=b"POST"), b"abcd")
        wire.ask(5, request(method=b"POST"), b"")
        assert [wire.reply(stream).status for stream in (1, 3, 5)] == [200] * 3
    forwarded = gateway.settled()
    assert sorted(each.content for each in forwarded) == [b"", b"abc", b"abcd"]
    for each in forwarded:
        assert len(each.values("content-length")) + len(each.values("transfer-encoding")) <= 1


def test_one_bad_stream_costs_the_others_nothing(gateway: Gateway) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, request((b"connection", b"close")))
        wire.ask(3, request())
        wire.ask(5, request(path=b"/../x"))
        wire.ask(7, request())
        statuses = [wire.reply(stream).status for stream in (3, 7)]
    assert statuses == [200, 200]
    assert [each.target for each in gateway.settled()] == ["/a", "/a"]
