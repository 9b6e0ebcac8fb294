"""An upstream and a client that send and read bytes as a test says, so that what passes when can be told."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
from collections.abc import Iterator

WAIT_S = 30.0


class Wire:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(WAIT_S)
        self._connection = connection
        self._ahead = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes, up to and with these bytes."""
        while end not in self._ahead:
            more = self._connection.recv(65_536)
            assert more, f"closed after {self._ahead!r}"
            self._ahead += more
        found, end, self._ahead = self._ahead.partition(end)
        return found + end

    def head(self) -> tuple[str, dict[str, str]]:
        """A head: its first line, and its fields by names in lower case."""
        first, *lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        fields = (line.partition(":") for line in lines if line)
        return first, {name.lower(): value.strip() for name, _, value in fields}

    def exactly(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._ahead) < count:
            more = self._connection.recv(65_536)
            assert more, f"closed after {len(self._ahead)} bytes"
            self._ahead += more
        found, self._ahead = self._ahead[:count], self._ahead[count:]
        return found

    def rest(self) -> bytes:
        """Everything up to the close."""
        with contextlib.suppress(ConnectionResetError):
            while more := self._connection.recv(65_536):
                self._ahead += more
        found, self._ahead = self._ahead, b""
        return found

    def is_silent(self, for_s: float) -> bool:
        """Whether nothing comes for a while."""
        self._connection.settimeout(for_s)
        try:
            self._ahead += self._connection.recv(1)
        except TimeoutError:
            return not self._ahead
        finally:
            self._connection.settimeout(WAIT_S)
        return False

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def reset(self) -> None:
        """Break it off."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


class RawUpstream:
    """Listens on a free port; the test takes connections one by one."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(WAIT_S)
        self.port: int = self._socket.getsockname()[1]
        self._open: queue.SimpleQueue[Wire] = queue.SimpleQueue()

    def accept(self) -> Wire:
        """The next connection."""
        connection, _ = self._socket.accept()
        wire = Wire(connection)
        self._open.put(wire)
        return wire

    def close(self) -> None:
        """Close everything."""
        self._socket.close()
        while not self._open.empty():
            self._open.get().close()


@contextlib.contextmanager
def listening() -> Iterator[RawUpstream]:
    """An upstream for as long as the block lasts."""
    upstream = RawUpstream()
    try:
        yield upstream
    finally:
        upstream.close()


@contextlib.contextmanager
def connected(port: int) -> Iterator[Wire]:
    """A client for as long as the block lasts."""
    wire = Wire(socket.create_connection(("127.0.0.1", port), timeout=WAIT_S))
    try:
        yield wire
    finally:
        wire.close()
