"""What every sink of log entries is, and what the node gives it."""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from twinplane.node.log_queue import Delivery, QueueLimits

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where one plugin delivers. Sinks that are equal are the same."""

    @property
    def limits(self) -> QueueLimits:
        """How entries wait."""

    def delivery(self) -> Delivery:
        """Something that sends; nothing is opened before the first batch."""


@dataclass(frozen=True)
class Surroundings:
    """What the settings of a node say about sinks."""

    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    """Trust in sinks that are reached by TLS."""
    verifies_tcp: bool = False
    syslog_socket: Path = Path("/dev/log")
    entries_max: int = 10_000
    bytes_max: int | None = None
    threads_max: int = 8

    def plain_limits(self, max_batch_size: int) -> QueueLimits:
        """Limits of a plugin whose configuration says nothing of a queue: what is there goes at once."""
        return QueueLimits(
            max_batch_size=max_batch_size,
            max_coalescing_delay_s=0.0,
            max_entries=self.entries_max,
            max_bytes=self.bytes_max,
        )

    def queue_limits(self, queue: Mapping[str, Any]) -> QueueLimits:
        """Limits as the `queue` of a plugin's configuration has them, within those of the node."""
        bounds = [bytes_max for bytes_max in (queue.get("max_bytes"), self.bytes_max) if bytes_max]
        return QueueLimits(
            max_batch_size=int(queue.get("max_batch_size") or 1),
            max_coalescing_delay_s=number(queue.get("max_coalescing_delay"), 1.0),
            max_entries=int(queue.get("max_entries") or 10_000),
            max_bytes=min(bounds, default=None),
            max_retry_time_s=number(queue.get("max_retry_time"), 60.0),
            initial_retry_delay_s=number(queue.get("initial_retry_delay"), 0.01),
            max_retry_delay_s=number(queue.get("max_retry_delay"), 60.0),
            threads=self.threads_max if queue.get("concurrency_limit") == -1 else 1,
        )


def send_each(batch: Sequence[bytes], send: Callable[[bytes], object], close: Callable[[], None], *, sink: str) -> int:
    """Send entry by entry; says how many were taken. What no datagram holds never is; any other error closes."""
    taken = 0
    for entry in batch:
        try:
            send(entry)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                close()
                raise
            _log.warning("log_entry_too_large sink=%s bytes=%d", sink, len(entry))
        else:
            taken += 1
    return taken


def number(value: object, default: float) -> float:
    """A number as configured; the default where none is."""
    return float(value) if isinstance(value, int | float) else default
