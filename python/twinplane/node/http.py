"""A small HTTP/1.1 server for a node's own ports: whole requests in, whole answers out, limits on everything.

For operators and scrapers on a trusted side; client traffic never comes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from twinplane.node.access_lines import AccessLines
from twinplane.node.http_listener import HttpListener
from twinplane.node.http_request import Head, HeldBytes, HttpLimits, HttpRequest, Malformed, read_body, read_head
from twinplane.node.proxy_header import HeaderInvalid, take_header
from twinplane.node.sockets import open_socket
from twinplane.settings import Listener

_LINGER_S = 2.0
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What to answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


def json_answer(status: int, value: object) -> HttpAnswer:
    """An answer of JSON."""
    return HttpAnswer(status, orjson.dumps(value))


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer]]
Refuse = Callable[[HttpRequest], HttpAnswer | None]
"""The answer to a request without its body that is not let in, else None."""
Answered = Callable[[str, str, int, str], None]
"""Told of each answered request: method, path without query, status, address of the peer."""


class HttpServer:
    """Serves one handler on any number of listeners."""

    def __init__(
        self,
        handler: Handler,
        *,
        server_name: str,
        answered: Answered | None = None,
        limits: HttpLimits | None = None,
        refuse: Refuse = lambda _: None,
        access: AccessLines | None = None,
        name: str = "status",
    ) -> None:
        """`refuse` may turn a request away by its head: its body is not read then. `access` takes a line for each.

        `name` is what its failures are logged under.
        """
        self._log = logging.getLogger(name)
        self._name = name
        self._access = access
        self._refuses = refuse
        self.refused: Counter[str] = Counter()
        """What was not let in or not understood: connections beyond their number, requests by status."""
        self._handler = handler
        self._limits = limits or HttpLimits()
        self._held = HeldBytes(self._limits.held_bytes_max)
        self._answered = answered
        self._server_name = server_name
        self.listeners: list[HttpListener] = []
        """What is listened on."""
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a listener; port 0 takes any. The answer is the port. Raises OSError."""
        return await self.listen_as(Listener(address, port), tls)

    async def listen_as(self, listener: Listener, tls: ssl.SSLContext | None) -> int:
        """Open a listener with all its flags. The answer is the port. Raises OSError."""
        return self.take_from(open_socket(listener), listener, tls).port

    def take_from(self, opened: socket.socket, listener: Listener, tls: ssl.SSLContext | None) -> HttpListener:
        """Serve who connects to a socket that listens already."""
        found = HttpListener(opened, listener, tls, self._take)
        self.listeners.append(found)
        return found

    def leave(self, listener: HttpListener) -> None:
        """Close a listener; who has connected there leaves after one more request."""
        self.listeners.remove(listener)
        listener.close()

    async def close(self) -> None:
        """Close the listeners and all connections."""
        for listener in [*self.listeners]:
            self.leave(listener)
        tasks = [*self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, connection: socket.socket, listener: HttpListener) -> None:
        if len(self._connections) >= self._limits.connections_max:
            self.refused["connections"] += 1
            connection.close()
            return
        task = asyncio.create_task(self._live(connection, listener))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _live(self, connection: socket.socket, listener: HttpListener) -> None:
        """One connection, from its first byte to its last."""
        try:
            reader, writer = await self._opened(connection, listener)
        except (HeaderInvalid, OSError, TimeoutError) as error:
            self._log.debug("%s_connection_refused detail=%s", self._name, error)
            connection.close()
            return
        except BaseException:
            connection.close()
            raise
        try:
            await self._serve(reader, writer, listener)
        finally:
            writer.close()

    async def _opened(
        self, connection: socket.socket, listener: HttpListener
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Take the PROXY header off a connection, and shake hands. Raises HeaderInvalid, OSError, TimeoutError."""
        loop, limits = asyncio.get_running_loop(), self._limits
        reader = asyncio.StreamReader(limit=limits.head_bytes_max, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        tls, is_announced = listener.tls, listener.settings.proxy_protocol
        async with asyncio.timeout(limits.head_timeout_s):
            if is_announced:
                # Read by hand up to its end: whatever follows is for the stream.
                await take_header(connection)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=tls,
                ssl_handshake_timeout=limits.head_timeout_s if tls else None,
            )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: HttpListener) -> None:
        limits, timeout_s = self._limits, self._limits.head_timeout_s
        peer = writer.get_extra_info("peername")
        with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
            while True:
                head: Head | None = None
                try:
                    async with asyncio.timeout(timeout_s):
                        head = await read_head(reader)
                    if head is None:
                        return
                    refusal = self._refuses(head.whole(b"", str(peer[0]) if peer else ""))
                    if refusal is not None:
                        await self._refuse(refusal, head, reader, writer)
                        return
                    async with asyncio.timeout(limits.body_timeout_s):
                        body = await read_body(head, reader, writer, limits, self._held)
                except Malformed as error:
                    answer = json_answer(error.status, {"message": HTTPStatus(error.status).phrase})
                    await self._refuse(answer, head, reader, writer)
                    return
                try:
                    request = head.whole(body, str(peer[0]) if peer else "")
                    is_last = await self._exchange(head, request, writer, listener)
                finally:
                    self._held.give(len(body))
                if is_last:
                    return
                timeout_s = limits.idle_timeout_s

    async def _exchange(
        self, head: Head, request: HttpRequest, writer: asyncio.StreamWriter, listener: HttpListener
    ) -> bool:
        """Answer one request; whether it was the last one of its connection."""
        answer = await self._answer(request)
        self._tell(request.method, request.path, answer.status, writer)
        self._note(head, answer, writer)
        is_last = answer.closes or listener.is_over or head.headers.get("connection", "").lower() == "close"
        await self._write(writer, answer, is_head=request.method == "HEAD", is_last=is_last)
        return is_last

    async def _refuse(
        self, answer: HttpAnswer, head: Head | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.refused[str(answer.status)] += 1
        self._tell("-", "-", answer.status, writer)
        self._note(head, answer, writer)
        await self._write(writer, answer, is_head=False, is_last=True)
        # What is still on its way is taken and forgotten: a reset would take the answer away from its reader.
        async with asyncio.timeout(_LINGER_S):
            while await reader.read(65_536):
                pass

    def _tell(self, method: str, path: str, status: int, writer: asyncio.StreamWriter) -> None:
        if self._answered is not None:
            peer = writer.get_extra_info("peername")
            self._answered(method, path, status, str(peer[0]) if peer else "")

    def _note(self, head: Head | None, answer: HttpAnswer, writer: asyncio.StreamWriter) -> None:
        if self._access is not None:
            peer = writer.get_extra_info("peername")
            is_bodiless = answer.status in _BODILESS or (head is not None and head.method == "HEAD")
            self._access.add(str(peer[0]) if peer else "", head, answer.status, 0 if is_bodiless else len(answer.body))

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        try:
            return await self._handler(request)
        except Exception:
            self._log.exception("%s_request_failed path=%s", self._name, request.path)
            return json_answer(500, {"message": "An unexpected error occurred"})

    async def _write(self, writer: asyncio.StreamWriter, answer: HttpAnswer, *, is_head: bool, is_last: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Server: {self._server_name}"]
        if answer.content_type and answer.status not in _BODILESS:
            lines.append(f"Content-Type: {answer.content_type}")
        if answer.status not in _BODILESS:
            lines.append(f"Content-Length: {len(answer.body)}")
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Connection: {'close' if is_last else 'keep-alive'}", "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        writer.write(head if is_head else head + answer.body)
        async with asyncio.timeout(self._limits.answer_timeout_s):
            await writer.drain()
