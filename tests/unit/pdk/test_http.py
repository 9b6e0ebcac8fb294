"""Requests of plugins, asked of a server on loopback that keeps what it reads."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socketserver
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable

import pytest

from twinplane.pdk.http import Http, HttpFailed, HttpLimits, HttpPool, HttpResponseTooLarge

_LIMITS = HttpLimits(response_bytes_max=1000, timeout_s=60)

Work = Callable[[HttpPool, str, list[bytes]], Awaitable[None]]


def asked(reply: bytes, work: Work) -> None:
    """Do `work` beside a server that answers all with `reply`; it is told the address, and sees the heads."""
    heads: list[bytes] = []

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = list(itertools.takewhile(bytes.strip, self.rfile))
            if not lines:
                return
            heads.append(b"".join(lines).lower())
            # Who has read enough goes away.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(reply)

    async def run(url: str) -> None:
        pool = HttpPool(_LIMITS)
        try:
            await work(pool, url, heads)
        finally:
            await pool.close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            asyncio.run(run(f"http://127.0.0.1:{server.server_address[1]}/"))
        finally:
            server.shutdown()
            serving.join()


def replied(*headers: str, body: bytes = b"ok") -> bytes:
    lines = ["HTTP/1.1 200 OK", "Connection: close", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_cookie_that_one_plugin_is_told_goes_out_with_no_request_after_it() -> None:
    async def work(pool: HttpPool, url: str, heads: list[bytes]) -> None:
        one, other = Http(pool, "one"), Http(pool, "other")
        told = await one.get(url)
        assert told.headers["set-cookie"] == "session=alice; Path=/"
        await other.get(url)
        await one.get(url)
        assert len(heads) == 3
        assert not any(b"cookie:" in head for head in heads)
        await other.get(url, headers={"Cookie": "own=1"})
        assert b"\r\ncookie: own=1\r\n" in heads[-1]

    asked(replied("Set-Cookie: session=alice; Path=/"), work)


@pytest.mark.parametrize(
    "headers", [{"X-Note": "\u20ac"}, {"X-Note": "a\r\nX-Other: b"}, {"Not a name": "a"}], ids=["euro", "lines", "name"]
)
def test_headers_that_cannot_be_sent_are_failures(headers: dict[str, str]) -> None:
    async def work(pool: HttpPool, url: str, heads: list[bytes]) -> None:
        with pytest.raises(HttpFailed, match=url):
            await Http(pool, "one").get(url, headers=headers)
        assert (heads, pool.counts["one", "failed"]) == ([], 1)

    asked(replied(), work)


@pytest.mark.parametrize("url", ["http://a..b/", "http://h:x/", "ftp://h/", "/only/a/path", "http://\u20ac\x00/"])
def test_places_that_cannot_be_asked_are_failures(url: str) -> None:
    async def run() -> None:
        pool = HttpPool(_LIMITS)
        with pytest.raises(HttpFailed):
            await Http(pool, "one").get(url)
        await pool.close()

    asyncio.run(run())


def test_trust_that_cannot_be_read_is_a_failure() -> None:
    def trust() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations("/not/there.pem")
        return context

    async def run() -> None:
        pool = HttpPool(_LIMITS, trust)
        with pytest.raises(HttpFailed, match="certificates to trust"):
            await Http(pool, "one").get("https://127.0.0.1:1/")
        assert pool.counts["one", "failed"] == 1

    asyncio.run(run())


_BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
_PACKED = {
    "gzip": gzip.compress(b"packed" * 100),
    "deflate": zlib.compress(b"packed" * 100),
    "Deflate": _BARE.compress(b"packed" * 100) + _BARE.flush(),
    "deflate, gzip": gzip.compress(zlib.compress(b"packed" * 100)),
    "identity": b"packed" * 100,
    "not-known": b"packed" * 100,
}


@pytest.mark.parametrize("encoding", _PACKED)
def test_compressed_answers_are_unpacked(encoding: str) -> None:
    async def work(pool: HttpPool, url: str, heads: list[bytes]) -> None:
        assert (await Http(pool, "one").get(url)).body == b"packed" * 100
        assert b"\r\naccept-encoding: gzip, deflate\r\n" in heads[0]

    asked(replied(f"Content-Encoding: {encoding}", body=_PACKED[encoding]), work)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", _PACKED["gzip"][:-9]),
        ("deflate", b"x"),
        ("gzip", b"no gzip at all"),
        ("gzip, gzip, gzip, gzip, gzip", b""),
    ],
    ids=["cut", "begun", "other", "deep"],
)
def test_answers_that_cannot_be_unpacked_are_failures(encoding: str, body: bytes) -> None:
    async def work(pool: HttpPool, url: str, _heads: list[bytes]) -> None:
        with pytest.raises(HttpFailed):
            await Http(pool, "one").get(url)
        assert pool.counts["one", "failed"] == 1

    asked(replied(f"Content-Encoding: {encoding}", body=body), work)


def test_the_limit_is_of_the_unpacked_body_to_the_byte() -> None:
    async def work(pool: HttpPool, url: str, _heads: list[bytes]) -> None:
        assert len((await Http(pool, "one").get(url)).body) == _LIMITS.response_bytes_max

    async def refused(pool: HttpPool, url: str, _heads: list[bytes]) -> None:
        with pytest.raises(HttpResponseTooLarge):
            await Http(pool, "one").get(url)
        assert pool.counts["one", "too_large"] == 1

    for length, wanted in ((1000, work), (1001, refused), (1_000_000, refused)):
        asked(replied("Content-Encoding: gzip", body=gzip.compress(b"a" * length)), wanted)
        asked(replied(body=b"a" * length), wanted)


def test_what_unpacks_to_much_takes_no_memory() -> None:
    async def work(pool: HttpPool, url: str, _heads: list[bytes]) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(HttpResponseTooLarge):
                await Http(pool, "one").get(url)
            assert tracemalloc.get_traced_memory()[1] < 32 << 20
        finally:
            tracemalloc.stop()

    asked(replied("Content-Encoding: gzip", body=gzip.compress(bytes(200 << 20))), work)
