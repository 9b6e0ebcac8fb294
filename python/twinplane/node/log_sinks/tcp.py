"""A TCP server that entries are sent to, one a line, over a connection that is kept."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinplane.node.log_queue import QueueLimits
from twinplane.node.log_sinks.sink import Surroundings, number

_BATCH_SIZE = 1000
_IGNORED_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class TcpSink:
    """Where and how one `tcp-log` plugin delivers."""

    host: str
    port: int
    timeout_s: float = 10.0
    keepalive_s: float = 60.0
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    limits: QueueLimits = field(default_factory=QueueLimits)

    def delivery(self) -> TcpDelivery:
        """What sends to the server."""
        return TcpDelivery(self)


def tcp_sink(config: Mapping[str, Any], surroundings: Surroundings) -> TcpSink:
    """The sink that the configuration of a `tcp-log` plugin describes."""
    speaks_tls = bool(config.get("tls"))
    verifies = surroundings.verifies_tcp
    return TcpSink(
        host=config["host"],
        port=int(config["port"]),
        timeout_s=number(config.get("timeout"), 10_000) / 1000,
        keepalive_s=number(config.get("keepalive"), 60_000) / 1000,
        tls=(surroundings.tls if verifies else _UNVERIFIED) if speaks_tls else None,
        # A certificate is verified for a name, so one has to be asked for.
        server_name=config.get("tls_sni") or (config["host"] if verifies else None),
        limits=surroundings.plain_limits(_BATCH_SIZE),
    )


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_UNVERIFIED = _unverified()


class TcpDelivery:
    """Sends batches to one address. A batch whose connection breaks is sent again whole."""

    def __init__(self, sink: TcpSink) -> None:
        self._sink = sink
        self._held: socket.socket | None = None
        self._used_at = 0.0

    def __call__(self, batch: list[bytes]) -> int:
        """Send a batch. Raises OSError where the connection fails."""
        connection = self._kept() or self._connect()
        self._held = None
        try:
            connection.settimeout(self._sink.timeout_s)
            connection.sendall(b"\n".join(batch) + b"\n")
        except OSError:
            connection.close()
            raise
        self._held, self._used_at = connection, time.monotonic()
        return len(batch)

    def close(self) -> None:
        """Close the connection."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _connect(self) -> socket.socket:
        sink = self._sink
        connection = socket.create_connection((sink.host, sink.port), timeout=sink.timeout_s)
        if sink.tls is None:
            return connection
        try:
            return sink.tls.wrap_socket(connection, server_hostname=sink.server_name)
        except OSError:
            connection.close()
            raise

    def _kept(self) -> socket.socket | None:
        """The connection of the batch before, unless it has idled too long or the server has closed it."""
        held = self._held
        if held is None:
            return None
        if time.monotonic() - self._used_at <= self._sink.keepalive_s and _is_open(held):
            return held
        self.close()
        return None


def _is_open(connection: socket.socket) -> bool:
    """Whether the other end still listens. What it says is of no interest, but may not pile up."""
    connection.settimeout(0)
    try:
        return bool(connection.recv(_IGNORED_BYTES_MAX))
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
