"""An asyncio event loop on which time is a number: it jumps to the next timer; executors run inline, some time later.

Every callback belongs to a simulated process; what belongs to one that was killed never runs again, not even a
`finally`. One source of random numbers decides all that chance decides.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections.abc import Callable, Coroutine
from typing import Any

_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
_TURNS_MAX = 2_000_000


class Killed(BaseException):
    """The process that runs this code is killed here."""


class Stalled(Exception):
    """Nothing is left that could ever happen, or far too much happens at one moment."""


class Process:
    """A simulated process: what runs in its context dies with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.clock_offset_s = 0.0
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    def run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run `call` as part of this process."""
        return self.context.copy().run(call, *arguments)


def current_process() -> Process | None:
    """The process that runs this code; None where it is the simulation itself."""
    return _PROCESS.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs until what it was given is done, as fast as it can."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.on_killed: Callable[[Process], None] = lambda process: None
        self.on_executed: Callable[[Process], None] = lambda process: None
        self.listen: Callable[[Any, str], Any] = lambda factory, address: None
        self.disk_delay_s = 0.002
        self.turns = 0
        self._now = 0.0
        self._tasks: list[asyncio.Task[Any]] = []
        self._busy_until: dict[Any, float] = {}
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_exception)
        self.broken: list[str] = []

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def spawn(self, process: Process, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of a process."""
        return self.create_task(coroutine, context=process.context.copy())

    def kill(self, process: Process) -> None:
        """End a process at once: nothing of it runs from here on."""
        process.is_alive = False
        for handle in [*self._ready, *self._scheduled]:
            if not handle._cancelled and handle._context.get(_PROCESS) is process:
                handle.cancel()

    def bury(self) -> None:
        """At the end: finish every coroutine that is still suspended, so that nothing runs when it is collected."""
        for task in self._tasks:
            coroutine = task.get_coro()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            for _ in range(20):
                try:
                    coroutine.throw(Killed())  # type: ignore[union-attr]
                except BaseException:
                    break
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run `func` inline, later: as a thread would, whole, at some moment before its result is seen."""
        process = _PROCESS.get()
        future = self.create_future()
        delay = self.chance.random() ** 4 * self.disk_delay_s * 4
        begin = self._now + delay
        if executor is not None and executor._max_workers == 1:
            # One thread takes its calls in turn; two timers of one moment might not be.
            begin = max(begin, self._busy_until.get(executor, 0.0) + 1e-6)
            self._busy_until[executor] = begin
        self.call_at(begin, self._execute, process, future, func, args)
        return future

    def _execute(
        self, process: Process | None, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        # A call whose caller was cancelled may have begun already.
        if future.cancelled() and self.chance.random() < 0.5:
            return
        try:
            result, error = func(*args), None
        except Killed:
            if process is not None:
                self.on_killed(process)
            return
        except Exception as raised:
            result, error = None, raised
        if process is not None:
            self.on_executed(process)
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        """Listen on the simulated network."""
        return self.listen(protocol_factory, str(path))

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = events.TimerHandle(when, callback, args, self, context)  # type: ignore[arg-type]
        process = timer._context.get(_PROCESS)  # type: ignore[attr-defined]
        if process is not None and not process.is_alive:
            timer._cancelled = True
            return timer
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = events.Handle(callback, args, self, context)
        process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]
        if process is not None and not process.is_alive:
            handle._cancelled = True
        else:
            self._ready.append(handle)
        return handle

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > _TURNS_MAX:
            raise Stalled("no end in sight")
        ready, scheduled = self._ready, self._scheduled
        if self._timer_cancelled_count > 100 and self._timer_cancelled_count * 2 > len(scheduled):
            scheduled = self._scheduled = [timer for timer in scheduled if not timer._cancelled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)
            self._timer_cancelled_count -= 1
        if not ready:
            if not scheduled:
                raise Stalled("nothing is left to happen")
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _make_task(self, _loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=self, **options)
        self._tasks.append(task)
        return task

    def _note_exception(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Killed):
            return
        self.broken.append(f"{context.get('message')}: {error!r}")

    def _write_to_self(self) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass
