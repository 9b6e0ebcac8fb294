"""Delivers what log plugins have to say: entries come rendered from the core, and leave by the sink of their plugin.

Each configured plugin has a queue of its own, so a slow sink delays no other one and no request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from twinplane.control.table_text import cut_collection
from twinplane.node.log_queue import LogQueue, QueueFacts
from twinplane.node.log_sinks import SINKS, Sink, Surroundings
from twinplane.node.metrics import Sample

DRAIN_INTERVAL_S = 0.25
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LogFacts:
    """What became of all entries since the start."""

    plugins: Mapping[str, QueueFacts] = field(default_factory=dict)
    """By the name of the plugin."""
    waiting: int = 0
    unknown_total: int = 0
    """Entries whose plugin is no longer configured."""

    def samples(self) -> Iterator[Sample]:
        """The counts, for a scraper."""
        for plugin, facts in self.plugins.items():
            outcomes = {
                "delivered": facts.delivered_total,
                "dropped": facts.dropped_total,
                "failed": facts.failed_total,
            }
            for outcome, value in outcomes.items():
                labels = {"plugin": plugin, "outcome": outcome}
                yield Sample("twinplane_log_entries_total", "counter", labels, value)
            yield Sample("twinplane_log_retries_total", "counter", {"plugin": plugin}, facts.retries_total)
        unknown = {"plugin": "", "outcome": "unknown"}
        yield Sample("twinplane_log_entries_total", "counter", unknown, self.unknown_total)
        yield Sample("twinplane_log_entries_waiting", "gauge", {}, self.waiting)


@dataclass(frozen=True, slots=True)
class _Configured:
    """One plugin that delivers."""

    plugin: str
    sink: Sink


class LogDelivery:
    """All log queues of a node, as the served configuration wants them."""

    def __init__(self, drain: Callable[[str], bytes], surroundings: Surroundings) -> None:
        self._drain = drain
        self._surroundings = surroundings
        self._queues: dict[str, tuple[_Configured, LogQueue]] = {}
        self._closed: dict[str, QueueFacts] = defaultdict(QueueFacts)
        self._guard = threading.Lock()
        self._unknown_total = 0

    def configure(self, table: bytes) -> None:
        """Follow a configuration that is being served. Queues of unchanged plugins go on as they are."""
        wanted = _configured(table, self._surroundings)
        with self._guard:
            gone = [one for one, (configured, _) in self._queues.items() if wanted.get(one) != configured]
            ending = [self._queues.pop(one) for one in gone]
            for plugin_id, configured in wanted.items():
                if plugin_id not in self._queues:
                    queue = LogQueue(plugin_id, configured.sink.limits, configured.sink.delivery())
                    self._queues[plugin_id] = configured, queue
        for configured, queue in ending:
            # What it still holds is delivered in the background.
            threading.Thread(target=self._end, args=(configured.plugin, queue, 60.0), daemon=True).start()

    async def run(self) -> None:
        """Move entries from the core into the queues until cancelled."""
        while True:
            await asyncio.sleep(DRAIN_INTERVAL_S)
            self.flush()

    def flush(self) -> None:
        """Move what the core has rendered into the queues. Never waits for a sink."""
        for line in self._drain("logs").splitlines():
            try:
                plugin_id, entry = _split(line)
            except (orjson.JSONDecodeError, KeyError, TypeError):
                self._unknown_total += 1
                continue
            with self._guard:
                found = self._queues.get(plugin_id)
            if found is None:
                # Its plugin went with the last configuration.
                self._unknown_total += 1
            else:
                found[1].put(entry)

    def close(self, grace_s: float) -> None:
        """Deliver what waits for at most `grace_s`. Blocks."""
        self.flush()
        with self._guard:
            ending = list(self._queues.values())
            self._queues.clear()
        threads = [
            threading.Thread(target=self._end, args=(configured.plugin, queue, grace_s), daemon=True)
            for configured, queue in ending
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def facts(self) -> LogFacts:
        """What became of all entries since the start."""
        with self._guard:
            plugins: dict[str, QueueFacts] = defaultdict(QueueFacts)
            for plugin, facts in self._closed.items():
                plugins[plugin].add(facts)
            for configured, queue in self._queues.values():
                plugins[configured.plugin].add(queue.facts)
            waiting = sum(len(queue) for _, queue in self._queues.values())
            return LogFacts(dict(plugins), waiting, self._unknown_total)

    def _end(self, plugin: str, queue: LogQueue, grace_s: float) -> None:
        queue.close(grace_s)
        with self._guard:
            self._closed[plugin].add(queue.facts)


_HEAD = b'{"plugin_id":"'
_ENTRY = b',"entry":'
_UUID_LENGTH = 36


def _split(line: bytes) -> tuple[str, bytes]:
    """Whose entry a line holds, and the entry as it was rendered."""
    if line.startswith(_HEAD) and line.endswith(b"}}"):
        # The core's own form: cut, not decoded.
        head, mark, rest = line.partition(_ENTRY)
        if mark and rest.startswith(b"{"):
            return head[len(_HEAD) : len(_HEAD) + _UUID_LENGTH].decode("ascii", "replace"), rest[:-1]
    message = orjson.loads(line)
    return message["plugin_id"], orjson.dumps(message["entry"])


def _configured(table: bytes, surroundings: Surroundings) -> dict[str, _Configured]:
    """The sinks of all log plugins of a table. Most tables have none and are not decoded for it."""
    if not any(b'"%s"' % name.encode() in table for name in SINKS):
        return {}
    cut = cut_collection(table, "plugins")
    rows = (orjson.loads(table).get("plugins") or []) if cut is None else [orjson.loads(row) for row in cut]
    found: dict[str, _Configured] = {}
    for row in rows:
        read = SINKS.get(row.get("name"))
        if read is not None and row.get("enabled", True):
            try:
                found[row["id"]] = _Configured(row["name"], read(row["config"], surroundings))
            except (KeyError, TypeError, ValueError) as error:
                _log.error("log_sink_unusable plugin=%s detail=%s", row.get("id"), error)
    return found
