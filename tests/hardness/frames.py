"""HTTP/2 written frame by frame, well-formed or not, over plain text."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.conformance.proxy.h2_client import fields_of

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATIENCE_S = 20.0
# No table, so that a block can be read by itself.
_NO_TABLE = struct.pack("!HI", 1, 0)

Fields = Sequence[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block that changes no table: literals alone, so that any byte can be said."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def request(*more: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/a") -> list[tuple[bytes, bytes]]:
    """The fields of a request."""
    return [
        (b":method", method),
        (b":scheme", b"http"),
        (b":authority", b"a.example"),
        (b":path", path),
        *more,
    ]


def _text(text: bytes) -> bytes:
    return integer(len(text), 7) + text


def integer(value: int, bits: int, first: int = 0) -> bytes:
    """A number as HPACK writes it."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass
class Reply:
    """What came on one stream."""

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_ended: bool = False
    reset: int | None = None
    """The code of the reset."""


class FrameWire:
    """One connection. A thread reads what comes; what is written goes out as it is."""

    def __init__(self, port: int, *, settings: bytes = b"", acknowledges: bool = True, source: str = "") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), _PATIENCE_S, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.goaway: int | None = None
        self.is_closed = threading.Event()
        self._replies: dict[int, Reply] = {}
        self._changed = threading.Condition()
        self._acknowledges = acknowledges
        self.send(_PREFACE + frame(SETTINGS, 0, 0, _NO_TABLE + settings))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(_PATIENCE_S)
        self.sock.close()

    def send(self, data: bytes) -> bool:
        """Write; says whether the gateway still took it."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def ask(self, stream: int, fields: Fields, body: bytes | None = None) -> None:
        """Send a request whose parts are each one frame."""
        flags = END_HEADERS | (END_STREAM if body is None else 0)
        self.send(frame(HEADERS, flags, stream, block(fields)))
        if body is not None:
            self.send(frame(DATA, END_STREAM, stream, body))

    def reply(self, stream: int) -> Reply:
        """What came on a stream, once it has ended, was reset, or the connection is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over(stream), _PATIENCE_S)
            assert self.is_over(stream), "nothing came"
            return self._replies.get(stream, Reply())

    def ended(self) -> bool:
        """Whether the gateway ends the connection."""
        return self.is_closed.wait(_PATIENCE_S)

    def is_over(self, stream: int) -> bool:
        """Whether nothing more comes on a stream."""
        reply = self._replies.get(stream)
        return self.is_closed.is_set() or (reply is not None and (reply.is_ended or reply.reset is not None))

    def _read(self) -> None:
        headers = b""
        with contextlib.suppress(OSError):
            for kind, flags, stream, payload in self._frames():
                with self._changed:
                    reply = self._replies.setdefault(stream, Reply())
                    if kind in {HEADERS, CONTINUATION}:
                        headers += payload
                        if flags & END_HEADERS:
                            self._take(reply, headers)
                            headers = b""
                    elif kind == DATA:
                        reply.body += payload
                    elif kind == RST_STREAM:
                        reply.reset = int.from_bytes(payload)
                    elif kind == GOAWAY:
                        self.goaway = int.from_bytes(payload[4:8])
                    elif kind == SETTINGS and not flags & ACK and self._acknowledges:
                        self.send(frame(SETTINGS, ACK, 0))
                    if kind in {HEADERS, DATA} and flags & END_STREAM:
                        reply.is_ended = True
                    self._changed.notify_all()
        with self._changed:
            self.is_closed.set()
            self._changed.notify_all()

    @staticmethod
    def _take(reply: Reply, headers: bytes) -> None:
        fields = list(fields_of(headers))
        named = dict(fields)
        if ":status" in named:
            reply.status = int(named[":status"])
        reply.fields += fields

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        buffer = b""
        while True:
            while len(buffer) < 9 or len(buffer) < 9 + int.from_bytes(buffer[:3]):
                self.sock.settimeout(_PATIENCE_S * 3)
                data = self.sock.recv(262144)
                if not data:
                    return
                buffer += data
            length = int.from_bytes(buffer[:3])
            yield buffer[3], buffer[4], int.from_bytes(buffer[5:9]) & 0x7FFFFFFF, buffer[9 : 9 + length]
            buffer = buffer[9 + length :]
