"""An address that entries are sent to, one a datagram. Nobody says whether they arrive."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinplane.node.log_queue import QueueLimits
from twinplane.node.log_sinks.sink import Surroundings, number, send_each

_RESOLVED_S = 30.0


@dataclass(frozen=True, slots=True)
class UdpSink:
    """Where one `udp-log` plugin delivers."""

    host: str
    port: int
    timeout_s: float = 10.0
    limits: QueueLimits = field(default_factory=QueueLimits)

    def delivery(self) -> UdpDelivery:
        """What sends to the address."""
        return UdpDelivery(self)


def udp_sink(config: Mapping[str, Any], surroundings: Surroundings) -> UdpSink:
    """The sink that the configuration of a `udp-log` plugin describes."""
    return UdpSink(
        host=config["host"],
        port=int(config["port"]),
        timeout_s=number(config.get("timeout"), 10_000) / 1000,
        limits=surroundings.plain_limits(1),
    )


class UdpDelivery:
    """Sends entries to one address, which is looked up again from time to time."""

    def __init__(self, sink: UdpSink) -> None:
        self._sink = sink
        self._socket: socket.socket | None = None
        self._address: Any = None
        self._resolved_at = 0.0

    def __call__(self, batch: list[bytes]) -> int:
        """Send each entry. One that fits into no datagram is never taken."""
        return send_each(batch, lambda entry: self._opened().sendto(entry, self._address), self.close, sink="udp")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        now = time.monotonic()
        if self._socket is not None and now - self._resolved_at < _RESOLVED_S:
            return self._socket
        self.close()
        found = socket.getaddrinfo(self._sink.host, self._sink.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, self._address = found[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(self._sink.timeout_s)
        self._resolved_at = now
        return self._socket
