"""Single steps on the way to a control plane, each bounded in time: resolve, connect, shake hands, one HTTP exchange.

Nothing is judged here; what goes wrong is raised as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from twinplane.hybrid.dial import Endpoint
from twinplane.hybrid.forward_proxy import ForwardProxy, open_tunnel

ADDRESSES_MAX = 8
_HTTP = b"HTTP/1."
_BODY_BYTES_MAX = 4_096
_FIELDS_MAX = 100


class NotHttp(Exception):
    """The answer is something else than HTTP. Carries the first bytes of it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to one request; field names in lower case, of a field that comes twice the first counts."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """How an endpoint is dialled: directly or through a proxy, with which server name, and how patiently."""

    endpoint: Endpoint
    server_name: str
    proxy: ForwardProxy | None
    timeout_s: float


async def resolve(host: str, port: int, timeout_s: float) -> Sequence[str]:
    """The addresses of a name, by the resolver of the system. Raises socket.gaierror, TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:ADDRESSES_MAX]


async def connect(address: str, port: int, timeout_s: float) -> float:
    """Seconds that a TCP connection took; it is closed again. Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(address, port)
    took = loop.time() - begun
    writer.transport.abort()
    return took


@contextlib.asynccontextmanager
async def tls_session(
    route: Route, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection with its handshake done. Raises OSError, ssl.SSLError, TimeoutError, LinkError (proxy)."""
    if route.proxy is not None:
        reader, writer = await open_tunnel(
            route.proxy, route.endpoint.authority, context, server_name=route.server_name, timeout_s=route.timeout_s
        )
    else:
        async with asyncio.timeout(route.timeout_s):
            reader, writer = await asyncio.open_connection(
                route.endpoint.host, route.endpoint.port, ssl=context, server_hostname=route.server_name
            )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, timeout_s: float
) -> HttpAnswer:
    """Send one request and read its answer. Raises NotHttp, OSError, ssl.SSLError, TimeoutError, EOFError."""
    async with asyncio.timeout(timeout_s):
        writer.write(request)
        await writer.drain()
        head = await _head(reader)
        status, fields = _parse(head)
        length = fields.get("content-length", "")
        size = min(int(length), _BODY_BYTES_MAX) if length.isdigit() and len(length) < 10 else 0
        body = b""
        with contextlib.suppress(asyncio.IncompleteReadError):
            body = await reader.readexactly(size) if size and status >= 200 else b""
        return HttpAnswer(status, fields, body)


def request_bytes(method: str, target: str, host: str, fields: Mapping[str, str]) -> bytes:
    """A request without a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _head(reader: asyncio.StreamReader) -> bytes:
    begin = await reader.readexactly(len(_HTTP))
    if begin != _HTTP:
        raise NotHttp(begin)
    try:
        return begin + (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.LimitOverrunError as error:
        raise NotHttp(begin) from error


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[1].isdigit() or len(words[1]) != 3:
        raise NotHttp(head[:40])
    fields: dict[str, str] = {}
    for line in lines[:_FIELDS_MAX]:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return int(words[1]), fields
