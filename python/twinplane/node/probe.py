"""One probe of one address: connect, shake hands, ask, read how it answers. Judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

Verdict = str | dict[str, int]
"""`alive`, `garbage`, `tcp_failure`, `timeout`, or `{"status": 200}`: as the core takes it."""

ANSWER_BYTES_MAX = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|$)")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS = 4
_FRAME_HEAD_BYTES = 9


@dataclass(frozen=True, slots=True)
class Question:
    """How an address is asked."""

    kind: str
    """`tcp`, `http`, `https`, `grpc` or `grpcs`."""
    timeout_s: float
    host: str
    path: str
    headers: Mapping[str, Sequence[str]]
    tls: ssl.SSLContext | None
    server_name: str | None

    def request(self) -> bytes:
        """The request of a probe over HTTP."""
        lines = [f"GET {quote(self.path, safe=_PATH_SAFE)} HTTP/1.1", "Connection: close"]
        named = {name.lower() for name in self.headers}
        if "host" not in named:
            lines.append(f"Host: {self.host}")
        for name, values in self.headers.items():
            lines += [f"{name}: {_one_line(value)}" for value in values]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


_PATH_SAFE = "/%:@!$&'()*+,;=-._~?"


async def probe(address: str, port: int, question: Question) -> Verdict:
    """What an address answers. A peer can keep it no longer than its timeout, nor make it hold more than a line."""
    try:
        async with asyncio.timeout(question.timeout_s):
            return await _asked(address, port, question)
    except TimeoutError:
        return "timeout"
    except (asyncio.LimitOverrunError, ValueError):
        return "garbage"
    except (OSError, EOFError):
        return "tcp_failure"


async def _asked(address: str, port: int, question: Question) -> Verdict:
    reader, writer = await asyncio.open_connection(
        address, port, limit=ANSWER_BYTES_MAX, ssl=question.tls, server_hostname=question.server_name
    )
    try:
        if question.kind == "tcp":
            return "alive"
        if question.kind in {"grpc", "grpcs"}:
            return await _speaks_http2(reader, writer)
        writer.write(question.request())
        await writer.drain()
        found = _STATUS_LINE.match(await reader.readuntil(b"\n"))
        return {"status": int(found[1])} if found else "garbage"
    finally:
        # What is left to say does not matter.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _speaks_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Verdict:
    """A gRPC server is alive when it answers the preface with settings, as every speaker of HTTP/2 does first."""
    writer.write(_PREFACE)
    await writer.drain()
    head = await reader.readexactly(_FRAME_HEAD_BYTES)
    return "alive" if head[3] == _SETTINGS and head[5:] == b"\x00\x00\x00\x00" else "garbage"


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
