"""Use cases of telemetry: taking in what nodes measured, and answering questions about it.

Every question names the control planes that the asker may see; no row of another one can be part of an answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinplane.store.events import (
    DIMENSIONS,
    METRICS,
    OTHER,
    RECORD_COLUMNS,
    RECORD_FIELDS,
    USAGE_COLUMNS,
    Batch,
    EventStore,
    EventStoreFailed,
    FieldKind,
    Filter,
    Granularity,
    LossRow,
    MetricsQuery,
    MetricsResult,
    MetricsRow,
    Operator,
    Period,
    QueryTooLong,
    RecordsQuery,
    Source,
    TimelinessRow,
)

__all__ = [
    "DIMENSIONS",
    "METRICS",
    "OTHER",
    "RECORD_COLUMNS",
    "RECORD_FIELDS",
    "USAGE_COLUMNS",
    "Analytics",
    "Batch",
    "EventStoreFailed",
    "FieldKind",
    "Filter",
    "Granularity",
    "LossRow",
    "MetricsQuery",
    "MetricsResult",
    "MetricsRow",
    "Operator",
    "Period",
    "QueryTooLong",
    "RecordsQuery",
    "Reporter",
    "Retention",
    "Source",
    "TimelinessRow",
]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Retention:
    """How long telemetry is kept."""

    record_days: int = 7
    usage_days: int = 400


@dataclass(frozen=True, slots=True)
class Reporter:
    """A node that reports, as its certificate and its own words at the upgrade tell."""

    control_plane_id: str
    node_id: str
    node_version: str


class Analytics:
    """The door to what nodes measured. Thread-safe; calls block, so callers on an event loop use a thread."""

    def __init__(self, store: EventStore, retention: Retention) -> None:
        self._store = store
        self._retention = retention

    def add_records(self, batch: Batch) -> bool:
        """Keep a checked batch of request records. False where it came before."""
        return self._store.add_records(batch)

    def add_usage(self, batch: Batch) -> bool:
        """Keep a checked batch of usage counters. False where it came before."""
        return self._store.add_usage(batch)

    def records(self, query: RecordsQuery) -> Sequence[Mapping[str, object]]:
        """A page of request records."""
        return self._store.records(query)

    def metrics(self, query: MetricsQuery) -> MetricsResult:
        """Measures by group and time."""
        return self._store.metrics(query)

    def losses(self, control_planes: Sequence[str]) -> Sequence[LossRow]:
        """Records that nodes had to drop, by node."""
        return self._store.losses(control_planes)

    def timeliness(self, control_planes: Sequence[str]) -> Sequence[TimelinessRow]:
        """How far behind the records of each node came, and when some were lost."""
        return self._store.timeliness(control_planes)

    def forget_old(self, now: float | None = None) -> int:
        """Drop what is older than its retention. Called once an hour; returns the number of records dropped."""
        moment = time.time() if now is None else now
        return self._store.forget(
            records_before_us=int((moment - self._retention.record_days * _DAY_S) * 1_000_000),
            usage_before_minute=int(moment - self._retention.usage_days * _DAY_S),
        )

    def close(self) -> None:
        """Close the event store."""
        self._store.close()
