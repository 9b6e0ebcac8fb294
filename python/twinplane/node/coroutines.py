"""One event loop on a thread of its own, for phases that are coroutines. Bounded; started when needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from twinplane.pdk import Visit

_MARGIN_S = 0.2
_CLOSE_S = 5.0
Failed = Callable[[Any, BaseException], None]
T = TypeVar("T")


class Coroutines:
    """Coroutines under way. `run` may be called from any thread."""

    def __init__(self, under_way_max: int) -> None:
        self._under_way_max = under_way_max
        self._under_way = 0
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

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

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something beside requests."""
        with self._guard:
            loop = self._loop or self._start()
        return asyncio.run_coroutine_threadsafe(work, loop)

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cancel what is under way, do `last`, end the thread. Waits for that a while."""
        with self._guard:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._end, loop, last)
            assert self._thread is not None
            self._thread.join(_CLOSE_S)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()

        def work() -> None:
            asyncio.set_event_loop(loop)
            loop.run_forever()
            loop.close()

        self._thread = threading.Thread(target=work, name="plugins-loop", daemon=True)
        self._thread.start()
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

    def _end(self, loop: asyncio.AbstractEventLoop, last: Callable[[], Awaitable[None]] | None) -> None:
        async def drain() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if last is not None:
                await last()
            loop.stop()

        self._draining = loop.create_task(drain())
