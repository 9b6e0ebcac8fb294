"""Query values to SQL text and parameters. Values of the asker only ever become parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twinplane.store.events.fields import DIMENSIONS, METRICS, RECORD_FIELDS, Field, FieldKind
from twinplane.store.events.query import (
    OTHER,
    Filter,
    Granularity,
    MetricsQuery,
    Operator,
    Period,
    RecordsQuery,
)

RECORD_RESULT = (
    "request_start_us",
    "request_id",
    "control_plane_id",
    "node_id",
    "node_version",
    "service_id",
    "route_id",
    "consumer_id",
    "credential_id",
    "application_id",
    "method",
    "path",
    "host",
    "status",
    "upstream_status",
    "response_source",
    "latency_kong_us",
    "latency_upstream_us",
    "latency_total_us",
    "request_bytes",
    "response_bytes",
    "protocol",
    "http_version",
    "tries",
)
"""Columns of one returned record."""

_COMPARISONS = {
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "<>",
    Operator.LESS: "<",
    Operator.GREATER: ">",
    Operator.LESS_EQUAL: "<=",
    Operator.GREATER_EQUAL: ">=",
}


@dataclass(slots=True)
class _Conditions:
    """A growing WHERE clause and its parameters."""

    clauses: list[str] = field(default_factory=list)
    parameters: list[object] = field(default_factory=list)

    def add(self, clause: str, *parameters: object) -> None:
        self.clauses.append(clause)
        self.parameters.extend(parameters)

    @property
    def text(self) -> str:
        return " AND ".join(self.clauses)


def records_statement(query: RecordsQuery) -> tuple[str, list[object]]:
    """The statement for a page of records, newest first unless asked otherwise."""
    where = _where(query.control_planes, query.period, query.filters, RECORD_FIELDS)
    order = "ASC" if query.is_ascending else "DESC"
    text = (
        f"SELECT {', '.join(RECORD_RESULT)} FROM record WHERE {where.text} "  # noqa: S608
        f"ORDER BY request_start_us {order}, request_id {order} LIMIT ? OFFSET ?"
    )
    return text, [*where.parameters, query.size, query.offset]


def top_statement(query: MetricsQuery, dimension: str) -> tuple[str, list[object]]:
    """The statement for the largest groups of one dimension, one more than the limit."""
    where = _where(query.control_planes, query.period, query.filters, DIMENSIONS)
    shown, grouped = _grouping(query, dimension)
    text = (
        f"SELECT {shown} AS name FROM record WHERE {where.text} "  # noqa: S608
        f"GROUP BY {grouped} ORDER BY count(*) DESC, name LIMIT ?"
    )
    return text, [*where.parameters, query.limit + 1]


def metrics_statement(query: MetricsQuery, kept: Sequence[Sequence[str | None] | None]) -> tuple[str, list[object]]:
    """The statement for the measures. `kept` holds, for each dimension, the groups to keep, None for all.

    A first dimension drops what is not kept; a second one gathers it in one group.
    """
    where = _where(query.control_planes, query.period, query.filters, DIMENSIONS)
    bucket, bucket_parameters = _bucket(query)
    columns, parameters = [f"{bucket} AS bucket"], bucket_parameters
    groups = ["bucket"]
    for position, (dimension, names) in enumerate(zip(query.dimensions, kept, strict=True)):
        shown, grouped = _grouping(query, dimension)
        if names is not None and position == 0:
            _keep(where, DIMENSIONS[dimension], names, is_one_plane=len(query.control_planes) == 1)
        elif names is not None:
            test, expression = _Conditions(), f"({DIMENSIONS[dimension].expression})::VARCHAR"
            _keep(test, DIMENSIONS[dimension], names)
            shown, grouped = f"CASE WHEN {test.text} THEN {expression} ELSE ? END", f"group_{position}"
            parameters += [*test.parameters, OTHER]
        columns.append(f"{shown} AS group_{position}")
        groups.append(grouped)
    minutes = _bucket_minutes(query)
    columns += [METRICS[name].expression.replace("$minutes", repr(minutes)) for name in query.metrics]
    order = ", ".join(str(position + 1) for position in range(1 + len(query.dimensions)))
    text = (
        f"SELECT {', '.join(columns)} FROM record WHERE {where.text} "  # noqa: S608
        f"GROUP BY {', '.join(groups)} HAVING count(*) > 0 ORDER BY {order}"
    )
    return text, [*parameters, *where.parameters]


def _grouping(query: MetricsQuery, dimension: str) -> tuple[str, str]:
    """How a group is shown, and what it is grouped by: an id alone within one control plane, put together later."""
    known = DIMENSIONS[dimension]
    if known.column and len(query.control_planes) == 1:
        return f"any_value(control_plane_id) || ':' || {known.column}", known.column
    expression = f"({known.expression})::VARCHAR"
    return expression, expression


def _keep(where: _Conditions, subject: Field, names: Sequence[str | None], *, is_one_plane: bool = False) -> None:
    known = [name for name in names if name is not None]
    expression = f"({subject.expression})::VARCHAR"
    if is_one_plane and subject.column:
        expression, known = subject.column, [name.partition(":")[2] for name in known]
    clause = f"{expression} IN (SELECT unnest(?::VARCHAR[]))"
    if len(known) != len(names):
        clause = f"({clause} OR {expression} IS NULL)"
    where.add(clause, known)


def _bucket(query: MetricsQuery) -> tuple[str, list[object]]:
    if query.granularity is None:
        return "?::BIGINT", [query.period.start_us]
    if query.granularity in {Granularity.DAILY, Granularity.WEEKLY}:
        unit = "day" if query.granularity is Granularity.DAILY else "week"
        local = f"date_trunc('{unit}', make_timestamptz(request_start_us) AT TIME ZONE ?)"
        return f"epoch_us({local} AT TIME ZONE ?)", [query.period.zone.key, query.period.zone.key]
    # Shorter buckets are counted from the start of the period, which lies on a bucket of the asker's day.
    step = query.granularity.value * 1000
    start = query.period.start_us
    return f"((request_start_us - {start}) // {step}) * {step} + {start}", []


def _bucket_minutes(query: MetricsQuery) -> float:
    if query.granularity is not None:
        return query.granularity.value / 60_000
    return max((query.period.end_us - query.period.start_us) / 60_000_000, 1 / 60)


def _where(
    control_planes: Sequence[str], period: Period, filters: Sequence[Filter], fields: Mapping[str, Field]
) -> _Conditions:
    where = _Conditions()
    where.add("request_start_us >= ? AND request_start_us < ?", period.start_us, period.end_us)
    if len(control_planes) == 1:
        where.add("control_plane_id = ?", control_planes[0])
    else:
        where.add("control_plane_id IN (SELECT unnest(?::VARCHAR[]))", list(control_planes))
    for condition in filters:
        _add_filter(where, fields[condition.field], condition)
    return where


def _add_filter(where: _Conditions, subject: Field, condition: Filter) -> None:
    expression, operator = subject.expression, condition.operator
    is_number = subject.kind in {FieldKind.NUMBER, FieldKind.STATUS}
    if operator is Operator.EMPTY:
        where.add(f"({expression}) IS NULL")
    elif operator is Operator.NOT_EMPTY:
        where.add(f"({expression}) IS NOT NULL")
    elif operator in {Operator.IN, Operator.NOT_IN}:
        kind = "BIGINT[]" if is_number else "VARCHAR[]"
        clause = f"({expression}) IN (SELECT unnest(?::{kind}))"
        if operator is Operator.NOT_IN:
            clause = f"coalesce(NOT {clause}, true)"
        where.add(clause, list(condition.values))
    elif operator is Operator.EQUAL and subject.column:
        plane, _, value = str(condition.values[0]).partition(":")
        where.add(f"(control_plane_id = ? AND {subject.column} = ?)", plane, value)
    elif operator is Operator.STARTS_WITH:
        where.add(f"starts_with({expression}, ?)", condition.values[0])
    elif operator is Operator.ENDS_WITH:
        where.add(f"ends_with({expression}, ?)", condition.values[0])
    elif operator is Operator.NOT_EQUAL:
        where.add(f"({expression}) IS DISTINCT FROM ?", condition.values[0])
    else:
        where.add(f"({expression}) {_COMPARISONS[operator]} ?", condition.values[0])
