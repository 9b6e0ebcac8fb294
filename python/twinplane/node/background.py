"""One thread for what plugins do beside requests: being told of configurations, and tasks that are no coroutines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


class Background:
    """Runs one thing after the other; started when there is something."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], object], Future[object]] | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._is_started = False

    def run(self, act: Callable[[], object]) -> Future[object]:
        """Run this when its turn comes."""
        done: Future[object] = Future()
        self._work.put((act, done))
        with self._guard:
            if not self._is_started:
                self._is_started = True
                # What hangs must not keep the process.
                threading.Thread(target=self._serve, name="plugins-background", daemon=True).start()
        return done

    def close(self) -> None:
        """End after what was asked for so far."""
        self._work.put(None)

    def _serve(self) -> None:
        while (given := self._work.get()) is not None:
            act, done = given
            try:
                result = act()
            except BaseException as error:  # a plugin's own code
                done.set_exception(error)
            else:
                done.set_result(result)
