"""One framing only: what could be read two ways is refused and not forwarded; what is let in leaves in one form."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import Wire, ask

# Follows each malformed request: whoever reads that one shorter or longer than meant would serve this one.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"


def get(*lines: bytes, line: bytes = b"GET /a HTTP/1.1", host: bytes = b"Host: a.example") -> bytes:
    """A request without a body."""
    return b"\r\n".join([line, *([host] if host else []), *lines]) + b"\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A request with a body."""
    return get(*lines, line=b"POST /a HTTP/1.1") + body


CHUNKED = b"Transfer-Encoding: chunked"


def chunks(body: bytes) -> bytes:
    """A request whose body is in chunks, or claims to be."""
    return post(CHUNKED, body=body)


# What the head alone gives away, by what is wrong with it.
BAD_HEADS: dict[str, tuple[bytes, int]] = {
    # Lengths
    "length and coding": (post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"), 400),
    "coding and length": (post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"), 400),
    "two equal lengths": (post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"), 400),
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 2", body=b"xy"), 400),
    "two lengths in other case": (post(b"Content-Length: 1", b"cONTENT-lENGTH: 2", body=b"xy"), 400),
    "length with a plus": (post(b"Content-Length: +1", body=b"x"), 400),
    "length with a minus": (post(b"Content-Length: -1", body=b"x"), 400),
    "list of lengths": (post(b"Content-Length: 1, 1", body=b"x"), 400),
    "list of other lengths": (post(b"Content-Length: 1, 2", body=b"x"), 400),
    "length in hexadecimal": (post(b"Content-Length: 0x1", body=b"x"), 400),
    "length with letters": (post(b"Content-Length: 1f", body=b"x"), 400),
    "length with a fraction": (post(b"Content-Length: 1.0", body=b"x"), 400),
    "length with an exponent": (post(b"Content-Length: 1e0", body=b"x"), 400),
    "length with a space inside": (post(b"Content-Length: 1 1", body=b"x"), 400),
    "length with an underscore": (post(b"Content-Length: 1_0", body=b"x" * 10), 400),
    "length in quotes": (post(b'Content-Length: "1"', body=b"x"), 400),
    "empty length": (post(b"Content-Length:", body=b"x"), 400),
    "length of other digits": (post("Content-Length: ١".encode(), body=b"x"), 400),  # noqa: RUF001 - an Arabic one
    "length beyond 64 bits": (post(b"Content-Length: 18446744073709551617", body=b"x"), 400),
    "length beyond everything": (post(b"Content-Length: " + b"9" * 200, body=b"x"), 400),
    "length after a form feed": (post(b"Content-Length:\x0c1", body=b"x"), 400),
    # Codings
    "gzip": (post(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"), 501),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "chunked, gzip": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 501),
    "chunked, chunked": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 501),
    "chunked, identity": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 501),
    "identity": (post(b"Transfer-Encoding: identity", body=b"x"), 501),
    "identity beside a length": (post(b"Transfer-Encoding: identity", b"Content-Length: 1", body=b"x"), 400),
    "empty coding": (post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), 501),
    "coding with a comma": (post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"), 501),
    "coding with a leading comma": (post(b"Transfer-Encoding: ,chunked", body=b"0\r\n\r\n"), 501),
    "coding with a parameter": (post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"), 501),
    "coding in quotes": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 501),
    "coding with a prefix": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501),
    "coding after a vertical tab": (post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"), 400),
    "coding twice": (post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    "coding twice, one unknown": (post(CHUNKED, b"Transfer-Encoding: x", body=b"0\r\n\r\n"), 400),
    "coding with a space before the colon": (post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), 400),
    "coding on a folded line": (post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), 400),
    "coding under HTTP/1.0": (get(CHUNKED, line=b"POST /a HTTP/1.0") + b"0\r\n\r\n", 400),
    # Field lines
    "space before the colon": (get(b"X-A : 1"), 400),
    "tab before the colon": (get(b"X-A\t: 1"), 400),
    "space before the name": (get(b" X-A: 1"), 400),
    "folded line": (get(b"X-A: 1", b" 2"), 400),
    "folded line by a tab": (get(b"X-A: 1", b"\t2"), 400),
    "folded first line": (b"GET /a HTTP/1.1\r\n Host: a.example\r\n\r\n", 400),
    "line without a colon": (get(b"X-A"), 400),
    "line of a colon": (get(b":"), 400),
    "empty name": (get(b": 1"), 400),
    "name with a space": (get(b"X A: 1"), 400),
    "name with a slash": (get(b"X/A: 1"), 400),
    "name with a bracket": (get(b"X[A]: 1"), 400),
    "name in quotes": (get(b'"X": 1'), 400),
    "name with a NUL": (get(b"X\0A: 1"), 400),
    "name with a high byte": (get(b"X\xffA: 1"), 400),
    "name with a control byte": (get(b"X\x01A: 1"), 400),
    "value with a NUL": (get(b"X-A: a\0b"), 400),
    "value with a bare CR": (get(b"X-A: a\rb"), 400),
    "value with a bare CR at its end": (get(b"X-A: a\r"), 400),
    "value with a bare LF": (get(b"X-A: a\nX-B: b"), 400),
    "value with an escape byte": (get(b"X-A: a\x1bb"), 400),
    "value with a DEL": (get(b"X-A: a\x7fb"), 400),
    "head ended by bare LFs": (b"GET /a HTTP/1.1\r\nHost: a.example\n\n", 400),
    "request line ended by LF": (b"GET /a HTTP/1.1\nHost: a.example\r\n\r\n", 400),
    "request line ended by CR": (b"GET /a HTTP/1.1\rHost: a.example\r\n\r\n", 400),
    "field line ended by CR CR LF": (b"GET /a HTTP/1.1\r\nHost: a.example\r\r\n\r\n", 400),
    # Request line
    "lower-case method": (get(line=b"get /a HTTP/1.1"), 400),
    "method with a colon": (get(line=b"GE:T /a HTTP/1.1"), 400),
    "no method": (get(line=b" /a HTTP/1.1"), 400),
    "no target": (get(line=b"GET HTTP/1.1"), 400),
    "two spaces before the target": (get(line=b"GET  /a HTTP/1.1"), 400),
    "two spaces after the target": (get(line=b"GET /a  HTTP/1.1"), 400),
    "tab for a space": (get(line=b"GET\t/a HTTP/1.1"), 400),
    "space in the target": (get(line=b"GET /a b HTTP/1.1"), 400),
    "tab in the target": (get(line=b"GET /a\tb HTTP/1.1"), 400),
    "NUL in the target": (get(line=b"GET /a\0b HTTP/1.1"), 400),
    "escaped NUL in the target": (get(line=b"GET /a%00b HTTP/1.1"), 400),
    "control byte in the target": (get(line=b"GET /a\x01b HTTP/1.1"), 400),
    "control byte in the query": (get(line=b"GET /a?b=\x01 HTTP/1.1"), 400),
    "DEL in the target": (get(line=b"GET /a\x7f HTTP/1.1"), 400),
    "CR in the target": (get(line=b"GET /a\rb HTTP/1.1"), 400),
    "bad escape in the target": (get(line=b"GET /a%zz HTTP/1.1"), 400),
    "half an escape in the target": (get(line=b"GET /a%2 HTTP/1.1"), 400),
    "target above the root": (get(line=b"GET /a/../../b HTTP/1.1"), 400),
    "target without a slash": (get(line=b"GET a HTTP/1.1"), 400),
    "asterisk": (get(line=b"OPTIONS * HTTP/1.1"), 400),
    "authority as target": (get(line=b"CONNECT a.example:443 HTTP/1.1"), 400),
    "absolute target with user": (get(line=b"GET http://u@a.example/a HTTP/1.1"), 400),
    "absolute target without a host": (get(line=b"GET http:///a HTTP/1.1"), 400),
    "absolute target of another scheme": (get(line=b"GET ftp://a.example/a HTTP/1.1"), 400),
    "absolute target with a bad host": (get(line=b"GET http://a,b/a HTTP/1.1"), 400),
    "TRACE": (get(line=b"TRACE /a HTTP/1.1"), 405),
    "CONNECT to a path": (get(line=b"CONNECT /a HTTP/1.1"), 405),
    # Versions
    "version 2.0": (get(line=b"GET /a HTTP/2.0"), 505),
    "version 1.2": (get(line=b"GET /a HTTP/1.2"), 505),
    "version 0.9": (get(line=b"GET /a HTTP/0.9"), 505),
    "version 1": (get(line=b"GET /a HTTP/1"), 400),
    "version 1.10": (get(line=b"GET /a HTTP/1.10"), 400),
    "version in lower case": (get(line=b"GET /a http/1.1"), 400),
    "version of another protocol": (get(line=b"GET /a ICAP/1.1"), 400),
    "no version": (b"GET /a\r\nHost: a.example\r\n\r\n", 400),
    "space after the version": (get(line=b"GET /a HTTP/1.1 "), 400),
    # Hosts
    "no host": (get(host=b""), 400),
    "empty host": (get(host=b"Host:"), 400),
    "two hosts": (get(b"Host: b.example"), 400),
    "two equal hosts": (get(b"Host: a.example"), 400),
    "two hosts in other case": (get(b"HOST: b.example"), 400),
    "host with a slash": (get(host=b"Host: a.example/b"), 400),
    "host with a comma": (get(host=b"Host: a.example, b.example"), 400),
    "host with a space": (get(host=b"Host: a b"), 400),
    "host with a bad port": (get(host=b"Host: a.example:x"), 400),
    "host of a port": (get(host=b"Host: :80"), 400),
    "host with a question mark": (get(host=b"Host: a.example?b"), 400),
    "host with a fragment": (get(host=b"Host: a.example#b"), 400),
    "host with a backslash": (get(host=b"Host: a.example\\b"), 400),
    "host with half a bracket": (get(host=b"Host: [::1"), 400),
    "host with a high byte": (get(host=b"Host: a\xe9.example"), 400),
    "absolute target without Host": (get(line=b"GET http://a.example/a HTTP/1.1", host=b""), 400),
}

# Bodies in chunks that are none, or not well-formed.
BAD_CHUNKS: dict[str, bytes] = {
    "size of no digits": b"\r\nabc\r\n0\r\n\r\n",
    "size of other letters": b"g\r\nabc\r\n0\r\n\r\n",
    "size with a plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size with a minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "size after a space": b" 3\r\nabc\r\n0\r\n\r\n",
    "size before a space": b"3 \r\nabc\r\n0\r\n\r\n",
    "size before a tab": b"3\t\r\nabc\r\n0\r\n\r\n",
    "size of 16 digits": b"0000000000000003\r\nabc\r\n0\r\n\r\n",
    "size that wraps 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size line ended by LF": b"3\nabc\r\n0\r\n\r\n",
    "size line ended by CR": b"3\rabc\r\n0\r\n\r\n",
    "size line ended by CR CR LF": b"3\r\r\nabc\r\n0\r\n\r\n",
    "data ended by LF": b"3\r\nabc\n0\r\n\r\n",
    "data ended by CR": b"3\r\nabc\r0\r\n\r\n",
    "data not ended": b"3\r\nabcdef\r\n0\r\n\r\n",
    "data longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "two bytes for an end": b"3\r\nabcXX0\r\n\r\n",
    "extension without a name": b"3;\r\nabc\r\n0\r\n\r\n",
    "extension with a bare LF": b"3;a=b\nabc\r\n0\r\n\r\n",
    "extension with a bare CR": b"3;a=\rb\r\nabc\r\n0\r\n\r\n",
    "extension with a control byte": b"3;a=\x01\r\nabc\r\n0\r\n\r\n",
    "extension with a space": b"3;a b\r\nabc\r\n0\r\n\r\n",
    "extension with an open quote": b'3;a="b\r\nabc\r\n0\r\n\r\n',
    "extension without end": b"3;" + b"a" * 400 + b"\r\nabc\r\n0\r\n\r\n",
    "last chunk ended by LF": b"3\r\nabc\r\n0\n\r\n",
    "end ended by LF": b"3\r\nabc\r\n0\r\n\n",
    "trailer without a colon": b"3\r\nabc\r\n0\r\nX-T\r\n\r\n",
    "trailer with a space before the colon": b"3\r\nabc\r\n0\r\nX-T : 1\r\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\nX-T: 1\r\n 2\r\n\r\n",
    "trailer with a NUL": b"3\r\nabc\r\n0\r\nX-T: \0\r\n\r\n",
    "trailer with a bare LF": b"3\r\nabc\r\n0\r\nX-T: 1\nX-U: 2\r\n\r\n",
    "trailers beyond the limit": b"3\r\nabc\r\n0\r\n" + b"X-T: 1\r\n" * 200 + b"\r\n",
    "a trailer beyond the limit": b"3\r\nabc\r\n0\r\nX-T: " + b"1" * 10_000 + b"\r\n\r\n",
}

# What is let in, and the body that the upstream is to get. None: no body at all.
LEGAL: dict[str, tuple[bytes, bytes | None]] = {
    "no body": (get(), None),
    "length": (post(b"Content-Length: 3", body=b"abc"), b"abc"),
    "length of nothing": (post(b"Content-Length: 0"), b""),
    "length with zeros": (post(b"Content-Length: 003", body=b"abc"), b"abc"),
    "length in other case": (post(b"cONTENT-lENGTH:3", body=b"abc"), b"abc"),
    "length between spaces and tabs": (post(b"Content-Length: \t 3 \t", body=b"abc"), b"abc"),
    "chunks": (chunks(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"abcde"),
    "no chunks": (chunks(b"0\r\n\r\n"), b""),
    "chunks in other case": (post(b"transfer-encoding:CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"), b"abc"),
    "sizes with zeros": (chunks(b"0003\r\nabc\r\n000\r\n\r\n"), b"abc"),
    "sizes in both cases": (chunks(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), b"01234567890123456789"),
    "extensions": (chunks(b'3;a;b=c;d="e f"\r\nabc\r\n0;x=y\r\n\r\n'), b"abc"),
    "trailers": (chunks(b"3\r\nabc\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n"), b"abc"),
    "data that looks like chunks": (chunks(b"8\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n"), b"0\r\n\r\n0\r\n"),
    "data that looks like a request": (post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), SMUGGLED),
    "HTTP/1.0": (get(line=b"POST /a HTTP/1.0") + b"", None),
    "HTTP/1.0 without a host": (get(line=b"GET /a HTTP/1.0", host=b""), None),
    "HTTP/1.0 with a length": (get(b"Content-Length: 3", line=b"POST /a HTTP/1.0") + b"abc", b"abc"),
    "absolute target": (get(line=b"GET http://b.example/a HTTP/1.1"), None),
    "empty lines first": (b"\r\n\r\n" + get(), None),
    "a body of GET": (get(b"Content-Length: 3") + b"abc", b"abc"),
    "a large body in chunks": (chunks(b"ffff\r\n" + b"x" * 65535 + b"\r\n0\r\n\r\n"), b"x" * 65535),
    "a body larger than is held": (post(b"Content-Length: 300000", body=b"y" * 300_000), b"y" * 300_000),
    "chunks larger than is held": (chunks(b"493e0\r\n" + b"z" * 300_000 + b"\r\n0\r\n\r\n"), b"z" * 300_000),
}

_REQUEST_LINE = re.compile(r"[A-Z]+ /[!-~]* HTTP/1\.1")
_FIELD_LINE = re.compile(rb"[A-Za-z0-9_-]+: [\t -~\x80-\xff]*")


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_refused_and_nothing_forwarded(gateway: Gateway, name: str) -> None:
    request, status = BAD_HEADS[name]
    gateway.forget()
    before = gateway.counts()["requests_total"]
    with gateway.connect() as wire:
        wire.send(request + SMUGGLED)
        answer = wire.read()
        assert answer.status == status
        assert answer.is_whole
        assert answer.values("connection") == ["close"]
        assert wire.is_closed()
    assert gateway.settled() == []
    refused, sentinel = gateway.records(2)
    assert (refused.status, refused.source) == (status, "kong")
    assert sentinel.status == 200
    logged, _ = gateway.log_entries(2)
    assert logged["response"]["status"] == status
    assert "route" not in logged
    assert logged["upstream_uri"] == ""
    # The one that was refused and the one that came after everything; none for what followed on the connection.
    assert gateway.counts()["requests_total"] == before + 2


@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("is_cut", [False, True], ids=["at once", "byte by byte"])
def test_a_bad_chunk_is_refused_and_nothing_forwarded(gateway: Gateway, name: str, is_cut: bool) -> None:
    request = chunks(BAD_CHUNKS[name])
    gateway.forget()
    with gateway.connect() as wire:
        if is_cut and len(request) < 600:
            for at in range(len(request)):
                wire.send(request[at : at + 1])
        else:
            wire.send(request)
        wire.send(SMUGGLED)
        answer = wire.read()
        assert answer.status == 400
        assert wire.is_closed()
    assert gateway.settled() == []
    assert [each.status for each in gateway.records(2)] == [400, 200]


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_let_in_leaves_in_one_form(gateway: Gateway, name: str) -> None:
    request, content = LEGAL[name]
    gateway.forget()
    with gateway.connect() as wire:
        wire.send(request)
        assert wire.read().status == 200
    (forwarded,) = gateway.settled()
    assert _REQUEST_LINE.fullmatch(forwarded.line)
    lines = forwarded.head.split(b"\r\n")[1:]
    assert all(_FIELD_LINE.fullmatch(line) for line in lines), lines
    assert len(forwarded.values("host")) == 1
    lengths, codings = forwarded.values("content-length"), forwarded.values("transfer-encoding")
    if content is None:
        assert (lengths, codings) == ([], [])
        assert forwarded.body == b""
    else:
        assert (len(lengths), codings) in ((1, []), (0, ["chunked"]))
        assert lengths in ([], [str(len(content))])
        assert forwarded.content == content
    # Of trailers only those that say nothing of the framing.
    assert {name for name, _ in forwarded.trailers} <= {"X-T", "x-t"}


def test_requests_that_follow_each_other_stay_apart(gateway: Gateway) -> None:
    requests = [request for request, _ in LEGAL.values() if b"HTTP/1.0" not in request]
    wanted = [content for request, content in LEGAL.values() if b"HTTP/1.0" not in request]
    gateway.forget()
    with gateway.connect() as wire:
        for request in requests:
            wire.send(request)
            assert wire.read().status == 200
        wire.send(b"".join(requests[:8]))
        assert [wire.read().status for _ in range(8)] == [200] * 8
    forwarded = gateway.settled()
    assert [each.content for each in forwarded] == [content or b"" for content in wanted + wanted[:8]]


def test_a_refusal_ends_the_requests_behind_it(gateway: Gateway) -> None:
    gateway.forget()
    with gateway.connect() as wire:
        wire.send(get() + chunks(b"zz\r\n") + SMUGGLED)
        assert [wire.read().status, wire.read().status] == [200, 400]
        assert wire.is_closed()
    assert [each.target for each in gateway.settled()] == ["/a"]


def test_a_body_that_stops_short_is_never_passed_as_whole(gateway: Gateway) -> None:
    gateway.forget()
    for request in (post(b"Content-Length: 9", body=b"abc"), chunks(b"9\r\nabc"), chunks(b"3\r\nabc\r\n")):
        with gateway.connect() as wire:
            wire.send(request)
            wire.finish()
            wire.rest()
    assert gateway.settled() == []


def test_a_target_is_never_mended_into_legality(gateway: Gateway) -> None:
    for byte in [*range(0x21), 0x7F]:
        if byte in {0x0A, 0x0D}:
            continue
        assert ask(gateway.port, get(line=b"GET /a%cb HTTP/1.1" % byte)).status == 400, byte
        assert ask(gateway.port, get(line=b"GET /a?%cb HTTP/1.1" % byte)).status == 400, byte
    assert gateway.settled() == []


def test_whatever_bytes_a_value_holds_the_head_keeps_its_lines(gateway: Gateway) -> None:
    gateway.forget()
    allowed = [byte for byte in range(256) if byte == 9 or 0x20 <= byte < 0x7F or byte >= 0x80]
    for byte in range(256):
        answer = ask(gateway.port, get(b"X-V: a%cb" % byte))
        assert answer.status == (200 if byte in allowed else 400), byte
    forwarded = gateway.settled()
    assert [each.values("x-v") for each in forwarded] == [[f"a{chr(byte)}b"] for byte in allowed]


def test_a_head_may_come_byte_by_byte(gateway: Gateway) -> None:
    gateway.forget()
    with Wire(gateway.port) as wire:
        for byte in get(b"X-A: 1"):
            wire.send(bytes([byte]))
        assert wire.read().status == 200
    (forwarded,) = gateway.settled()
    assert forwarded.values("x-a") == ["1"]


def test_a_fault_behind_what_was_passed_on_already_cuts_the_upstream_off(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    upstream.hang_up()
    connections = len(upstream.raw)
    with gateway.connect() as wire:
        wire.send(chunks(b"493e0\r\n" + b"z" * 300_000 + b"\r\nzz\r\n0\r\n\r\n") + SMUGGLED)
        assert wire.read().status == 400
        assert wire.is_closed()
    assert gateway.settled() == []
    passed = bytes(upstream.raw[connections])
    assert passed.count(b"POST /a") == 1
    assert not passed.endswith(b"0\r\n\r\n")
    assert b"smuggled" not in passed
