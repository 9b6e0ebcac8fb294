"""Bytes of no meaning: the gateway answers, refuses or closes; it never fails inside, never hangs, and serves on."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hardness.frames import block, frame, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.test_framing import BAD_CHUNKS, BAD_HEADS, LEGAL, chunks
from tests.hardness.wire import ask

_PATIENCE_S = 30.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

H1_SEEDS = [
    *(request for request, _ in BAD_HEADS.values()),
    *(chunks(body) for body in BAD_CHUNKS.values() if len(body) < 2_000),
    *(request for request, _ in LEGAL.values() if len(request) < 2_000),
]
H2_SEEDS = [
    _PREFACE + frame(4, 0, 0),
    _PREFACE + frame(4, 0, 0) + frame(1, 5, 1, block(request())),
    _PREFACE + frame(4, 0, 0, b"\0\x04\0\0\xff\xff") + frame(1, 4, 1, block(request())) + frame(0, 1, 1, b"abc"),
    _PREFACE + frame(4, 0, 0) + frame(1, 0, 1, block(request())[:10]) + frame(9, 4, 1, block(request())[10:]),
    _PREFACE + frame(4, 0, 0) + frame(8, 0, 0, b"\x7f\xff\xff\xff") + frame(6, 0, 0, b"12345678"),
    _PREFACE + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
]
CLIENT_HELLO = bytes.fromhex(
    "16030100750100007103030000000000000000000000000000000000000000000000000000000000000000000004c02fc02b"
    "01000044000000100000000d00000961" + "2e6578616d706c65" + "000b00020100000a00080006001d00170018000d000a000804030804"
    "04010503002b0003020303"
)
TLS_SEEDS = [CLIENT_HELLO, CLIENT_HELLO[:20], b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x80\x2e\x01\0\x02" + b"\0" * 50]

FIXED = settings(
    derandomize=True, database=None, deadline=None, max_examples=150, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    limits = {"head_timeout_ms": 500, "body_timeout_ms": 500}
    with serving(upstream, limits=limits) as found:
        yield found


def mutated(data: bytes, seed: int) -> bytes:
    """The bytes with some changed, dropped, doubled or moved."""
    random = Random(seed)
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(found) + 1)
        what = random.randrange(6)
        if what == 0:
            found[at : at + 1] = bytes([random.randrange(256)])
        elif what == 1:
            found[at:at] = random.choice(
                [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\t", b"\xff", b"chunked", b"0\r\n\r\n"]
            )
        elif what == 2:
            del found[at : at + random.randint(1, 8)]
        elif what == 3:
            end = min(len(found), at + random.randint(1, 40))
            found[at:at] = found[at:end]
        elif what == 4:
            found = found[:at]
        elif found:
            at = min(at, len(found) - 1)
            found[at] ^= 1 << random.randrange(8)
    return bytes(found)


def answer_to(port: int, data: bytes) -> bytes:
    """All that comes back when nothing more is said."""
    told = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as sock:
        try:
            sock.sendall(data)
            # A client that says it is done is taken for one that left: first whatever is answered at once.
            ready, _, _ = select.select([sock], [], [], 0.03)
            told += sock.recv(65536) if ready else b""
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(65536):
                told += data
        except TimeoutError:
            raise
        except OSError:
            pass
    return told


def check(gateway: Gateway) -> None:
    """The gateway is as it was."""
    gateway.settled()
    assert gateway.core.status().invariant_broken == 0
    assert gateway.counts()["requests_active"] == 0


@FIXED
@given(st.sampled_from(range(len(H1_SEEDS))), st.integers(0, 1 << 30))
def test_http1(gateway: Gateway, number: int, seed: int) -> None:
    told = answer_to(gateway.port, mutated(H1_SEEDS[number], seed))
    for line in told.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 5"):
            assert line.startswith((b"HTTP/1.1 501 ", b"HTTP/1.1 505 ")), told
    check(gateway)


@FIXED
@given(st.sampled_from(range(len(H2_SEEDS))), st.integers(0, 1 << 30))
def test_http2(gateway: Gateway, number: int, seed: int) -> None:
    answer_to(gateway.h2_port, mutated(H2_SEEDS[number], seed))
    check(gateway)


@FIXED
@given(st.sampled_from(range(len(TLS_SEEDS))), st.integers(0, 1 << 30))
def test_tls(gateway: Gateway, number: int, seed: int) -> None:
    answer_to(gateway.tls_port, mutated(TLS_SEEDS[number], seed))
    check(gateway)


@FIXED
@given(st.binary(max_size=400))
def test_anything(gateway: Gateway, data: bytes) -> None:
    for port in (gateway.port, gateway.tls_port, gateway.h2_port):
        told = answer_to(port, data)
        assert not told.startswith(b"HTTP/1.1 500")
    check(gateway)


def test_what_no_request_ever_was_reaches_nobody(gateway: Gateway) -> None:
    """Of all these bytes only whole requests came through, each in the one form."""
    gateway.forget()
    for number, seed in enumerate(H1_SEEDS):
        answer_to(gateway.port, mutated(seed, number))
    for forwarded in gateway.settled():
        assert len(forwarded.values("host")) == 1
        assert len(forwarded.values("content-length")) + len(forwarded.values("transfer-encoding")) <= 1
        assert forwarded.target.startswith("/")


@pytest.fixture(scope="module")
def proxied(upstream: RecordingUpstream) -> Iterator[Gateway]:
    listen = "127.0.0.1:0 proxy_protocol, 127.0.0.1:0 ssl proxy_protocol"
    with serving(
        upstream, settings={"proxy_listen": listen, "trusted_ips": "127.0.0.1"}, limits={"head_timeout_ms": 500}
    ) as found:
        yield found


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x7f\0\0\x01\x04\xd2\0\x50"
PROXY_SEEDS = [
    b"PROXY TCP4 1.2.3.4 127.0.0.1 1234 80\r\n",
    b"PROXY TCP6 ::1 ::1 1234 80\r\n",
    b"PROXY UNKNOWN\r\n",
    V2,
    V2[:13] + b"\x00" + V2[14:],
    b"PROXY TCP4 " + b"1" * 200,
]


@FIXED
@given(st.sampled_from(range(len(PROXY_SEEDS))), st.integers(0, 1 << 30))
def test_proxy_protocol(proxied: Gateway, number: int, seed: int) -> None:
    answer_to(proxied.port, mutated(PROXY_SEEDS[number], seed) + b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert proxied.core.status().invariant_broken == 0
    assert ask(proxied.port, PROXY_SEEDS[0] + b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
