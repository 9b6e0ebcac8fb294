"""One event loop on a thread of its own, for phases that are coroutines. Bounded; started when needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinplane.pdk import Visit

_MARGIN_S = 0.2
Failed = Callable[[Any, BaseException], None]


class Coroutines:
    """Coroutines under way. `run` may be called from any thread."""

    def __init__(self, under_way_max: int) -> None:
        self._under_way_max = under_way_max
        self._under_way = 0
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return self._under_way

    def run(self, started: Callable[[], Awaitable[Any]], visit: Visit | None, timeout_s: float, failed: Failed) -> bool:
        """Run what `started` gives; its result is the verdict of the visit. False where there is no room."""
        with self._guard:
            if self._under_way >= self._under_way_max:
                return False
            self._under_way += 1
            loop = self._loop or self._start()
        loop.call_soon_threadsafe(self._begin, started, visit, timeout_s, failed)
        return True

    def close(self) -> None:
        """Cancel what is under way and end the thread."""
        with self._guard:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._end, loop)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()

        def work() -> None:
            asyncio.set_event_loop(loop)
            loop.run_forever()
            loop.close()

        threading.Thread(target=work, name="plugins-loop", daemon=True).start()
        return loop

    def _begin(
        self, started: Callable[[], Awaitable[Any]], visit: Visit | None, timeout_s: float, failed: Failed
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._follow(started, visit, timeout_s, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(
        self, started: Callable[[], Awaitable[Any]], visit: Visit | None, timeout_s: float, failed: Failed
    ) -> None:
        try:
            # The core's own patience ends first.
            async with asyncio.timeout(timeout_s + _MARGIN_S):
                result = await started()
            if visit is not None:
                visit.finish(None if result is None else result.crossing())
        except BaseException as error:
            if visit is not None:
                visit.fail()
            failed(visit, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            with self._guard:
                self._under_way -= 1

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        async def drain() -> None:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            loop.stop()

        self._draining = loop.create_task(drain())
