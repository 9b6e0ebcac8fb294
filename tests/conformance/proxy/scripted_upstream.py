"""Upstreams that answer as a recording says: raw bytes on plain sockets, one script for all of them at a time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEFAULT_REPLY = (
    b'HTTP/1.1 200 OK\r\nServer: echo\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"echo":"ok"}'
)
_IDLE_S = 30.0


@dataclass
class Arrival:
    """What reached an upstream."""

    to: str
    request_line: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    framing: str | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    is_connected_only: bool = False
    is_body_unread: bool = False


class Upstreams:
    """Several upstreams under names, that follow one script: the first request to arrive gets the first reply."""

    def __init__(self, names: Sequence[str]) -> None:
        self.ports: dict[str, int] = {}
        self._lock = threading.Lock()
        self._script: deque[Any] = deque()
        self._arrivals: list[Arrival] = []
        self._open: dict[socket.socket, bool] = {}
        self._listeners = []
        for name in names:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.ports[name] = listener.getsockname()[1]
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(name, listener), daemon=True).start()

    def play(self, replies: Sequence[Any]) -> None:
        """Take these replies for the next requests, forget what has arrived."""
        with self._lock:
            self._script = deque(replies)
            self._arrivals = []

    def arrivals(self) -> list[Arrival]:
        """What has arrived since the script was set."""
        with self._lock:
            return list(self._arrivals)

    def drop_idle(self) -> None:
        """Close connections on which nothing is under way, as a server does that saves its sockets."""
        with self._lock:
            idle = [connection for connection, is_idle in self._open.items() if is_idle]
        for connection in idle:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if idle:
            time.sleep(0.02)

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.close()
        self.drop_idle()

    def _accept(self, name: str, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(name, connection), daemon=True).start()

    def _serve(self, name: str, connection: socket.socket) -> None:
        connection.settimeout(_IDLE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            reply = self._script[0] if self._script else None
            acts_at_once = isinstance(reply, Mapping) and "on_connect" in reply
            if acts_at_once:
                self._script.popleft()
                self._arrivals.append(Arrival(name, is_connected_only=True))
            self._open[connection] = True
        try:
            if acts_at_once and isinstance(reply, Mapping):
                _perform(connection, reply["ops"], b"")
                return
            stream = _Stream(connection)
            while self._answer(name, connection, stream):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def _answer(self, name: str, connection: socket.socket, stream: _Stream) -> bool:
        with self._lock:
            self._open[connection] = True
        head = stream.until(b"\r\n\r\n")
        if head is None:
            return False
        lines = head.decode("latin-1").split("\r\n")
        headers = [_field(line) for line in lines[1:]]
        arrival = Arrival(name, lines[0], headers)
        with self._lock:
            self._open[connection] = False
            reply = self._script.popleft() if self._script else "default"
            self._arrivals.append(arrival)
        if isinstance(reply, Mapping) and "before_body" in reply:
            arrival.is_body_unread = True
            return _perform(connection, reply["ops"], b"")
        _read_body(stream, arrival)
        if isinstance(reply, Mapping):
            return _perform(connection, reply["ops"], stream.rest())
        connection.sendall(DEFAULT_REPLY)
        return True


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")


class _Stream:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def until(self, end: bytes) -> bytes | None:
        while end not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(end)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._more():
                break
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def rest(self) -> bytes:
        found, self._buffer = self._buffer, b""
        return found

    def _more(self) -> bool:
        data = self._connection.recv(65536)
        self._buffer += data
        return bool(data)


def _read_body(stream: _Stream, arrival: Arrival) -> None:
    named = {name.lower(): value for name, value in arrival.headers}
    if named.get("transfer-encoding", "").lower() == "chunked":
        arrival.framing = "chunked"
        while True:
            line = stream.until(b"\r\n")
            size = int((line or b"0").split(b";")[0], 16)
            if size == 0:
                break
            arrival.body += stream.exactly(size)
            stream.exactly(2)
        while line := stream.until(b"\r\n"):
            key, _, value = line.decode("latin-1").partition(":")
            arrival.trailers.append((key, value.strip()))
    elif "content-length" in named:
        arrival.framing = "length"
        arrival.body = stream.exactly(int(named["content-length"]))


def _perform(connection: socket.socket, ops: Sequence[Mapping[str, Any]], unread: bytes) -> bool:
    """Act as scripted; says whether the connection stays open."""
    for op in ops:
        if "send" in op:
            connection.sendall(op["send"].encode("latin-1"))
        elif "repeat" in op:
            text, times = op["repeat"]
            connection.sendall(text.encode("latin-1") * times)
        elif "sleep" in op:
            time.sleep(op["sleep"])
        elif "echo_frames" in op:
            connection.sendall(unread)
            while data := connection.recv(65536):
                connection.sendall(data)
            return False
        elif "reset" in op:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif "close" in op:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            return False
    return True
