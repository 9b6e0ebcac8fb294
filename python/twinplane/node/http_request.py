"""One HTTP/1.1 request off a connection of a node's own ports, whole and within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNK_LINE_BYTES_MAX = 128
_PIECE_BYTES = 65_536
_ARGUMENTS_MAX = 100
# Two of these would leave open which one is meant.
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "authorization"})


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one port takes. `held_bytes_max` is the sum of all bodies that are in memory at a time."""

    head_bytes_max: int = 16_384
    body_bytes_max: int = 65_536
    held_bytes_max: int = 8 * 1024 * 1024
    connections_max: int = 256
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    answer_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A received request. Header names are in lower case; `target` is path and query as sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    target: str = ""
    peer: str = ""


class Malformed(Exception):
    """The request cannot be understood, or is beyond a limit."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HeldBytes:
    """How much of the bodies of one port is in memory."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    def take(self, count: int) -> None:
        """Make room for so many bytes. Raises Malformed."""
        if self.held + count > self._bytes_max:
            raise Malformed(503)
        self.held += count

    def give(self, count: int) -> None:
        """So many bytes are needed no more."""
        self.held -= count


@dataclass(slots=True)
class Head:
    """The head of a request, and how its body comes."""

    method: str
    target: str
    version: str
    headers: dict[str, str]

    @property
    def is_chunked(self) -> bool:
        """Whether the body says by itself where it ends."""
        return "transfer-encoding" in self.headers

    def whole(self, body: bytes, peer: str) -> HttpRequest:
        """The request with its body. Raises Malformed."""
        path, _, arguments = self.target.partition("#")[0].partition("?")
        try:
            query = dict(parse_qsl(arguments, keep_blank_values=True, max_num_fields=_ARGUMENTS_MAX))
        except ValueError:
            raise Malformed(400) from None
        return HttpRequest(self.method, unquote(path), query, self.headers, body, self.target, peer)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of the next request, None at the end of the connection. Raises Malformed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Malformed(431) from None
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise Malformed(400) from None
        return None
    lines = head[:-4].split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[1].startswith(b"/") or not words[0].isalpha():
        raise Malformed(400)
    headers = _headers(lines[1:])
    if words[2] == b"HTTP/1.0":
        # Health checks of balancers speak it: no host, one request a connection.
        headers["connection"] = "close"
    elif words[2] != b"HTTP/1.1" or "host" not in headers:
        raise Malformed(400)
    return Head(words[0].decode(), words[1].decode("latin-1"), words[2].decode(), headers)


async def read_body(
    head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: HttpLimits, held: HeldBytes
) -> bytes:
    """The body; its length counts as held from then on. Raises Malformed, and holds nothing then."""
    length = _length(head, limits)
    if length == 0:
        return b""
    if head.headers.get("expect", "").lower() == "100-continue":
        writer.write(_CONTINUE)
    if length is None:
        return await _read_chunks(reader, limits, held)
    parts: list[bytes] = []
    taken = 0
    try:
        # What has arrived counts, not what was announced: nobody keeps others out with a promise.
        while taken < length:
            part = await reader.read(min(length - taken, _PIECE_BYTES))
            if not part:
                raise Malformed(400)
            held.take(len(part))
            taken += len(part)
            parts.append(part)
    except BaseException:
        held.give(taken)
        raise
    return b"".join(parts)


def _length(head: Head, limits: HttpLimits) -> int | None:
    if head.is_chunked:
        if head.headers["transfer-encoding"].lower() != "chunked":
            raise Malformed(501)
        if "content-length" in head.headers:
            raise Malformed(400)
        return None
    length = head.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise Malformed(400)
    if len(length) > 18 or int(length) > limits.body_bytes_max:
        raise Malformed(413)
    return int(length)


async def _read_chunks(reader: asyncio.StreamReader, limits: HttpLimits, held: HeldBytes) -> bytes:
    parts: list[bytes] = []
    total = 0
    try:
        while True:
            line = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].strip()
            if (
                not line
                or len(line) > _CHUNK_LINE_BYTES_MAX
                or any(byte not in b"0123456789abcdefABCDEF" for byte in line)
            ):
                raise Malformed(400)
            size = int(line, 16)
            if size == 0:
                await _read_trailer(reader, limits)
                return b"".join(parts)
            if total + size > limits.body_bytes_max:
                raise Malformed(413)
            rest = size
            while rest:
                part = await reader.read(min(rest, _PIECE_BYTES))
                if not part:
                    raise Malformed(400)
                held.take(len(part))
                total, rest = total + len(part), rest - len(part)
                parts.append(part)
            if await reader.readexactly(2) != b"\r\n":
                raise Malformed(400)
    except asyncio.LimitOverrunError:
        held.give(total)
        raise Malformed(400) from None
    except BaseException:
        held.give(total)
        raise


async def _read_trailer(reader: asyncio.StreamReader, limits: HttpLimits) -> None:
    taken = 0
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        taken += len(line)
        if taken > limits.head_bytes_max:
            raise Malformed(431)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        if not colon or not name or name != name.strip() or (key in headers and key in _SINGLE):
            raise Malformed(400)
        text = value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
