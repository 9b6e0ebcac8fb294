"""What a connection still has to carry, as the system knows it.

Only Linux is asked; elsewhere nothing is known, and a connection that stands is trusted.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys


def watch_silence(transport: asyncio.BaseTransport, silence_s: float) -> None:
    """Let the system end a connection that carries nothing for so long of what it was given."""
    if sys.platform == "linux":
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence_s * 1000))


def unacknowledged(transport: asyncio.BaseTransport) -> int:
    """How many bytes of an open connection the other end has not acknowledged."""
    if sys.platform != "linux":
        return 0
    # Not on every system.
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    # SIOCOUTQ of a socket has the number that TIOCOUTQ has of a terminal.
    answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
