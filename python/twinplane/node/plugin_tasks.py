"""The periodic tasks of plugins in Python: started when a configuration names the plugin, ended when none does."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

from twinplane.node.background import Background
from twinplane.node.coroutines import Coroutines

_log = logging.getLogger(__name__)

Task = Callable[[], Awaitable[None] | None]


class PluginTasks:
    """What runs for which plugin. Coroutines run on the loop of plugins, the rest on the plugin's own thread."""

    def __init__(self, coroutines: Coroutines, background: Background) -> None:
        self._coroutines = coroutines
        self._background = background
        self._running: dict[str, tuple[object, list[Future[None]]]] = {}
        self.failures_total = 0

    def follow(self, plugins: Mapping[str, Any]) -> None:
        """These plugins are configured now, and no others."""
        for name, (plugin, running) in list(self._running.items()):
            if plugins.get(name) is not plugin:
                del self._running[name]
                for each in running:
                    each.cancel()
        for name, plugin in plugins.items():
            if name not in self._running:
                from twinplane.pdk.tasks import tasks_of  # noqa: PLC0415 - loads the kit

                begun = [self._coroutines.submit(self._repeat(name, *task)) for task in tasks_of(plugin)]
                self._running[name] = (plugin, begun)

    async def _repeat(self, name: str, task: Task, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + seconds
            try:
                if inspect.iscoroutinefunction(task):
                    await task()
                else:
                    await asyncio.wrap_future(self._background.run(name, f"every {_named(task)}", task))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self.failures_total += 1
                _log.error("python_plugin_task_failed plugin=%s task=%s", name, _named(task), exc_info=error)
            await asyncio.sleep(max(due - loop.time(), 0))


def _named(task: Task) -> str:
    return getattr(task, "__name__", type(task).__name__)
