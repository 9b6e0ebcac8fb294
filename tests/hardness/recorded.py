"""An upstream that keeps every byte it is sent, as it came, and answers as it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_IDLE_S = 60.0
_WAIT_S = 20.0


@dataclass(frozen=True)
class Forwarded:
    """One request as it came over the wire."""

    head: bytes
    body: bytes
    """As framed: chunks with their sizes."""

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """What the request line asks for."""
        return self.line.split(" ")[1]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The header fields in order, as written."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """All values under a name, whatever its case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def content(self) -> bytes:
        """The body without its framing."""
        return self._unframed()[0]

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """The fields behind the body."""
        lines = self._unframed()[1].decode("latin-1").split("\r\n")
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines) if name]

    def _unframed(self) -> tuple[bytes, bytes]:
        if not self.values("transfer-encoding"):
            return self.body, b""
        content, rest = b"", self.body
        while True:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if length == 0:
                return content, rest
            content, rest = content + rest[:length], rest[length + 2 :]


@dataclass(frozen=True)
class Then:
    """A reply and what follows it."""

    data: bytes
    act: str = "keep"
    """`keep` the connection, `close` it, or `reset` it."""
    is_early: bool = False
    """Whether it is sent before the body is read."""


Reply = bytes | Then | Callable[[socket.socket, bytes], None]


class RecordingUpstream:
    """Listens until it is closed. A reply that is a function takes the connection over."""

    def __init__(
        self, *, port: int = 0, keeps_all: bool = True, answer: Callable[[Forwarded], Reply] = lambda _: OK
    ) -> None:
        self._keeps_all = keeps_all
        self._lock = threading.Lock()
        self._forwarded: list[Forwarded] = []
        self._replies: deque[Reply] = deque()
        self.answer = answer
        self.raw: list[bytearray] = []
        """Everything, by connection."""
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reply(self, *replies: Reply) -> None:
        """Answer the next requests so, in this order."""
        with self._lock:
            self._replies.extend(replies)

    def seen(self) -> list[Forwarded]:
        """Whole requests that have come since the last look."""
        with self._lock:
            found, self._forwarded = self._forwarded, []
        return found

    def wait(self, count: int) -> list[Forwarded]:
        """What has come, once it is as much as this."""
        found: list[Forwarded] = []
        end = time.monotonic() + _WAIT_S
        while len(found) < count and time.monotonic() < end:
            found += self.seen()
            if len(found) < count:
                time.sleep(0.005)
        return found

    def wait_unless(self, is_over: Callable[[], bool]) -> bool:
        """Whether another whole request came, before it was over."""
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            with self._lock:
                if self._forwarded:
                    self._forwarded.pop(0)
                    return True
            if is_over():
                return False
            time.sleep(0.001)
        return False

    def hang_up(self) -> None:
        """Close every connection, so that the next request comes over a new one."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening."""
        # Who waits for a connection would else hold the port.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_IDLE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = _Stream(connection, keeps_all=self._keeps_all)
        with self._lock:
            self.raw.append(stream.all)
            self._open.add(connection)
        try:
            while self._exchange(connection, stream):
                pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, connection: socket.socket, stream: _Stream) -> bool:
        head = stream.until(b"\r\n\r\n")
        if head is None:
            return False
        with self._lock:
            reply = self._replies.popleft() if self._replies else None
        if callable(reply):
            self._record(Forwarded(head, b""))
            reply(connection, stream.rest())
            return False
        if isinstance(reply, Then) and reply.is_early:
            self._record(Forwarded(head, b""))
        else:
            forwarded = Forwarded(head, stream.body(head))
            self._record(forwarded)
            chosen = self.answer(forwarded) if reply is None else reply
            if callable(chosen):
                chosen(connection, stream.rest())
                return False
            reply = chosen
        data, act = (reply.data, reply.act) if isinstance(reply, Then) else (reply, "keep")
        connection.sendall(data)
        if act == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return act == "keep"

    def _record(self, forwarded: Forwarded) -> None:
        with self._lock:
            self._forwarded.append(forwarded)


class _Stream:
    def __init__(self, connection: socket.socket, *, keeps_all: bool) -> None:
        self._connection = connection
        self._keeps_all = keeps_all
        self._buffer = b""
        self.all = bytearray()

    def until(self, end: bytes) -> bytes | None:
        while end not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(end)
        return found

    def rest(self) -> bytes:
        found, self._buffer = self._buffer, b""
        return found

    def body(self, head: bytes) -> bytes:
        named = dict(_field(line) for line in head.split(b"\r\n")[1:])
        if b"transfer-encoding" in named:
            return self._chunks()
        return self._exactly(int(named.get(b"content-length", b"0")))

    def _chunks(self) -> bytes:
        found = b""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                raise ConnectionError("the body was cut")
            found += line + b"\r\n"
            if int(line, 16) == 0:
                return found + self._trailers()
            found += self._exactly(int(line, 16) + 2)

    def _trailers(self) -> bytes:
        found = b""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                raise ConnectionError("the body was cut")
            found += line + b"\r\n"
            if not line:
                return found

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._more():
                raise ConnectionError("the body was cut")
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def _more(self) -> bool:
        data = self._connection.recv(65536)
        self._buffer += data
        if self._keeps_all:
            self.all += data
        return bool(data)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()
