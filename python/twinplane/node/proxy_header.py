"""The PROXY protocol on a node's own ports: the header in front of a connection is taken off, and no byte more.

What follows may be TLS, so nothing is read ahead: the header is looked at in the kernel's buffer first.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_BYTES_MAX: Final = 107
_V2_FIXED: Final = 16
_V2_BYTES_MAX: Final = 4096
_V1: Final = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP[46] \S+ \S+ \d{1,5} \d{1,5})\Z")


class HeaderInvalid(Exception):
    """The connection does not begin with a PROXY header."""


async def take_header(connection: socket.socket) -> None:
    """Take the header off a non-blocking connection; the caller bounds its time. Raises HeaderInvalid, OSError."""
    loop = asyncio.get_running_loop()
    seen = b""
    while True:
        length = _length(seen)
        if length is not None:
            break
        more = await _peek(connection, loop)
        if len(more) <= len(seen):
            if not more:
                raise HeaderInvalid("the connection ended")
            # A part of it: the socket stays readable, so waiting for it would spin.
            await asyncio.sleep(0.005)
        seen = more
    left = length
    while left:
        left -= len(await loop.sock_recv(connection, left))


def _length(seen: bytes) -> int | None:
    """How long the header is; None where that cannot be told yet."""
    if seen.startswith(_SIGNATURE[: len(seen)]) and len(seen) < len(_SIGNATURE):
        return None
    if seen.startswith(_SIGNATURE):
        if len(seen) < _V2_FIXED:
            return None
        version, length = seen[12], struct.unpack("!H", seen[14:16])[0]
        if version not in (0x20, 0x21) or _V2_FIXED + length > _V2_BYTES_MAX:
            raise HeaderInvalid("version or length of the header")
        return _V2_FIXED + int(length)
    end = seen.find(b"\r\n")
    if end >= 0:
        if end + 2 > _V1_BYTES_MAX or not _V1.match(seen[:end]):
            raise HeaderInvalid("not a PROXY line")
        return end + 2
    if len(seen) >= _V1_BYTES_MAX or not seen.startswith(b"PROXY "[: len(seen)]):
        raise HeaderInvalid("not a PROXY line")
    return None


async def _peek(connection: socket.socket, loop: asyncio.AbstractEventLoop) -> bytes:
    readable: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(connection, note)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    return connection.recv(_V2_BYTES_MAX, socket.MSG_PEEK)
