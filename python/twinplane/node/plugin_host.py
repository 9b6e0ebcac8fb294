"""Runs plugins in Python: builds them for the core, lends it threads to call them on, tells what they do wrong.

The core queues requests and keeps the time; nothing here decides what becomes of a request.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import inspect
import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from twinplane.node.background import Background
from twinplane.node.coroutines import Coroutines
from twinplane.node.plugin_lending import HostLimits, PluginLending, no_secrets
from twinplane.node.plugin_tasks import PluginTasks

if TYPE_CHECKING:
    from twinplane.pdk import Plugin, Visit

_log = logging.getLogger(__name__)
_MS = 1000
_LOG_S = 30.0


class PhaseOverdue(BaseException):
    """Raised inside a phase that runs longer than it may: no handler of `Exception` keeps it going."""


@dataclass(frozen=True, slots=True)
class Built:
    """A configured plugin, as the core asks for it."""

    handlers: dict[str, Callable[..., object]]
    fails_open: bool
    timeout_ms: int
    body_bytes_max: int | None
    response_bytes_max: int


class PluginCore(Protocol):
    """The part of the core that lends itself to plugins."""

    def run_plugins(self, thread: int) -> None:
        """Call plugins on this thread until the core has stopped."""

    def watch_plugins(self) -> None:
        """Interrupt calls that run over their time, until the core has stopped."""

    def plugin_counts(self) -> dict[str, int]:
        """What there is to do, and what became of the rest."""


class PluginHost:
    """All plugins in Python of one node."""

    late = PhaseOverdue

    def __init__(
        self,
        limits: HostLimits,
        classes: Sequence[type[Plugin[Any]]] = (),
        *,
        secret: Callable[[str], str] = no_secrets,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        node_id: Callable[[], str] = str,
        prepares: bool = True,
    ) -> None:
        """`classes` are the plugins that do not come with twinplane. Nothing runs until one is configured.

        `secret` looks up what a reference leads to, `trust` says whom requests of plugins believe over TLS. With
        `prepares` plugins are asked whether they take a configuration; who only tells of their phases does not ask.
        """
        self._limits = limits
        self._prepares = prepares
        self._classes: dict[str, type[Plugin[Any]]] = {each.name: each for each in classes}
        self.instances: dict[str, Plugin[Any]] = {}
        """The plugins that configurations have named so far."""
        self._lending = PluginLending(limits, secret=secret, trust=trust, node_id=node_id)
        self._building: dict[str, list[Any]] = {}
        self._configured: set[str] = set()
        self._core: PluginCore | None = None
        self._threads: list[threading.Thread] = []
        self._coroutines = Coroutines(limits.calls_max)
        self._background = Background()
        self._telling: dict[str, concurrent.futures.Future[Any]] = {}
        self._tasks = PluginTasks(self._coroutines, self._background)
        # A C function: while the core calls it, no other thread runs Python.
        self.interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
        self.interrupt.argtypes = (ctypes.c_ulong, ctypes.py_object)
        self.interrupt.restype = ctypes.c_int
        self.calls_max = limits.calls_max
        self.log_entries_max = limits.log_entries_max
        self.log_failures_total = 0

    @property
    def plugins(self) -> list[tuple[str, int, str, bool]]:
        """Name, priority, version of each class, and whether it only observes."""
        return [(each.name, each.priority, each.version, each.observes_only) for each in self._classes.values()]

    @property
    def classes(self) -> Sequence[type[Plugin[Any]]]:
        """The plugins that do not come with twinplane."""
        return tuple(self._classes.values())

    def versions(self) -> dict[str, str]:
        """What the node tells its control plane of them."""
        return {each.name: each.version for each in self._classes.values()}

    def begin(self) -> None:
        """A configuration is about to be built."""
        self._building = {}

    def build(self, name: str, config: bytes) -> Built:
        """A configured plugin. Whatever is raised refuses the configuration, with this plugin named."""
        instance = self._instance(name)
        from twinplane.pdk.config import read_config  # noqa: PLC0415 - loads the kit

        read = read_config(instance.config_class, orjson.loads(config))
        if self._prepares:
            instance.prepare(read)
        self._building.setdefault(name, []).append(read)
        from twinplane.node.plugin_calls import handlers  # noqa: PLC0415 - loads the kit

        fails = instance.on_failure
        timeout_ms = instance.timeout_ms or self._limits.timeout_ms
        return Built(
            handlers(
                instance,
                read,
                spawn=functools.partial(self._spawn, timeout_ms),
                tell_log=self._tell_log,
                await_log=lambda given: self._coroutines.submit(given).result(_LOG_S),
            ),
            fails_open=self._limits.fails_open if fails is None else fails == "fail_open",
            timeout_ms=timeout_ms,
            body_bytes_max=instance.body_bytes_max or None,
            response_bytes_max=instance.response_bytes_max or self._limits.response_bytes_max,
        )

    def served(self) -> None:
        """What was built is in force: threads are there for it, and each plugin is told of all its configurations."""
        if self._building:
            self._start_threads()
        # Code that was taken back meanwhile has no instance to be told.
        known = {
            name: found for name, found in self.instances.items() if name in self._configured | set(self._building)
        }
        stuck = {name for name, telling in self._telling.items() if not telling.done()}
        self._telling = {name: self._tell(name, found, self._building.get(name, [])) for name, found in known.items()}
        # Those that are quick are done when the configuration is; the others take their time. Who was late before and
        # still is keeps no configuration waiting again.
        awaited = [telling for name, telling in self._telling.items() if name not in stuck]
        concurrent.futures.wait(awaited, self._limits.timeout_ms / _MS)
        for name, telling in self._telling.items():
            if not telling.done():
                _log.warning("python_plugin_configure_late plugin=%s", name)
        self._configured = set(self._building)
        self._tasks.follow({name: found for name, found in known.items() if name in self._configured})

    def attach(self, core: PluginCore) -> None:
        """The core has started."""
        self._core = core
        self.served()

    def replace(self, classes: Sequence[type[Plugin[Any]]]) -> None:
        """Take other code for plugins of the same names; in force with the next configuration."""
        for each in classes:
            self._classes[each.name] = each
            self.instances.pop(each.name, None)

    def failed(self, visit: Visit, error: BaseException) -> None:
        """A phase raised: the request is answered by the core, the reason is told here."""
        if isinstance(error, PhaseOverdue):
            _log.error("python_plugin_interrupted plugin=%s request_id=%s", visit.plugin, visit.request_id)
            return
        if visit.is_over and type(error).__name__ == "VisitOver":
            _log.warning("python_plugin_late plugin=%s request_id=%s", visit.plugin, visit.request_id)
            return
        _log.error(
            "python_plugin_failed plugin=%s plugin_id=%s request_id=%s",
            visit.plugin,
            visit.plugin_id,
            visit.request_id,
            exc_info=error,
        )

    def settle(self, thread: int) -> None:
        """An interrupted call is over: what was raised too late for it must not hit the next one."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)

    def counts(self) -> Mapping[str, int]:
        """How calls fare; empty where there are no plugins in Python."""
        if self._core is None or not (self._threads or self._classes):
            return {}
        counts = self._core.plugin_counts()
        own = {"log_failures": self.log_failures_total, "task_failures": self._tasks.failures_total}
        return {**counts, **own, "coroutines": len(self._coroutines)}

    def series(self) -> list[dict[str, Any]]:
        """What plugins have measured, in the form that the core tells its own series in."""
        return self._lending.series()

    def close(self, grace_s: float) -> None:
        """The core has stopped: wait for what is left of the log phase. Blocks."""
        for thread in self._threads:
            thread.join(grace_s / max(len(self._threads), 1))
        self._background.close()
        self._coroutines.close(self._lending.close)

    def _instance(self, name: str) -> Plugin[Any]:
        found = self.instances.get(name)
        if found is None:
            plugin = self._classes.get(name) or _bundled(name)
            found = plugin()
            found.node = self._lending.to(name)
            self.instances[name] = found
        return found

    def _tell(self, name: str, instance: Plugin[Any], configs: Sequence[Any]) -> concurrent.futures.Future[Any]:
        def tell() -> None:
            given = instance.configure(configs)
            if inspect.iscoroutine(given):
                self._coroutines.submit(given).result(_LOG_S)

        def tell_failure(done: concurrent.futures.Future[Any]) -> None:
            # Cancelled: there is something newer to tell.
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("python_plugin_configure_failed plugin=%s", name, exc_info=error)

        telling = self._background.run(name, "configure", tell)
        telling.add_done_callback(tell_failure)
        return telling

    def _start_threads(self) -> None:
        core = self._core
        if core is None or self._threads:
            return
        works = [lambda: core.run_plugins(threading.get_ident())] * self._limits.threads
        for number, work in enumerate([core.watch_plugins, *works]):
            thread = threading.Thread(target=_work, args=(work,), name=f"plugins-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _spawn(self, timeout_ms: int, visit: Visit, started: Callable[[], Any]) -> None:
        """Run a coroutine of a phase on the loop of plugins."""
        if not self._coroutines.run(started, visit, timeout_ms / _MS, self.failed):
            visit.refuse()

    def _tell_log(self, name: str, error: BaseException) -> None:
        self.log_failures_total += 1
        _log.error("python_plugin_log_failed plugin=%s", name, exc_info=error)


def _bundled(name: str) -> type[Plugin[Any]]:
    from twinplane.registry.python_plugins import bundled_class  # noqa: PLC0415 - loads the declarations

    found = bundled_class(name)
    if found is None:
        raise LookupError(f"plugin '{name}' is not known here")
    return found


def _work(work: Callable[[], None]) -> None:
    while True:
        try:
            return work()
        except BaseException as error:
            _log.error("python_plugin_thread_failed", exc_info=error)
