"""A TCP relay between a node and its control plane that can be made slow, deaf or unreliable."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PIECE = 65_536


class Relay:
    """Hands bytes on to one port, as its fields say at that moment. Runs on a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.connections_total = 0
        self.bytes_per_s: float | None = None
        self.delay_s = 0.0
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """Take everything in and hand nothing on: to both ends the other one has gone silent."""
        self._call(self._passing.clear)

    def heal(self) -> None:
        """Hand on again. What was held up is gone with its connections, as behind a firewall that forgot them."""
        self.bytes_per_s, self.delay_s = None, 0.0
        self._call(self._drop_all)
        self._call(self._passing.set)

    def drop(self) -> None:
        """Reset every connection."""
        self._call(self._drop_all)

    def _drop_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _call(self, action: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        self._server.close()
        self._drop_all()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections_total += 1
        self._open.add(writer)
        up: asyncio.StreamWriter | None = None
        try:
            up_reader, up = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(up)
            ways = [asyncio.create_task(self._pump(reader, up)), asyncio.create_task(self._pump(up_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            # The relay ends; its tasks belong to it alone.
            pass
        finally:
            for end in (writer, up):
                if end is not None:
                    self._open.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE if self.bytes_per_s is None else int(self.bytes_per_s)):
                if self.delay_s or self.bytes_per_s:
                    await asyncio.sleep(self.delay_s + (len(data) / self.bytes_per_s if self.bytes_per_s else 0))
                await self._passing.wait()
                writer.write(data)
                await writer.drain()


@contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """A running relay."""
    relay, ready = Relay(port), threading.Event()
    thread = threading.Thread(target=relay._serve, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield relay
    finally:
        relay._loop.call_soon_threadsafe(relay._loop.stop)
        thread.join(10)
