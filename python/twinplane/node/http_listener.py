"""One listening socket of a node's own ports: hands over who connects, and ends without losing who has come already."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from twinplane.node.sockets import change_socket
from twinplane.settings import Listener

_AT_ONCE = 64
# Where the process has no descriptor left, the next attempt may fare better.
_PAUSE_S = 0.1


class HttpListener:
    """Accepts from one socket, in the loop that it was made in."""

    def __init__(
        self,
        opened: socket.socket,
        settings: Listener,
        tls: ssl.SSLContext | None,
        taken: Callable[[socket.socket, HttpListener], None],
    ) -> None:
        """`opened` listens already; `taken` is handed each connection."""
        self.settings = settings
        """Its flags, for the next connection."""
        self.tls = tls
        """What the next connection begins with."""
        self.port: int = opened.getsockname()[1]
        self.is_over = False
        """Whether nobody comes in here any more; who has come leaves after one more request."""
        self._opened = opened
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._listen()

    def change(self, settings: Listener, tls: ssl.SSLContext | None) -> None:
        """Have other flags from the next connection on. Address, port and `ipv6only` are those of the start."""
        if settings != self.settings:
            change_socket(self._opened, settings)
        self.settings, self.tls = settings, tls

    def close(self) -> None:
        """Listen no more; who has connected by now is still taken."""
        if self.is_over:
            return
        self.is_over = True
        self._loop.remove_reader(self._opened)
        self._accept(self.settings.backlog)
        self._opened.close()

    def _listen(self) -> None:
        if not self.is_over:
            self._loop.add_reader(self._opened, self._accept, _AT_ONCE)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                with contextlib.suppress(ConnectionAbortedError):
                    connection, _address = self._opened.accept()
                    connection.setblocking(False)
                    self._taken(connection, self)
            except BlockingIOError:
                return
            except OSError:
                self._loop.remove_reader(self._opened)
                self._loop.call_later(_PAUSE_S, self._listen)
                return
