"""What can be asked of the event store: measures, groupings, filters, time ranges, as values. Knows no SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo


class Operator(Enum):
    """How a filter compares."""

    IN = "in"
    NOT_IN = "not_in"
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    GREATER = ">"
    LESS_EQUAL = "<="
    GREATER_EQUAL = ">="
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    EMPTY = "empty"
    NOT_EMPTY = "not_empty"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a field of the records; `values` is empty for the two emptiness operators."""

    field: str
    operator: Operator
    values: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span of time, in microseconds since 1970, and the zone whose days and weeks count."""

    start_us: int
    end_us: int
    zone: ZoneInfo


class Granularity(Enum):
    """Lengths of time buckets, in milliseconds. Days and weeks begin by the asker's time zone."""

    TEN_SECONDLY = 10_000
    THIRTY_SECONDLY = 30_000
    MINUTELY = 60_000
    FIVE_MINUTELY = 300_000
    TEN_MINUTELY = 600_000
    THIRTY_MINUTELY = 1_800_000
    HOURLY = 3_600_000
    TWO_HOURLY = 7_200_000
    TWELVE_HOURLY = 43_200_000
    DAILY = 86_400_000
    WEEKLY = 604_800_000


@dataclass(frozen=True, slots=True)
class RecordsQuery:
    """A page of request records of some control planes."""

    control_planes: Sequence[str]
    period: Period
    filters: Sequence[Filter] = ()
    is_ascending: bool = False
    size: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """Measures of some control planes, grouped by at most two dimensions and, with a granularity, by time."""

    control_planes: Sequence[str]
    period: Period
    metrics: Sequence[str] = ("request_count",)
    dimensions: Sequence[str] = ()
    filters: Sequence[Filter] = ()
    granularity: Granularity | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """The measures of one group in one time bucket. A group value of None means that the records have none."""

    bucket_us: int
    groups: tuple[str | None, ...]
    values: tuple[float | int | None, ...]


OTHER = "____OTHER____"
"""The group that stands for all values of a second dimension beyond the limit."""


@dataclass(frozen=True, slots=True)
class MetricsResult:
    """Rows of an answer, and whether groups beyond the limit were left out."""

    rows: Sequence[MetricsRow]
    truncated: bool
