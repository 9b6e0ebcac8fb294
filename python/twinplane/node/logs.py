"""Delivers what log plugins have to say: entries come rendered from the core, and leave by HTTP in batches.

Each configured plugin has a queue of its own, so a slow sink delays no other one and no request.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from twinplane.control.table_text import cut_collection
from twinplane.node.log_queue import LogQueue, QueueFacts, QueueLimits

DRAIN_INTERVAL_S = 0.25
_RESPONSE_BYTES_MAX = 65_536
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpSink:
    """Where and how one `http-log` plugin delivers."""

    endpoint: str
    method: str = "POST"
    content_type: str = "application/json"
    timeout_ms: float = 10_000
    keepalive_ms: float = 60_000
    headers: Mapping[str, str] = field(default_factory=dict)
    limits: QueueLimits = field(default_factory=QueueLimits)


def http_sink(config: Mapping[str, Any]) -> HttpSink:
    """The sink that the configuration of an `http-log` plugin describes."""
    queue = config.get("queue") or {}
    return HttpSink(
        endpoint=config["http_endpoint"],
        method=config.get("method") or "POST",
        content_type=config.get("content_type") or "application/json",
        timeout_ms=config.get("timeout") or 10_000,
        keepalive_ms=config.get("keepalive") or 60_000,
        headers={name: str(value) for name, value in (config.get("headers") or {}).items()},
        limits=QueueLimits(
            max_batch_size=int(queue.get("max_batch_size") or 1),
            max_coalescing_delay_s=_number(queue.get("max_coalescing_delay"), 1.0),
            max_entries=int(queue.get("max_entries") or 10_000),
            max_bytes=queue.get("max_bytes"),
            max_retry_time_s=_number(queue.get("max_retry_time"), 60.0),
            initial_retry_delay_s=_number(queue.get("initial_retry_delay"), 0.01),
            max_retry_delay_s=_number(queue.get("max_retry_delay"), 60.0),
            concurrency_limit=int(queue.get("concurrency_limit") or 1),
        ),
    )


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


class HttpDelivery:
    """Sends batches to one address over connections that are kept, one for each thread."""

    def __init__(self, sink: HttpSink, tls: ssl.SSLContext) -> None:
        self._sink = sink
        self._tls = tls
        self._target = urlsplit(sink.endpoint)
        self._headers = _headers(sink, self._target)
        self._connections = threading.local()

    def __call__(self, batch: list[bytes]) -> None:
        """Send a batch. Raises OSError unless the sink answers with success."""
        body = batch[0] if self._sink.limits.max_batch_size == 1 else b"[" + b",".join(batch) + b"]"
        connection = getattr(self._connections, "held", None)
        is_reused = connection is not None
        connection = connection or self._connect()
        self._connections.held = None
        try:
            try:
                status, may_stay = self._exchange(connection, body)
            except (http.client.HTTPException, ConnectionError):
                connection.close()
                if not is_reused:
                    raise
                # A kept connection may have been closed by the sink meanwhile: a fresh one decides.
                connection = self._connect()
                status, may_stay = self._exchange(connection, body)
        except http.client.HTTPException as error:
            connection.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        except OSError:
            connection.close()
            raise
        if may_stay:
            self._connections.held = connection
        else:
            connection.close()
        if not 200 <= status < 300:
            raise OSError(f"the sink answered with status {status}")

    def close(self) -> None:
        """Close the connection of the calling thread."""
        held = getattr(self._connections, "held", None)
        if held is not None:
            held.close()
            self._connections.held = None

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = self._target.hostname or "", self._sink.timeout_ms / 1000
        if self._target.scheme == "https":
            port = self._target.port or 443
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, self._target.port or 80, timeout=timeout_s)

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bool]:
        path = self._target.path or "/"
        target = f"{path}?{self._target.query}" if self._target.query else path
        connection.request(self._sink.method, target, body, self._headers)
        response = connection.getresponse()
        response.read(_RESPONSE_BYTES_MAX)
        return response.status, response.isclosed() and not response.will_close


def _headers(sink: HttpSink, target: SplitResult) -> dict[str, str]:
    headers = {"Content-Type": sink.content_type}
    if target.username is not None:
        userinfo = f"{unquote(target.username)}:{unquote(target.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(userinfo.encode()).decode()
    return headers | dict(sink.headers)


class LogDelivery:
    """All log queues of a node, as the served configuration wants them."""

    def __init__(self, drain: Callable[[str], bytes], tls: ssl.SSLContext) -> None:
        """`tls` verifies sinks that are reached by https."""
        self._drain = drain
        self._tls = tls
        self._queues: dict[str, tuple[HttpSink, LogQueue]] = {}
        self._closed: QueueFacts = QueueFacts()
        self._guard = threading.Lock()
        self.entries_unknown_total = 0

    def configure(self, table: bytes) -> None:
        """Follow a configuration that is being served. Queues of unchanged plugins go on as they are."""
        wanted = _sinks(table)
        with self._guard:
            gone = [one for one, (sink, _) in self._queues.items() if wanted.get(one) != sink]
            ending = [self._queues.pop(one)[1] for one in gone]
            for plugin_id, sink in wanted.items():
                if plugin_id not in self._queues:
                    delivery = HttpDelivery(sink, self._tls)
                    queue = LogQueue(plugin_id, sink.limits, delivery, finish=delivery.close)
                    self._queues[plugin_id] = sink, queue
        for queue in ending:
            # What it still holds is delivered in the background.
            threading.Thread(target=self._end, args=(queue, 60.0), daemon=True).start()

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
                self.entries_unknown_total += 1
                continue
            with self._guard:
                found = self._queues.get(plugin_id)
            if found is None:
                # Its plugin went with the last configuration.
                self.entries_unknown_total += 1
            else:
                found[1].put(entry)

    def close(self, grace_s: float) -> None:
        """Deliver what waits for at most `grace_s`. Blocks."""
        self.flush()
        with self._guard:
            queues = [queue for _, queue in self._queues.values()]
            self._queues.clear()
        threads = [threading.Thread(target=self._end, args=(queue, grace_s), daemon=True) for queue in queues]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def facts(self) -> QueueFacts:
        """What became of all entries since the start."""
        with self._guard:
            parts = [self._closed, *(queue.facts for _, queue in self._queues.values())]
        return QueueFacts(
            delivered_total=sum(part.delivered_total for part in parts),
            dropped_total=sum(part.dropped_total for part in parts),
            failed_total=sum(part.failed_total for part in parts),
            retries_total=sum(part.retries_total for part in parts),
        )

    def waiting(self) -> int:
        """Entries in all queues."""
        with self._guard:
            return sum(len(queue) for _, queue in self._queues.values())

    def _end(self, queue: LogQueue, grace_s: float) -> None:
        queue.close(grace_s)
        with self._guard:
            self._closed.delivered_total += queue.facts.delivered_total
            self._closed.dropped_total += queue.facts.dropped_total
            self._closed.failed_total += queue.facts.failed_total
            self._closed.retries_total += queue.facts.retries_total


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


def _sinks(table: bytes) -> dict[str, HttpSink]:
    """The sinks of all `http-log` plugins of a table. Most tables have none and are not decoded for it."""
    if b'"http-log"' not in table:
        return {}
    cut = cut_collection(table, "plugins")
    rows = (orjson.loads(table).get("plugins") or []) if cut is None else [orjson.loads(row) for row in cut]
    sinks: dict[str, HttpSink] = {}
    for row in rows:
        if row.get("name") == "http-log" and row.get("enabled", True):
            try:
                sinks[row["id"]] = http_sink(row["config"])
            except (KeyError, TypeError, ValueError) as error:
                _log.error("log_sink_unusable plugin=%s detail=%s", row.get("id"), error)
    return sinks
