"""A bounded queue of log entries for one log plugin, delivered in batches by a thread of its own.

Putting never blocks: when the queue is full the oldest entry goes and is counted. A batch that fails is tried again,
with growing delays, until its time is up; then it is given up and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How entries are gathered and tried; the `queue` of a plugin's configuration."""

    max_batch_size: int = 1
    max_coalescing_delay_s: float = 1.0
    max_entries: int = 10_000
    max_bytes: int | None = None
    max_retry_time_s: float = 60.0
    initial_retry_delay_s: float = 0.01
    max_retry_delay_s: float = 60.0
    threads: int = 1
    """Batches under way at a time."""


@dataclass(slots=True)
class QueueFacts:
    """What became of the entries."""

    delivered_total: int = 0
    dropped_total: int = 0
    failed_total: int = 0
    """Entries whose batch was given up."""
    retries_total: int = 0

    def add(self, other: QueueFacts) -> None:
        """Count what another queue counted."""
        self.delivered_total += other.delivered_total
        self.dropped_total += other.dropped_total
        self.failed_total += other.failed_total
        self.retries_total += other.retries_total


class Delivery(Protocol):
    """What a queue hands its batches to: the one who sends."""

    def __call__(self, batch: list[bytes]) -> int:
        """Send a batch: how many of its entries were taken, where others never can be.

        Raises OSError where trying again may help.
        """

    def close(self) -> None:
        """Let go of what the calling thread holds; each one calls it when it ends."""


class LogQueue:
    """Entries on their way to one sink."""

    def __init__(self, name: str, limits: QueueLimits, deliver: Delivery) -> None:
        self.facts = QueueFacts()
        self._name = name
        self._limits = limits
        self._deliver = deliver
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._first_at = 0.0
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_stopped = threading.Event()
        named = f"log-{name}"
        self._threads = [threading.Thread(target=self._work, name=named, daemon=True) for _ in range(limits.threads)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: bytes) -> None:
        """Queue an entry. Never blocks; drops the oldest ones where there is no room."""
        limits = self._limits
        with self._changed:
            if limits.max_bytes and len(entry) > limits.max_bytes:
                # No room that others could make would do.
                self._note_dropped()
                return
            if not self._entries:
                self._first_at = time.monotonic()
            self._entries.append(entry)
            self._bytes += len(entry)
            while len(self._entries) > limits.max_entries or (limits.max_bytes and self._bytes > limits.max_bytes):
                self._bytes -= len(self._entries.popleft())
                self._note_dropped()
            self._changed.notify()

    def close(self, grace_s: float) -> None:
        """Deliver what waits, without delay, for at most `grace_s`; what is left then is counted as failed."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        self._is_stopped.set()
        with self._changed:
            self.facts.failed_total += len(self._entries)
            self._entries.clear()

    def _note_dropped(self) -> None:
        self.facts.dropped_total += 1
        # Once at the first and then at each power of ten: a sink that is away must not flood the log.
        count = self.facts.dropped_total
        if str(count).strip("0") == "1":
            _log.warning("log_entries_dropped sink=%s total=%d", self._name, count)

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._deliver_retrying(batch)
        self._deliver.close()

    def _next_batch(self) -> list[bytes] | None:
        """A full batch, or what has waited for the coalescing delay; None when the queue is closed and empty."""
        limits = self._limits
        with self._changed:
            while True:
                if self._entries:
                    due = self._first_at + limits.max_coalescing_delay_s - time.monotonic()
                    # A batch of one has nothing to wait for.
                    is_full = len(self._entries) >= limits.max_batch_size
                    if is_full or due <= 0 or self._is_closing:
                        return self._take()
                    self._changed.wait(due)
                elif self._is_closing:
                    return None
                else:
                    self._changed.wait()

    def _take(self) -> list[bytes]:
        count = min(len(self._entries), self._limits.max_batch_size)
        batch = [self._entries.popleft() for _ in range(count)]
        self._bytes -= sum(map(len, batch))
        self._first_at = time.monotonic()
        return batch

    def _deliver_retrying(self, batch: list[bytes]) -> None:
        limits = self._limits
        began = time.monotonic()
        delay = limits.initial_retry_delay_s
        while True:
            try:
                taken = self._deliver(batch)
            except (OSError, ValueError) as error:
                _log.warning("log_batch_failed sink=%s entries=%d detail=%s", self._name, len(batch), error)
                is_late = time.monotonic() - began + delay > limits.max_retry_time_s
                # Once the queue has ended nothing is tried again.
                if is_late or self._is_stopped.wait(delay):
                    _log.error("log_batch_given_up sink=%s entries=%d", self._name, len(batch))
                    with self._changed:
                        self.facts.failed_total += len(batch)
                    return
                self.facts.retries_total += 1
                delay = min(delay * 2, limits.max_retry_delay_s)
            else:
                with self._changed:
                    self.facts.delivered_total += taken
                    self.facts.failed_total += len(batch) - taken
                return
