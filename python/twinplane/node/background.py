"""Threads for what plugins do beside requests: being told of configurations, and tasks that are no coroutines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

Act = Callable[[], object]


class Background:
    """One thread for each plugin that has something to do, so that one that hangs holds up nobody but itself.

    For each plugin and thing to do at most one wish waits: a newer one takes its place.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._guard = threading.Lock()

    def run(self, plugin: str, thing: str, act: Act) -> Future[object]:
        """Run this when its turn comes; what waits under the same name is cancelled."""
        with self._guard:
            line = self._lines.get(plugin)
            if line is None:
                line = self._lines[plugin] = _Line(plugin)
        return line.put(thing, act)

    def close(self) -> None:
        """End after what was asked for so far."""
        with self._guard:
            lines = list(self._lines.values())
        for line in lines:
            line.close()


class _Line:
    """What one plugin has to do, one thing after the other."""

    def __init__(self, plugin: str) -> None:
        self._waiting: dict[str, tuple[Act, Future[object]]] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        # What hangs must not keep the process.
        threading.Thread(target=self._serve, name=f"plugins-background-{plugin}", daemon=True).start()

    def put(self, thing: str, act: Act) -> Future[object]:
        done: Future[object] = Future()
        with self._changed:
            replaced = self._waiting.pop(thing, None)
            self._waiting[thing] = (act, done)
            self._changed.notify()
        if replaced is not None:
            replaced[1].cancel()
        return done

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _serve(self) -> None:
        while (given := self._next()) is not None:
            act, done = given
            # Nobody waits for it any more: a task of code that was taken back.
            if not done.set_running_or_notify_cancel():
                continue
            try:
                result = act()
            except BaseException as error:  # a plugin's own code
                done.set_exception(error)
            else:
                done.set_result(result)

    def _next(self) -> tuple[Act, Future[object]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return None
            return self._waiting.pop(next(iter(self._waiting)))
