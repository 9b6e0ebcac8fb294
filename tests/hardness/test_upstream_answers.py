"""Answers of upstreams that are malformed, too large or cut: 502 or a visible cut, never one answer read as two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import OK, RecordingUpstream, Then
from tests.hardness.wire import Answer, ask

GET = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response's head."""
    return b"\r\n".join([status, *lines]) + b"\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

MALFORMED = {
    "length and coding": head(b"Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "coding and length": head(CHUNKED, b"Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 3") + b"abc",
    "two equal lengths": head(b"Content-Length: 2", b"Content-Length: 2") + b"ab",
    "list of lengths": head(b"Content-Length: 2, 2") + b"ab",
    "length with a sign": head(b"Content-Length: +2") + b"ab",
    "negative length": head(b"Content-Length: -1") + b"ab",
    "length in hexadecimal": head(b"Content-Length: 0x2") + b"ab",
    "empty length": head(b"Content-Length:") + b"ab",
    "length beyond 64 bits": head(b"Content-Length: 99999999999999999999") + b"ab",
    "gzip": head(b"Transfer-Encoding: gzip") + b"ab",
    "gzip, chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked twice": head(CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "identity": head(b"Transfer-Encoding: identity") + b"ab",
    "space before the colon": head(b"X-A : 1", b"Content-Length: 2") + b"ab",
    "folded line": head(b"X-A: 1", b" X-B: 2", b"Content-Length: 2") + b"ab",
    "line without a colon": head(b"X-A", b"Content-Length: 2") + b"ab",
    "empty name": head(b": 1", b"Content-Length: 2") + b"ab",
    "name with a space": head(b"X A: 1", b"Content-Length: 2") + b"ab",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
    "bare LF in a value": head(b"X-A: 1\nX-B: 2", b"Content-Length: 2") + b"ab",
    "bare CR in a value": head(b"X-A: 1\rX-B: 2", b"Content-Length: 2") + b"ab",
    "NUL in a value": head(b"X-A: \0", b"Content-Length: 2") + b"ab",
    "NUL in a name": head(b"X\0A: 1", b"Content-Length: 2") + b"ab",
    "control byte in the reason": head(b"Content-Length: 2", status=b"HTTP/1.1 200 O\x01K") + b"ab",
    "CR in the reason": head(b"Content-Length: 2", status=b"HTTP/1.1 200 OK\rX-A: 1") + b"ab",
    "status of letters": head(b"Content-Length: 2", status=b"HTTP/1.1 abc OK") + b"ab",
    "status of two digits": head(b"Content-Length: 2", status=b"HTTP/1.1 20 OK") + b"ab",
    "status of four digits": head(b"Content-Length: 2", status=b"HTTP/1.1 2000 OK") + b"ab",
    "status 000": head(b"Content-Length: 2", status=b"HTTP/1.1 000 OK") + b"ab",
    "status 099": head(b"Content-Length: 2", status=b"HTTP/1.1 099 OK") + b"ab",
    "version 2.0": head(b"Content-Length: 2", status=b"HTTP/2.0 200 OK") + b"ab",
    "version 0.9": b"ab",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a space first": b" " + OK,
    "an empty line first": b"\r\n" + OK,
    "a head beyond the limit": head(*[b"X-%d: " % number + b"1" * 1_000 for number in range(100)]) + b"ab",
    "a line without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"1" * 200_000,
    "fields without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 20_000,
    "interim answers without end": head(status=b"HTTP/1.1 103 Early Hints") * 1_000 + OK,
    "continue without end": head(status=b"HTTP/1.1 100 Continue") * 1_000 + OK,
    "an upgrade nobody asked for": head(
        b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching Protocols"
    ),
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}

# Heads that are well-formed, bodies that break off or turn into something else.
CUT = {
    "length not reached": head(b"Content-Length: 10") + b"abc",
    "chunk not reached": head(CHUNKED) + b"a\r\nabc",
    "no last chunk": head(CHUNKED) + b"3\r\nabc\r\n",
    "no end after the last chunk": head(CHUNKED) + b"3\r\nabc\r\n0\r\n",
    "chunk size of letters": head(CHUNKED) + b"3\r\nabc\r\nzz\r\n",
    "chunk size with a sign": head(CHUNKED) + b"3\r\nabc\r\n+3\r\nabc\r\n0\r\n\r\n",
    "chunk size that wraps": head(CHUNKED) + b"3\r\nabc\r\nfffffffffffffffff\r\n",
    "chunk without CRLF": head(CHUNKED) + b"3\r\nabcXX0\r\n\r\n",
    "chunk by bare LF": head(CHUNKED) + b"3\r\nabc\n0\n\n",
    "bad trailer": head(CHUNKED) + b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
    "trailers without end": head(CHUNKED) + b"3\r\nabc\r\n0\r\n" + b"X-T: 1\r\n" * 5_000,
}


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


def clean(answer: Answer) -> bool:
    """Whether nothing of a second answer shows."""
    return b"poison" not in answer.head + answer.body and b"\n" not in answer.head.replace(b"\r\n", b"")


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_answer_is_502(gateway: Gateway, upstream: RecordingUpstream, name: str) -> None:
    gateway.forget()
    # On a connection that was used before, one that answers nothing may just have been closed: that is tried again.
    upstream.hang_up()
    upstream.reply(Then(MALFORMED[name], act="close"))
    with gateway.connect() as wire:
        wire.send(GET)
        answer = wire.read()
        assert answer.status == 502
        assert answer.is_whole
        assert clean(answer)
        # The client's connection is as good as before; the upstream's is not used again.
        wire.send(GET)
        assert wire.read().body == b"ok"
    upstream.hang_up()
    upstream.reply(Then(MALFORMED[name], act="close"))
    with FrameWire(gateway.h2_port) as frames:
        frames.ask(1, request())
        assert frames.reply(1).status == 502
    records = [record for record in gateway.records(3) if record.status == 502]
    assert [(record.status, record.source) for record in records] == [(502, "kong")] * 2
    logged = [entry["upstream_status"] for entry in gateway.log_entries(3) if entry["response"]["status"] == 502]
    assert len(logged) == 2


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_shows_that_it_is(gateway: Gateway, upstream: RecordingUpstream, name: str) -> None:
    gateway.forget()
    upstream.reply(Then(CUT[name], act="close"))
    with gateway.connect() as wire:
        wire.send(GET + GET)
        answer = wire.read()
        # Cut before its head went out, cut within, or answered for.
        assert answer.status in {0, 502} or (answer.status == 200 and not answer.is_whole)
        if answer.status != 502:
            assert wire.is_closed()
    upstream.reply(Then(CUT[name], act="close"))
    with FrameWire(gateway.h2_port) as frames:
        frames.ask(1, request())
        reply = frames.reply(1)
        assert reply.reset is not None or reply.status == 502
    upstream.hang_up()


@pytest.mark.parametrize(
    "body",
    [
        head(b"Content-Length: 2") + b"ok" + POISON,
        head(b"Content-Length: 2") + b"ok\r\n" + POISON,
        head(CHUNKED) + b"2\r\nok\r\n0\r\n\r\n" + POISON,
        head(status=b"HTTP/1.1 204 No Content") + POISON,
        head(b"Content-Length: 6", status=b"HTTP/1.1 304 Not Modified") + POISON,
        head(b"Content-Length: 2", status=b"HTTP/1.1 204 No Content") + b"ok" + POISON,
    ],
)
def test_what_follows_an_answer_serves_nobody(gateway: Gateway, upstream: RecordingUpstream, body: bytes) -> None:
    gateway.forget()
    upstream.reply(body)
    with gateway.connect() as wire:
        for number in range(3):
            wire.send(GET)
            answer = wire.read()
            assert clean(answer)
            assert answer.is_whole
            assert number == 0 or answer.body == b"ok"


def test_a_body_of_head_serves_nobody(gateway: Gateway, upstream: RecordingUpstream) -> None:
    upstream.reply(head(b"Content-Length: %d" % len(POISON)) + POISON)
    with gateway.connect() as wire:
        wire.send(GET.replace(b"GET", b"HEAD"))
        answer = wire.read(is_head=True)
        assert answer.values("content-length") == [str(len(POISON))]
        wire.send(GET)
        assert wire.read().body == b"ok"


@pytest.mark.parametrize("count", [1, 5, 15])
def test_interim_answers_pass_before_the_one(gateway: Gateway, upstream: RecordingUpstream, count: int) -> None:
    upstream.reply(head(b"Link: </x>", status=b"HTTP/1.1 103 Early Hints") * count + OK)
    assert ask(gateway.port, GET).body == b"ok"


@pytest.mark.parametrize(
    "value", [b"a\xe2\x82\xacb", b"\xff\xfe", b"a\tb", b"", b"%0d%0aSet-Cookie: a=1", b"\\r\\nSet-Cookie: a=1"]
)
def test_odd_values_stay_one_field(gateway: Gateway, upstream: RecordingUpstream, value: bytes) -> None:
    upstream.reply(head(b"X-A: " + value, b"Content-Length: 2") + b"ok")
    answer = ask(gateway.port, GET)
    assert answer.values("x-a") == [value.decode("latin-1")]
    assert answer.values("set-cookie") == []


def test_an_upstream_that_resets_mid_way_is_not_asked_twice(gateway: Gateway, upstream: RecordingUpstream) -> None:
    gateway.forget()
    upstream.reply(Then(head(b"Content-Length: 10") + b"abc", act="reset"))
    post = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    answer = ask(gateway.port, post)
    assert not answer.is_whole or answer.status in {0, 502}
    assert [each.line for each in gateway.settled()] == ["POST /a HTTP/1.1"]
