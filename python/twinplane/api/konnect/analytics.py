"""`POST /v2/api-requests` and `POST /v2/metrics`: queries in, answers of the public form out.

Who asks, and which control planes that asker may see, comes from the application that mounts the router.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from twinplane.api.konnect.analytics_query import (
    InvalidParameter,
    InvalidQuery,
    decode_metrics_query,
    decode_records_query,
)
from twinplane.control.analytics import METRICS, OTHER, Analytics, MetricsQuery, MetricsResult, Period, QueryTooLong

BODY_BYTES_MAX = 1_048_576
EMPTY = "empty"
"""The group of records that have no value in a dimension."""

_COLLECTIONS = {"gateway_service": "services", "route": "routes", "consumer": "consumers"}
_DISPLAY_ONLY = {"control_plane": "control_planes", "data_plane_node": "nodes"}


@dataclass(frozen=True, slots=True)
class Name:
    """How to show an entity to people."""

    name: str
    is_deleted: bool = False


class Names(Protocol):
    """Finds names of entities. `kind` is a collection of entities, `control_planes` or `nodes`."""

    def __call__(self, kind: str, control_plane_id: str, ids: Sequence[str]) -> Mapping[str, Name]:
        """The names of those ids that are known."""


class Asker(Protocol):
    """Which control planes a request may see. Raises what the application's error handlers word."""

    def __call__(self, request: Request) -> Awaitable[Sequence[str]]:
        """The ids of the control planes."""


def create_router(analytics: Analytics, *, asker: Asker, names: Names) -> APIRouter:
    """The two endpoints, to be mounted at the root of a regional API."""
    router = APIRouter()

    @router.post("/v2/api-requests")
    async def api_requests(request: Request) -> Response:
        """Request records, newest first."""
        control_planes = await asker(request)
        return await _answer(request, lambda body, now: records_answer(analytics, body, control_planes, now))

    @router.post("/v2/metrics")
    async def metrics(request: Request) -> Response:
        """Measures over request records, by group and time."""
        control_planes = await asker(request)
        return await _answer(request, lambda body, now: metrics_answer(analytics, names, body, control_planes, now))

    return router


async def _answer(request: Request, ask: Callable[[Any, datetime], Mapping[str, Any]]) -> Response:
    text = await request.body()
    try:
        body = _decode(text)
        answer = await asyncio.to_thread(ask, body, datetime.now(UTC))
    except InvalidQuery as error:
        return _problem(400, "Invalid Request", "Invalid Parameters", error.violations)
    except QueryTooLong as error:
        return _problem(400, "Invalid Request", f"{error}; ask for a shorter time range", [])
    return Response(orjson.dumps(answer), media_type="application/json")


def _decode(text: bytes) -> Any:
    if len(text) > BODY_BYTES_MAX:
        raise InvalidQuery([InvalidParameter("body", "max_size", f"the body is limited to {BODY_BYTES_MAX} bytes")])
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidQuery([InvalidParameter("body", "is_json", "the body must be JSON")]) from None


def _problem(status: int, title: str, detail: str, violations: Sequence[InvalidParameter]) -> Response:
    body: dict[str, Any] = {
        "status": status,
        "title": title,
        "instance": f"kong:trace:{secrets.randbits(63)}",
        "detail": detail,
    }
    if violations:
        body["invalid_parameters"] = [violation.as_body() for violation in violations]
    return Response(orjson.dumps(body), status_code=status, media_type="application/problem+json")


def records_answer(analytics: Analytics, body: Any, control_planes: Sequence[str], now: datetime) -> Mapping[str, Any]:
    """The answer to a query for request records. Blocks."""
    query = decode_records_query(body, control_planes=control_planes, now=now)
    results = [_record(row) for row in analytics.records(query)]
    return {
        "results": results,
        "meta": {
            "time_range": {"start": _moment(query.period.start_us), "end": _moment(query.period.end_us)},
            "query_id": f"apilog-{uuid.uuid4()}",
            "size": len(results),
            "offset": query.offset,
        },
    }


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    plane = row["control_plane_id"]

    def scoped(column: str) -> str | None:
        return f"{plane}:{row[column]}" if row[column] is not None else None

    def milliseconds(column: str) -> int | None:
        return row[column] // 1000 if row[column] is not None else None

    present = {
        "request_start": _moment(row["request_start_us"]),
        "application": row["application_id"],
        "consumer": scoped("consumer_id"),
        "control_plane": plane,
        "data_plane_node": scoped("node_id"),
        "data_plane_node_version": row["node_version"],
        "gateway_service": scoped("service_id"),
        "header_host": row["host"],
        "http_method": row["method"],
        "latencies_kong_gateway_ms": milliseconds("latency_kong_us"),
        "latencies_kong_internal_ms": milliseconds("latency_kong_us"),
        "latencies_response_ms": milliseconds("latency_total_us"),
        "latencies_upstream_ms": milliseconds("latency_upstream_us"),
        "request_body_size": row["request_bytes"],
        "request_id": row["request_id"],
        "request_uri": row["path"],
        "response_body_size": row["response_bytes"],
        "response_http_status": str(row["status"]),
        "response_source": row["response_source"],
        "route": scoped("route_id"),
        "upstream_status": row["upstream_status"],
    }
    return dict.fromkeys(_RECORD_FIELDS) | present


_RECORD_FIELDS = (
    "request_start",
    "a2a_info",
    "api",
    "api_package",
    "api_product",
    "api_product_version",
    "application",
    "auth_type",
    "cache_status",
    "client_ip",
    "consumer",
    "control_plane",
    "control_plane_group",
    "country_code",
    "data_plane_node",
    "data_plane_node_version",
    "gateway_service",
    "header_host",
    "header_user_agent",
    "http_method",
    "latencies_kong_gateway_ms",
    "latencies_kong_internal_ms",
    "latencies_response_ms",
    "latencies_upstream_ms",
    "mcp_info",
    "portal",
    "principal",
    "realm",
    "request_body_size",
    "request_id",
    "request_uri",
    "response_body_size",
    "response_header_content_length",
    "response_header_content_type",
    "response_http_status",
    "response_source",
    "route",
    "service_port",
    "service_protocol",
    "trace_id",
    "upstream_status",
    "upstream_uri",
)


def metrics_answer(
    analytics: Analytics, names: Names, body: Any, control_planes: Sequence[str], now: datetime
) -> Mapping[str, Any]:
    """The answer to a query for measures. Blocks."""
    query = decode_metrics_query(body, control_planes=control_planes, now=now)
    result = analytics.metrics(query)
    data = []
    for row in result.rows:
        groups = (EMPTY if value is None else value for value in row.groups)
        event: dict[str, Any] = dict(zip(query.dimensions, groups, strict=True))
        event |= dict(zip(query.metrics, row.values, strict=True))
        data.append({"timestamp": _moment(row.bucket_us), "event": event})
    return {"data": data, "meta": _meta(query, result, names)}


def _meta(query: MetricsQuery, result: MetricsResult, names: Names) -> dict[str, Any]:
    return {
        "start": _moment(query.period.start_us),
        "end": _moment(query.period.end_us),
        "display": {
            dimension: _display(dimension, {row.groups[position] for row in result.rows}, names)
            for position, dimension in enumerate(query.dimensions)
        },
        "metric_units": {name: METRICS[name].unit for name in query.metrics},
        "granularity_ms": query.granularity.value if query.granularity else _length_ms(query.period),
        "truncated": result.truncated,
        "limit": query.limit,
        "query_id": f"metrics-{uuid.uuid4()}",
    }


def _display(dimension: str, values: set[str | None], names: Names) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    ids = sorted(value for value in values if value not in (None, OTHER))
    found = _find_names(dimension, [value for value in ids if value], names)
    for value in ids:
        if value is None:
            continue
        entry: dict[str, Any] = {"id": value, "name": value}
        if found is not None:
            known = found.get(value)
            entry = {
                "id": value,
                "name": known.name if known else value.rpartition(":")[2],
                "deleted": known is None or known.is_deleted,
            }
        entries[value] = entry
    if None in values:
        entries[EMPTY] = {"id": EMPTY, "name": "Empty"}
    if OTHER in values:
        entries[OTHER] = {"id": OTHER, "name": "Other", "is_other_group": True}
    return entries


def _find_names(dimension: str, values: Sequence[str], names: Names) -> dict[str, Name] | None:
    """Names by group value; None for a dimension whose values are shown as they are."""
    if dimension == "control_plane":
        return {value: name for value in values for name in names("control_planes", value, [value]).values()}
    kind = _COLLECTIONS.get(dimension) or _DISPLAY_ONLY.get(dimension)
    if kind is None:
        return None
    by_plane: dict[str, list[str]] = {}
    for value in values:
        plane, _, entity = value.partition(":")
        by_plane.setdefault(plane, []).append(entity)
    return {
        f"{plane}:{entity}": name
        for plane, entities in by_plane.items()
        for entity, name in names(kind, plane, entities).items()
    }


def _length_ms(period: Period) -> int:
    return (period.end_us - period.start_us) // 1000


def _moment(microseconds: int) -> str:
    seconds, rest = divmod(microseconds // 1000, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
