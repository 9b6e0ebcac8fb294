"""Requests of plugins, asked of a server on loopback that keeps what it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from twinplane.pdk.http import Http, HttpLimits, HttpPool

_LIMITS = HttpLimits(response_bytes_max=1000, timeout_s=60)

Work = Callable[[HttpPool, str, list[bytes]], Awaitable[None]]


def asked(reply: bytes, work: Work) -> None:
    """Do `work` beside a server that answers all with `reply`; it is told the address, and sees the heads."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def run() -> None:
        pool = HttpPool(_LIMITS)
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await work(pool, f"http://127.0.0.1:{port}/", heads)
            finally:
                await pool.close()

    asyncio.run(run())


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
