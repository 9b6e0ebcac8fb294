"""Bodies of the two analytics queries, decoded and checked: every violation at once, as `invalid_parameters` tells it.

Reads no clock: the moment that relative time ranges count from is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twinplane.control.analytics import (
    DIMENSIONS,
    METRICS,
    RECORD_FIELDS,
    FieldKind,
    Filter,
    Granularity,
    MetricsQuery,
    Operator,
    Period,
    RecordsQuery,
)

FILTERS_MAX = 50
FILTER_VALUES_MAX = 1000
OFFSET_MAX = 1_000_000
TEXT_MAX = 2048
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = re.compile(_UUID)
_SCOPED_ID = re.compile(f"{_UUID}:{_UUID}")
_STATUS_GROUP = re.compile(r"[0-9][xX]{2}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")

_SETS = (Operator.IN, Operator.NOT_IN)
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
_ORDER = (Operator.LESS, Operator.GREATER, Operator.LESS_EQUAL, Operator.GREATER_EQUAL)
_WILDCARDS = (Operator.STARTS_WITH, Operator.ENDS_WITH)
_EMPTINESS = (Operator.EMPTY, Operator.NOT_EMPTY)
# A status code is compared in order too: the published examples do so.
_OPERATORS: Mapping[FieldKind, tuple[Operator, ...]] = {
    FieldKind.SCOPED_ID: _SETS + _EQUALITY + _EMPTINESS,
    FieldKind.ID: _SETS + _EQUALITY + _EMPTINESS,
    FieldKind.TEXT: _SETS + _EQUALITY + _WILDCARDS + _EMPTINESS,
    FieldKind.NUMBER: _SETS + _EQUALITY + _ORDER + _EMPTINESS,
    FieldKind.STATUS: _SETS + _EQUALITY + _ORDER + _EMPTINESS,
    FieldKind.STATUS_GROUP: _SETS + _EQUALITY + _EMPTINESS,
}
_METRICS_OPERATORS = _SETS + _EMPTINESS

GRANULARITIES: Mapping[str, Granularity] = {
    "tenSecondly": Granularity.TEN_SECONDLY,
    "thirtySecondly": Granularity.THIRTY_SECONDLY,
    "minutely": Granularity.MINUTELY,
    "fiveMinutely": Granularity.FIVE_MINUTELY,
    "tenMinutely": Granularity.TEN_MINUTELY,
    "thirtyMinutely": Granularity.THIRTY_MINUTELY,
    "hourly": Granularity.HOURLY,
    "twoHourly": Granularity.TWO_HOURLY,
    "twelveHourly": Granularity.TWELVE_HOURLY,
    "daily": Granularity.DAILY,
    "weekly": Granularity.WEEKLY,
}
_RELATIVE = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_CALENDAR = ("current_week", "current_month", "previous_week", "previous_month")
_RECORD_RANGES = ("15M", "1H", "6H", "12H", "24H", "7D")
# Up to this length of a range: finest, chosen by default, and coarsest length of a time bucket.
_BUCKETS = (
    (timedelta(minutes=15), Granularity.TEN_SECONDLY, Granularity.MINUTELY, Granularity.MINUTELY),
    (timedelta(hours=1), Granularity.TEN_SECONDLY, Granularity.MINUTELY, Granularity.TEN_MINUTELY),
    (timedelta(hours=6), Granularity.THIRTY_SECONDLY, Granularity.MINUTELY, Granularity.HOURLY),
    (timedelta(hours=12), Granularity.MINUTELY, Granularity.HOURLY, Granularity.HOURLY),
    (timedelta(hours=24), Granularity.FIVE_MINUTELY, Granularity.HOURLY, Granularity.HOURLY),
    (timedelta(days=8), Granularity.THIRTY_MINUTELY, Granularity.HOURLY, Granularity.DAILY),
    (timedelta.max, Granularity.HOURLY, Granularity.DAILY, Granularity.WEEKLY),
)


@dataclass(frozen=True, slots=True)
class InvalidParameter:
    """One thing that is wrong with a query, in the terms of problem details."""

    field: str
    rule: str
    reason: str
    choices: tuple[str, ...] = ()

    def as_body(self) -> dict[str, object]:
        """The entry of `invalid_parameters`."""
        return {"field": self.field, "rule": self.rule, "choices": list(self.choices), "reason": self.reason}


class InvalidQuery(Exception):
    """A query is refused; carries everything that is wrong with it."""

    def __init__(self, violations: Sequence[InvalidParameter]) -> None:
        super().__init__(f"{len(violations)} invalid parameters")
        self.violations = violations


def decode_records_query(body: Any, *, control_planes: Sequence[str], now: datetime) -> RecordsQuery:
    """The body of `POST /v2/api-requests`."""
    reader = _Reader()
    fields = reader.object(body, "", ("filters", "time_range", "order", "size", "offset"))
    order = reader.choice(fields.get("order", "descending"), "order", ("ascending", "descending"))
    size = reader.integer(fields.get("size", 100), "size", 0, 1000)
    offset = reader.integer(fields.get("offset", 0), "offset", 0, OFFSET_MAX)
    filters = reader.filters(fields.get("filters", []), tuple(RECORD_FIELDS), None)
    requested = fields.get("time_range", {"type": "relative", "time_range": "1H"})
    period = reader.period(requested, _RECORD_RANGES, now)
    reader.finish()
    assert period is not None
    return RecordsQuery(
        control_planes, period.period, filters, is_ascending=order == "ascending", size=size, offset=offset
    )


def decode_metrics_query(body: Any, *, control_planes: Sequence[str], now: datetime) -> MetricsQuery:
    """The body of `POST /v2/metrics`. Only the datasource `api_usage` has data."""
    reader = _Reader()
    known = ("datasource", "metrics", "dimensions", "filters", "granularity", "time_range", "limit")
    fields = reader.object(body, "", known)
    reader.choice(fields.get("datasource", "api_usage"), "datasource", ("api_usage",))
    metrics = reader.choices(fields.get("metrics") or ["request_count"], "metrics", tuple(METRICS), 3)
    dimensions = reader.choices(fields.get("dimensions") or [], "dimensions", ("time", *DIMENSIONS), 2)
    limit = reader.integer(fields.get("limit", 50), "limit", 1, 1000)
    filters = reader.filters(fields.get("filters", []), tuple(DIMENSIONS), _METRICS_OPERATORS)
    granularity = fields.get("granularity")
    if granularity is not None:
        reader.choice(granularity, "granularity", tuple(GRANULARITIES))
    requested = fields.get("time_range", {"type": "relative", "time_range": "1h"})
    span = reader.period(requested, (*_RELATIVE, *_CALENDAR), now)
    reader.finish()
    assert span is not None
    bucket = None
    period = span.period
    if "time" in dimensions:
        bucket = _bucket(GRANULARITIES.get(str(granularity)), span)
        period = _floored(period, bucket)
    groups = tuple(name for name in dimensions if name != "time")
    return MetricsQuery(control_planes, period, metrics, groups, filters, bucket, limit)


@dataclass(frozen=True, slots=True)
class _Span:
    period: Period
    is_absolute: bool


@dataclass(slots=True)
class _Reader:
    """Takes a body apart and gathers what is wrong with it."""

    violations: list[InvalidParameter] = field(default_factory=list)

    def finish(self) -> None:
        if self.violations:
            raise InvalidQuery(self.violations)

    def wrong(self, name: str, rule: str, reason: str, choices: Sequence[str] = ()) -> None:
        self.violations.append(InvalidParameter(name, rule, reason, tuple(choices)))

    def object(self, value: Any, name: str, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.wrong(name or "body", "is_object", f"{name or 'body'} must be an object")
            return {}
        for key in value:
            if key not in known:
                path = f"{name}.{key}" if name else str(key)
                self.wrong(path[:TEXT_MAX], "unknown_property", f"property {str(key)[:TEXT_MAX]} should not exist")
        return value

    def choice(self, value: Any, name: str, choices: Sequence[str]) -> str:
        if not isinstance(value, str) or value not in choices:
            self.wrong(name, "enum", f"{name} must be one of the allowed values", choices)
            return choices[0]
        return value

    def choices(self, value: Any, name: str, choices: Sequence[str], items_max: int) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.wrong(name, "is_array", f"{name} must be an array")
            return ()
        if len(value) > items_max:
            self.wrong(name, "max_items", f"{name} must hold at most {items_max} items")
        for position, entry in enumerate(value[: items_max + 1]):
            if not isinstance(entry, str) or entry not in choices:
                self.wrong(f"{name}.{position}", "enum", f"{name} must hold allowed values only", choices)
        if len({str(entry) for entry in value}) != len(value):
            self.wrong(name, "is_unique", f"{name} must not hold a value twice")
        return tuple(value) if not self.violations else ()

    def integer(self, value: Any, name: str, low: int, high: int) -> int:
        is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value or 0)
        if not is_whole or not low <= value <= high:
            self.wrong(name, "is_integer", f"{name} must be a whole number from {low} to {high}")
            return low
        return int(value)

    def filters(self, value: Any, known: Sequence[str], operators: Sequence[Operator] | None) -> tuple[Filter, ...]:
        if not isinstance(value, list):
            self.wrong("filters", "is_array", "filters must be an array")
            return ()
        if len(value) > FILTERS_MAX:
            self.wrong("filters", "max_items", f"filters must hold at most {FILTERS_MAX} items")
            return ()
        return tuple(self._filters(value, known, operators))

    def _filters(
        self, value: Sequence[Any], known: Sequence[str], operators: Sequence[Operator] | None
    ) -> Iterator[Filter]:
        for position, entry in enumerate(value):
            name = f"filters.{position}"
            if not isinstance(entry, dict):
                self.wrong(name, "is_object", f"{name} must be an object")
                continue
            # The older spelling says `dimension`, `type` and `values`.
            renamed = {"dimension": "field", "type": "operator", "values": "value"} if "dimension" in entry else {}
            fields = self.object(
                {renamed.get(key, key): item for key, item in entry.items()}, name, ("field", "operator", "value")
            )
            subject = fields.get("field")
            if not isinstance(subject, str) or subject not in known:
                self.wrong(f"{name}.field", "enum", "field must be one of the allowed values", known)
                continue
            kind = RECORD_FIELDS[subject].kind
            allowed = [operator for operator in _OPERATORS[kind] if operators is None or operator in operators]
            operator = next((known for known in allowed if known.value == fields.get("operator")), None)
            if operator is None:
                choices = [known.value for known in allowed]
                self.wrong(f"{name}.operator", "enum", "operator must be one of the allowed values", choices)
                continue
            yield Filter(subject, operator, self._values(fields.get("value"), f"{name}.value", kind, operator))

    def _values(self, value: Any, name: str, kind: FieldKind, operator: Operator) -> tuple[str | int, ...]:
        if operator in _EMPTINESS:
            return ()
        if operator in _SETS:
            if not isinstance(value, list) or not value or len(value) > FILTER_VALUES_MAX:
                self.wrong(name, "is_array", f"value must be an array of 1 to {FILTER_VALUES_MAX} items")
                return ()
            return tuple(self._value(entry, f"{name}.{index}", kind) for index, entry in enumerate(value))
        return (self._value(value, name, kind),)

    def _value(self, value: Any, name: str, kind: FieldKind) -> str | int:
        if kind in {FieldKind.NUMBER, FieldKind.STATUS}:
            high = 999 if kind is FieldKind.STATUS else 2**53
            return self.integer(value, name, 0, high)
        if not isinstance(value, str) or len(value) > TEXT_MAX:
            self.wrong(name, "is_string", "value must be a string")
            return ""
        form = {FieldKind.ID: _ID, FieldKind.SCOPED_ID: _SCOPED_ID, FieldKind.STATUS_GROUP: _STATUS_GROUP}.get(kind)
        if form is not None and not form.fullmatch(value):
            self.wrong(name, "matches", f"value must be of the form {_FORMS[kind]}")
        return value.upper() if kind is FieldKind.STATUS_GROUP else value

    def period(self, value: Any, ranges: Sequence[str], now: datetime) -> _Span | None:
        fields = self.object(value, "time_range", ("type", "tz", "time_range", "start", "end"))
        kind = self.choice(fields.get("type"), "time_range.type", ("relative", "absolute"))
        zone = self._zone(fields.get("tz", "Etc/UTC"))
        known: tuple[str, ...] = ("type", "tz", "time_range")
        if kind == "relative":
            name = self.choice(fields.get("time_range"), "time_range.time_range", ranges)
            span = _relative(name.lower(), zone, now)
        else:
            known = ("type", "tz", "start", "end")
            start = self._moment(fields.get("start"), "start", zone)
            end = self._moment(fields.get("end"), "end", zone)
            if start is None or end is None:
                return None
            if start >= end:
                self.wrong("time_range.end", "is_after", "end must be after start")
            span = Period(_microseconds(start), _microseconds(end), zone)
        for key in fields:
            if key not in known and key in {"type", "tz", "time_range", "start", "end"}:
                self.wrong(f"time_range.{key}", "unknown_property", f"property {key} should not exist")
        return _Span(span, kind == "absolute")

    def _zone(self, value: Any) -> ZoneInfo:
        if isinstance(value, str) and len(value) < 64 and _ZONE.fullmatch(value):
            try:
                return ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                pass
        self.wrong("time_range.tz", "is_time_zone", "tz must be a name of the time zone database")
        return ZoneInfo("UTC")

    def _moment(self, value: Any, name: str, zone: ZoneInfo) -> datetime | None:
        if isinstance(value, str) and len(value) < 64:
            try:
                moment = datetime.fromisoformat(value)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
                if 1970 < moment.year < 2200:
                    return moment
            except ValueError:
                pass
        self.wrong(f"time_range.{name}", "is_date", f"{name} must be a valid date in ISO format")
        return None


_FORMS = {
    FieldKind.ID: "of a UUID",
    FieldKind.SCOPED_ID: "control_plane_id:id",
    FieldKind.STATUS_GROUP: "2XX",
}


def _relative(name: str, zone: ZoneInfo, now: datetime) -> Period:
    end = now
    if name in _RELATIVE:
        start = now - _RELATIVE[name]
    else:
        today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        week = today - timedelta(days=today.weekday())
        month = today.replace(day=1)
        starts = {
            "current_week": week,
            "current_month": month,
            "previous_week": week - timedelta(days=7),
            "previous_month": (month - timedelta(days=1)).replace(day=1),
        }
        start = starts[name]
        end = {"previous_week": week, "previous_month": month}.get(name, now)
    return Period(_microseconds(start), _microseconds(end), zone)


def _bucket(wanted: Granularity | None, span: _Span) -> Granularity:
    length = timedelta(microseconds=span.period.end_us - span.period.start_us)
    finest, default, coarsest = next(
        (finest, default, coarsest) for longest, finest, default, coarsest in _BUCKETS if length <= longest
    )
    if wanted is None:
        # For absolute ranges the public API says days.
        return Granularity.DAILY if span.is_absolute else default
    if span.is_absolute:
        return max(wanted, finest, key=_length)
    return min(max(wanted, finest, key=_length), coarsest, key=_length)


def _length(granularity: Granularity) -> int:
    return granularity.value


def _floored(period: Period, bucket: Granularity) -> Period:
    """The period from the beginning of its first bucket, counted in the asker's days."""
    start = datetime.fromtimestamp(period.start_us / 1_000_000, period.zone)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if bucket is Granularity.WEEKLY:
        floored = _microseconds(midnight - timedelta(days=midnight.weekday()))
    elif bucket is Granularity.DAILY:
        floored = _microseconds(midnight)
    else:
        step, origin = bucket.value * 1000, _microseconds(midnight)
        floored = period.start_us - (period.start_us - origin) % step
    return Period(floored, period.end_us, period.zone)


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000) * 1000
