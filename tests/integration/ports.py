"""Ports of loopback for what has to name one before it is bound.

They lie below those that the system gives to outgoing connections, and no two runs of tests share any: the first port
of each block is kept bound for as long as the process lives.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque

_BLOCKS = range(10_000, 32_768 - 256, 256)


class Lease:
    """The blocks of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._ports: deque[int] = deque()

    def take(self, count: int) -> list[int]:
        """Ports that nobody listens on; those that were taken longest ago come first."""
        with self._lock:
            found: list[int] = []
            untried = len(self._ports)
            while len(found) < count:
                if not untried:
                    block = self._another_block()
                    self._ports.extendleft(reversed(block))
                    untried = len(block)
                untried -= 1
                self._ports.rotate(-1)
                if _is_free(self._ports[-1]):
                    found.append(self._ports[-1])
            return found

    def _another_block(self) -> range:
        start = os.getpid() % len(_BLOCKS)
        for first in (*_BLOCKS[start:], *_BLOCKS[:start]):
            holder = socket.socket()
            try:
                holder.bind(("127.0.0.1", first))
            except OSError:
                holder.close()
                continue
            self._held.append(holder)
            return range(first + 1, first + _BLOCKS.step)
        raise AssertionError("every port for tests is taken")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


LEASE = Lease()
