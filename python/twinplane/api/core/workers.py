"""Where synchronous work of the control plane runs: a bounded pool of threads with a bounded queue.

SQLite calls block; the event loop must not. Full means refused at once, never an endless queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class WorkersBusy(Exception):
    """As many calls wait as may wait."""


class Workers:
    """A pool of `threads` threads for which at most `waiting_max` further calls may wait."""

    def __init__(self, *, threads: int = 8, waiting_max: int = 512) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="api")
        self._places = threads + waiting_max
        self._taken = 0
        self.refused_total = 0

    async def run(self, call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a call in a thread and wait for it."""
        if self._taken >= self._places:
            self.refused_total += 1
            raise WorkersBusy
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: call(*args, **kwargs))
        finally:
            self._taken -= 1

    def close(self) -> None:
        """End the threads once their work is done."""
        self._executor.shutdown(wait=True)
