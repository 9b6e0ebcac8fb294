"""Connections in memory between simulated processes: latency, partitions, slow links, cuts at any byte, half-open ends.

Bytes of one direction keep their order, as over TCP; everything else may happen at any time. The network also stands
for the front door: it writes into an upgrade request whose certificate came with the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from tests.simulation.loop import Process, VirtualLoop, current_process

_HIGH_WATER = 65_536


class Conditions:
    """How the way between one node and its control plane is, in both directions."""

    def __init__(self) -> None:
        self.latency_s = 0.001
        self.is_blocked_up = False
        self.is_blocked_down = False
        self.bytes_per_s: float | None = None
        self.window = _HIGH_WATER
        self.refuses = False

    def heal(self) -> None:
        """As good as new."""
        self.__init__()  # type: ignore[misc]


class Network:
    """All connections."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._listeners: dict[str, tuple[Any, Process]] = {}
        self.ends: list[End] = []
        self.accepted: list[float] = []
        """When connections were made."""
        loop.listen = self._listen

    def _listen(self, factory: Any, address: str) -> Any:
        process = current_process()
        assert process is not None
        self._listeners[address] = (factory, process)
        return _Server(self, address)

    def close_listener(self, address: str) -> None:
        """Nobody listens there any more."""
        self._listeners.pop(address, None)

    async def connect(
        self, address: str, way: Conditions, head_lines: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as `asyncio.open_connection` does. `head_lines` are what the front door adds to a request."""
        process = current_process()
        assert process is not None
        await asyncio.sleep(self._latency(way))
        if way.is_blocked_up or way.is_blocked_down:
            await asyncio.Event().wait()
        if address not in self._listeners or way.refuses:
            raise ConnectionRefusedError("nobody listens")
        factory, server = self._listeners[address]
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        near = End(self, process, way, is_node=True, head_lines=head_lines)
        far = End(self, server, way, is_node=False)
        near.peer, far.peer = far, near
        self.ends = [end for end in self.ends if not end.is_gone]
        self.ends += [near, far]
        self.accepted.append(self._loop.time())
        near.attach(protocol)
        self._loop.call_soon(far.accept, factory, context=server.context.copy())
        return reader, asyncio.StreamWriter(near, protocol, reader, self._loop)  # type: ignore[arg-type]

    def drop_process(self, process: Process) -> None:
        """A process died: what it listened on goes, and its peers hear of it if anything gets through."""
        self._listeners = {address: one for address, one in self._listeners.items() if one[1] is not process}
        for end in self.ends:
            if end.process is process:
                end.die()

    def _latency(self, way: Conditions) -> float:
        return way.latency_s * (0.5 + self._loop.chance.random())


class _Server:
    """What `start_unix_server` gives."""

    def __init__(self, network: Network, address: str) -> None:
        self._network, self._address = network, address

    def close(self) -> None:
        self._network.close_listener(self._address)


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self, network: Network, process: Process, way: Conditions, *, is_node: bool, head_lines: bytes = b""
    ) -> None:
        super().__init__()
        self.process = process
        self.peer: End | None = None
        self.way = way
        self.is_node = is_node
        self.is_gone = False
        self.cut_after: int | None = None
        self._network = network
        self._loop = network._loop
        self._head_lines = head_lines
        self._protocol: Any = None
        self._closing = False
        self._eof_sent = False
        self._waiting: deque[bytes | None] = deque()
        self._in_flight = 0
        self._is_sending = False
        self._arrived_at = 0.0
        self._is_writing_paused = False
        self._is_reading_paused = False
        self._unread: list[bytes | None] = []

    # --- what the owner calls ---

    def attach(self, protocol: Any) -> None:
        """Hand the connection to its owner."""
        self._protocol = protocol
        protocol.connection_made(self)

    def accept(self, factory: Any) -> None:
        """The listening process takes the connection."""
        self.attach(factory())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self.is_gone or not data:
            return
        data = bytes(data)
        if self._head_lines:
            data = data.replace(b"\r\n\r\n", b"\r\n" + self._head_lines + b"\r\n", 1)
            self._head_lines = b""
        self._send(data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        if not self._eof_sent and not self._closing:
            self._eof_sent = True
            self._send(None)

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing or self.is_gone

    def close(self) -> None:
        if not self._closing and not self.is_gone:
            if not self._eof_sent:
                self._eof_sent = True
                self._send(None)
            self._closing = True
            self._loop.call_soon(self._lose, None, context=self.process.context.copy())

    def abort(self) -> None:
        self._reset()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self._in_flight

    def pause_reading(self) -> None:
        self._is_reading_paused = True

    def resume_reading(self) -> None:
        self._is_reading_paused = False
        unread, self._unread = self._unread, []
        for data in unread:
            self._receive(data)

    def is_reading(self) -> bool:
        return not self._is_reading_paused

    # --- the way between ---

    def die(self) -> None:
        """The process of this end is gone."""
        if not self.is_gone:
            self._reset()

    def blow(self, error: Exception | None) -> None:
        """The connection ends here, whatever the other end knows of it."""
        self._lose(error)

    def resume(self) -> None:
        """The way is open again."""
        self._pump()

    def _blocked(self) -> bool:
        return self.way.is_blocked_up if self.is_node else self.way.is_blocked_down

    def _reset(self) -> None:
        """End it now and tell the peer, if anything gets through."""
        if self.is_gone:
            return
        peer = self.peer
        # What was sent last may or may not get there before the reset.
        if peer is not None and not self._blocked():
            if self._loop.chance.random() < 0.5:
                self._waiting.clear()
            when = max(self._loop.time() + self._latency(), peer._arrived_at)
            self._loop.call_at(when, peer.blow, ConnectionResetError("reset"), context=peer.process.context.copy())
        self._lose(None)

    def _latency(self) -> float:
        return self.way.latency_s * (0.5 + self._loop.chance.random())

    def _send(self, data: bytes | None) -> None:
        if data is not None and self.cut_after is not None:
            data, rest = data[: self.cut_after], data[self.cut_after :]
            self.cut_after -= len(data)
            self._queue(data)
            if rest:
                # The connection breaks in the middle of what was written.
                self.cut_after = None
                self._pump()
                when = self._loop.time() + self._latency()
                for end in (self, self.peer):
                    if end is not None:
                        context = end.process.context.copy()
                        self._loop.call_at(when, end.blow, ConnectionResetError("cut"), context=context)
            return
        self._queue(data)

    def _queue(self, data: bytes | None) -> None:
        self._waiting.append(data)
        self._in_flight += len(data or b"")
        if self._in_flight > self.way.window and not self._is_writing_paused:
            self._is_writing_paused = True
            self._protocol.pause_writing()
        self._pump()

    def _pump(self) -> None:
        """Put on the way what may go now. A slow way takes its bytes in pieces, one after the other."""
        while self._waiting and not self._is_sending and not self._blocked():
            data = self._waiting.popleft()
            speed = self.way.bytes_per_s
            if speed is None or not data:
                self._put(data)
                continue
            piece, rest = data[: int(speed)], data[int(speed) :]
            if rest:
                self._waiting.appendleft(rest)
            self._is_sending = True
            self._loop.call_later(len(piece) / speed, self._sent, piece, context=self.process.context.copy())

    def _sent(self, piece: bytes) -> None:
        self._is_sending = False
        self._put(piece)
        self._pump()

    def _put(self, data: bytes | None) -> None:
        peer = self.peer
        assert peer is not None
        # Two timers of one moment may run in either order; bytes must not.
        when = max(self._loop.time() + self._latency(), peer._arrived_at + 1e-6)
        peer._arrived_at = when
        self._loop.call_at(when, peer._arrive, data, context=peer.process.context.copy())
        if data:
            self._loop.call_at(when, self._drained, len(data), context=self.process.context.copy())

    def _arrive(self, data: bytes | None) -> None:
        if self._is_reading_paused:
            self._unread.append(data)
        else:
            self._receive(data)

    def _receive(self, data: bytes | None) -> None:
        if self.is_gone or self._protocol is None:
            return
        if data is None:
            if not self._protocol.eof_received():
                self.close()
        else:
            self._protocol.data_received(data)

    def _drained(self, size: int) -> None:
        self._in_flight -= size
        if self._is_writing_paused and self._in_flight <= self.way.window // 2:
            self._is_writing_paused = False
            if not self.is_gone:
                self._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if self.is_gone:
            return
        self.is_gone = self._closing = True
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error, context=self.process.context.copy())
