"""The event store: request records and usage counters. `control` is its only caller."""

from twinplane.store.events.batch import RECORD_COLUMNS, USAGE_COLUMNS, Batch, Source
from twinplane.store.events.errors import EventStoreFailed, EventStoreUnusable, QueryTooLong
from twinplane.store.events.events import EventStore, EventStoreSettings, LossRow, TimelinessRow
from twinplane.store.events.fields import DIMENSIONS, METRICS, RECORD_FIELDS, FieldKind
from twinplane.store.events.query import (
    OTHER,
    Filter,
    Granularity,
    MetricsQuery,
    MetricsResult,
    MetricsRow,
    Operator,
    Period,
    RecordsQuery,
)

__all__ = [
    "DIMENSIONS",
    "METRICS",
    "OTHER",
    "RECORD_COLUMNS",
    "RECORD_FIELDS",
    "USAGE_COLUMNS",
    "Batch",
    "EventStore",
    "EventStoreFailed",
    "EventStoreSettings",
    "EventStoreUnusable",
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
    "Source",
    "TimelinessRow",
]
