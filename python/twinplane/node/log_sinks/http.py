"""An HTTP server that batches of entries are posted to, over connections that are kept."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from twinplane.node.log_queue import QueueLimits
from twinplane.node.log_sinks.sink import Surroundings, number

_RESPONSE_BYTES_MAX = 65_536


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
    tls: ssl.SSLContext | None = None

    def delivery(self) -> HttpDelivery:
        """What sends to the server."""
        return HttpDelivery(self)


def http_sink(config: Mapping[str, Any], surroundings: Surroundings) -> HttpSink:
    """The sink that the configuration of an `http-log` plugin describes."""
    return HttpSink(
        endpoint=config["http_endpoint"],
        method=config.get("method") or "POST",
        content_type=config.get("content_type") or "application/json",
        timeout_ms=number(config.get("timeout"), 10_000),
        keepalive_ms=number(config.get("keepalive"), 60_000),
        headers={name: str(value) for name, value in (config.get("headers") or {}).items()},
        limits=surroundings.queue_limits(config.get("queue") or {}),
        tls=surroundings.tls,
    )


class HttpDelivery:
    """Sends batches to one address over connections that are kept, one for each thread."""

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink
        self._target = urlsplit(sink.endpoint)
        self._headers = _headers(sink, self._target)
        self._connections = threading.local()

    def __call__(self, batch: list[bytes]) -> int:
        """Send a batch. Raises OSError unless the sink answers with success."""
        body = batch[0] if self._sink.limits.max_batch_size == 1 else b"[" + b",".join(batch) + b"]"
        connection = self._kept()
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
            self._connections.held, self._connections.used_at = connection, time.monotonic()
        else:
            connection.close()
        if not 200 <= status < 300:
            raise OSError(f"the sink answered with status {status}")
        return len(batch)

    def close(self) -> None:
        """Close the connection of the calling thread."""
        held = getattr(self._connections, "held", None)
        if held is not None:
            held.close()
            self._connections.held = None

    def _kept(self) -> http.client.HTTPConnection | None:
        """The connection of this thread, unless it has idled too long."""
        held: http.client.HTTPConnection | None = getattr(self._connections, "held", None)
        if held is not None and (time.monotonic() - self._connections.used_at) * 1000 > self._sink.keepalive_ms:
            self.close()
            return None
        return held

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = self._target.hostname or "", self._sink.timeout_ms / 1000
        if self._target.scheme == "https":
            port = self._target.port or 443
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._sink.tls)
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
