"""A small HTTP/1.1 server for a node's own ports: whole requests in, whole answers out, limits on everything.

For operators and scrapers on a trusted side; client traffic never comes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from twinplane.node.proxy_header import HeaderInvalid, take_header
from twinplane.node.sockets import open_socket
from twinplane.settings import Listener

HEAD_BYTES_MAX = 16_384
BODY_BYTES_MAX = 65_536
CONNECTIONS_MAX = 256
HEAD_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A received request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What to answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, value: object) -> HttpAnswer:
    """An answer of JSON."""
    return HttpAnswer(status, orjson.dumps(value))


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer]]
Answered = Callable[[str, str, int, str], None]
"""Told of each answered request: method, path without query, status, address of the peer."""


class _Malformed(Exception):
    """The request cannot be understood, or is beyond a limit."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpServer:
    """Serves one handler on any number of listeners."""

    def __init__(self, handler: Handler, *, server_name: str, answered: Answered | None = None) -> None:
        self._handler = handler
        self._answered = answered
        self._server_name = server_name
        self._servers: list[asyncio.Server] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a listener; port 0 takes any. The answer is the port. Raises OSError."""
        return await self.listen_as(Listener(address, port), tls)

    async def listen_as(self, listener: Listener, tls: ssl.SSLContext | None) -> int:
        """Open a listener with all its flags. The answer is the port. Raises OSError."""
        opened = open_socket(listener)
        port: int = opened.getsockname()[1]
        if listener.proxy_protocol:
            # Whoever comes in is read by hand up to the end of the header, and only then by a stream.
            accepting = asyncio.create_task(self._accept_behind_header(opened, tls))
            self._accepting.append(accepting)
        else:
            server = await asyncio.start_server(
                self._accept,
                sock=opened,
                ssl=tls,
                limit=HEAD_BYTES_MAX,
                backlog=listener.backlog,
                ssl_handshake_timeout=HEAD_TIMEOUT_S if tls else None,
            )
            self._servers.append(server)
        return port

    async def close(self) -> None:
        """Close the listeners and all connections."""
        for server in self._servers:
            server.close()
        tasks = [*self._accepting, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    async def _accept_behind_header(self, opened: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        with opened:
            while True:
                try:
                    connection, _ = await loop.sock_accept(opened)
                except OSError:
                    # Whatever befell the one connection, or the descriptors of the process.
                    await asyncio.sleep(0.1)
                    continue
                if len(self._connections) >= CONNECTIONS_MAX:
                    connection.close()
                    continue
                task = asyncio.create_task(self._take(connection, tls))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)

    async def _take(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Take the PROXY header off a connection, then serve it."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=HEAD_BYTES_MAX, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, self._accept, loop=loop)
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                await take_header(connection)
                await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=tls, ssl_handshake_timeout=HEAD_TIMEOUT_S if tls else None
                )
        except (HeaderInvalid, OSError, TimeoutError) as error:
            _log.debug("status_connection_refused detail=%s", error)
            connection.close()
        except BaseException:
            connection.close()
            raise

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        timeout_s = HEAD_TIMEOUT_S
        with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
            while True:
                try:
                    async with asyncio.timeout(timeout_s):
                        request = await _read(reader)
                except _Malformed as error:
                    body = {"message": HTTPStatus(error.status).phrase}
                    self._tell("-", "-", error.status, writer)
                    await self._write(writer, json_answer(error.status, body), is_head=False, is_last=True)
                    return
                if request is None:
                    return
                answer = await self._answer(request)
                self._tell(request.method, request.path, answer.status, writer)
                is_last = request.headers.get("connection", "").lower() == "close"
                await self._write(writer, answer, is_head=request.method == "HEAD", is_last=is_last)
                if is_last:
                    return
                timeout_s = IDLE_TIMEOUT_S

    def _tell(self, method: str, path: str, status: int, writer: asyncio.StreamWriter) -> None:
        if self._answered is not None:
            peer = writer.get_extra_info("peername")
            self._answered(method, path, status, str(peer[0]) if peer else "")

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        try:
            return await self._handler(request)
        except Exception:
            _log.exception("status_request_failed path=%s", request.path)
            return json_answer(500, {"message": "An unexpected error occurred"})

    async def _write(self, writer: asyncio.StreamWriter, answer: HttpAnswer, *, is_head: bool, is_last: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Server: {self._server_name}"]
        if answer.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Connection: {'close' if is_last else 'keep-alive'}", "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        writer.write(head if is_head else head + answer.body)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request, None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Malformed(431) from None
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise _Malformed(400) from None
        return None
    lines = head[:-4].split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[1].startswith(b"/") or not words[0].isalpha():
        raise _Malformed(400)
    headers = _headers(lines[1:])
    if words[2] == b"HTTP/1.0":
        # Health checks of balancers speak it: no host, one request a connection.
        headers["connection"] = "close"
    elif words[2] != b"HTTP/1.1" or "host" not in headers:
        raise _Malformed(400)
    body = await _read_body(reader, headers)
    parts = urlsplit(words[1].decode("latin-1"))
    query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100))
    return HttpRequest(words[0].decode(), unquote(parts.path), query, headers, body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        if not colon or not name or name != name.strip() or key in headers:
            raise _Malformed(400)
        headers[key] = value.strip().decode("latin-1")
    return headers


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise _Malformed(501)
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise _Malformed(400)
    if int(length) > BODY_BYTES_MAX:
        raise _Malformed(413)
    return await reader.readexactly(int(length))
