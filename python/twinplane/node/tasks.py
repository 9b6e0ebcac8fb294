"""What a node does beside serving: tasks that run until it stops, and are begun again where they fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

PAUSE_SECONDS = 1.0
log = logging.getLogger("node")

Work = Callable[[], Coroutine[Any, Any, None]]
_ResultT = TypeVar("_ResultT")


async def run_beside(stack: contextlib.AsyncExitStack, work: Work) -> None:
    """Run a coroutine until the stack ends. Its failure is a fault of ours: it is told, and it runs again."""

    async def run() -> None:
        while True:
            try:
                return await work()
            except Exception:
                log.critical("task_failed name=%s", getattr(work, "__qualname__", work), exc_info=True)
            await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.create_task(run())

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


def in_loop(work: Work) -> Callable[[], None]:
    """A call that has `work` done soon in this loop, from whatever thread it is made."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = loop.create_task(work())
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    def call() -> None:
        # A thread may outlive the loop by a moment: then there is nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(begin)

    return call


async def in_thread(name: str, work: Callable[[], _ResultT]) -> _ResultT:
    """The answer of a call that may hang: it runs in a thread that the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_ResultT] = loop.create_future()

    def tell(result: _ResultT | None, error: Exception | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        # It may outlive the loop.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
