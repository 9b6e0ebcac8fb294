"""A client that writes bytes as they are, and reads what comes back with the same strictness that it expects."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """One response, or what came in its place."""

    status: int
    """0: the connection was closed, or reset, before a whole head."""
    head: bytes = b""
    body: bytes = b""
    is_whole: bool = True
    """Whether the body came to its framed end."""

    def values(self, name: str) -> list[str]:
        """All values under a name, whatever its case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        fields = (line.partition(":") for line in lines)
        return [value.strip() for key, _, value in fields if key.lower() == name.lower()]


class Wire:
    """One connection to a gateway."""

    def __init__(
        self, port: int, *, context: ssl.SSLContext | None = None, server_name: str = "localhost", source: str = ""
    ) -> None:
        sock: socket.socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S, source_address=(source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=server_name)
        self.sock = sock
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Write; a gateway that has closed already is no error."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.sock.sendall(data)

    def finish(self) -> None:
        """Say that nothing more comes."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def read(self, *, is_head: bool = False) -> Answer:
        """The next response that is not an interim one."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return Answer(0, self.buffer)
            status = int(head.split(b" ")[1])
            if status >= 200 or status == 101:
                return self._body(head, status, is_head=is_head)

    def is_closed(self) -> bool:
        """Whether nothing more comes. Waits; a connection that stays open is an error of its own."""
        try:
            return not self._more() and not self.buffer
        except TimeoutError:
            return False

    def rest(self) -> bytes:
        """Everything up to the close."""
        while self._more():
            pass
        return self.buffer

    def _body(self, head: bytes, status: int, *, is_head: bool) -> Answer:
        named = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in head.split(b"\r\n")[1:]}
        if is_head or status in {101, 204, 304}:
            return Answer(status, head)
        if named.get(b"transfer-encoding") == b"chunked":
            return self._chunked(head, status)
        if b"content-length" in named:
            length = int(named[b"content-length"])
            body = self._exactly(length)
            return Answer(status, head, body, is_whole=len(body) == length)
        body, self.buffer = self.rest(), b""
        return Answer(status, head, body)

    def _chunked(self, head: bytes, status: int) -> Answer:
        body = b""
        while True:
            line = self._until(b"\r\n")
            if line is None:
                return Answer(status, head, body, is_whole=False)
            size = int(line, 16)
            piece = self._exactly(size + 2)
            body += piece[:size]
            if size == 0 or len(piece) < size + 2:
                return Answer(status, head, body, is_whole=piece == b"\r\n")

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count and self._more():
            pass
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def _until(self, end: bytes) -> bytes | None:
        while end not in self.buffer:
            if not self._more():
                return None
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def _more(self) -> bool:
        try:
            data = self.sock.recv(262144)
        except (ConnectionError, ssl.SSLError):
            return False
        self.buffer += data
        return bool(data)


def ask(port: int, data: bytes, *, is_head: bool = False, source: str = "") -> Answer:
    """What is answered to bytes on a connection of their own, from an address of one's own."""
    with Wire(port, source=source) as wire:
        wire.send(data)
        return wire.read(is_head=is_head)
