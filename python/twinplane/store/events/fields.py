"""What each field, dimension and measure of a query is in terms of the record table. The only place that knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class FieldKind(Enum):
    """What the values of a field look like."""

    SCOPED_ID = "scoped_id"
    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    STATUS = "status"
    STATUS_GROUP = "status_group"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can be filtered or grouped by. `expression` is SQL over the record table.

    Of a scoped id `column` is the part that differs within one control plane: comparing it alone costs far less.
    """

    kind: FieldKind
    expression: str
    column: str = ""


def _scoped(column: str) -> Field:
    return Field(FieldKind.SCOPED_ID, f"control_plane_id || ':' || {column}", column)


def _group(column: str) -> Field:
    return Field(FieldKind.STATUS_GROUP, f"({column} // 100)::VARCHAR || 'XX'")


# A field of the public query language that records do not carry yet: it is empty on every row.
_ABSENT_ID = Field(FieldKind.ID, "NULL::VARCHAR")
_ABSENT_TEXT = Field(FieldKind.TEXT, "NULL::VARCHAR")

_SHARED: Mapping[str, Field] = {
    "api": _ABSENT_ID,
    "api_package": _ABSENT_ID,
    "api_product": _ABSENT_ID,
    "api_product_version": _ABSENT_ID,
    "application": Field(FieldKind.ID, "application_id"),
    "cache_status": _ABSENT_TEXT,
    "consumer": _scoped("consumer_id"),
    "control_plane": Field(FieldKind.ID, "control_plane_id"),
    "control_plane_group": _ABSENT_ID,
    "country_code": _ABSENT_TEXT,
    "data_plane_node": _scoped("node_id"),
    "data_plane_node_version": Field(FieldKind.TEXT, "node_version"),
    "gateway_service": _scoped("service_id"),
    "portal": _ABSENT_ID,
    "principal": _ABSENT_ID,
    "realm": _ABSENT_ID,
    "response_source": Field(FieldKind.TEXT, "response_source"),
    "route": _scoped("route_id"),
    "status_code": Field(FieldKind.STATUS, "status"),
    "status_code_grouped": _group("status"),
    "upstream_status_code": Field(FieldKind.STATUS, "upstream_status"),
    "upstream_status_code_grouped": _group("upstream_status"),
}

DIMENSIONS: Mapping[str, Field] = _SHARED
"""What measures can be grouped and filtered by."""


def _milliseconds(column: str) -> Field:
    return Field(FieldKind.NUMBER, f"({column} // 1000)")


RECORD_FIELDS: Mapping[str, Field] = {
    **_SHARED,
    "auth_type": _ABSENT_TEXT,
    "client_ip": _ABSENT_TEXT,
    "header_host": Field(FieldKind.TEXT, "host"),
    "header_user_agent": _ABSENT_TEXT,
    "http_method": Field(FieldKind.TEXT, "method"),
    "latencies_kong_gateway_ms": _milliseconds("latency_kong_us"),
    "latencies_kong_internal_ms": _milliseconds("latency_kong_us"),
    "latencies_response_ms": _milliseconds("latency_total_us"),
    "latencies_upstream_ms": _milliseconds("latency_upstream_us"),
    "request_body_size": Field(FieldKind.NUMBER, "request_bytes"),
    "request_id": Field(FieldKind.TEXT, "request_id"),
    "request_uri": Field(FieldKind.TEXT, "path"),
    "response_body_size": Field(FieldKind.NUMBER, "response_bytes"),
    "response_header_content_type": _ABSENT_TEXT,
    "service_port": _ABSENT_TEXT,
    "service_protocol": _ABSENT_TEXT,
    "trace_id": _ABSENT_TEXT,
    "upstream_uri": _ABSENT_TEXT,
}
"""What request records can be filtered by."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure over a group of records. `expression` may use `$minutes`, the length of a time bucket."""

    unit: str
    expression: str


def _spread(name: str, value: str, unit: str) -> dict[str, Metric]:
    metrics = {f"{name}_average": Metric(unit, f"round(avg({value}), 3)")}
    for percent in (50, 95, 99):
        metrics[f"{name}_p{percent}"] = Metric(unit, f"round(quantile_cont({value}, {percent / 100}), 3)")
    return metrics


METRICS: Mapping[str, Metric] = {
    "cache_hit_rate": Metric("%", "NULL::DOUBLE"),
    "error_rate": Metric("%", "round(100.0 * count(*) FILTER (status >= 400) / count(*), 3)"),
    "request_count": Metric("count", "count(*)"),
    "request_per_minute": Metric("count/minute", "round(count(*) / $minutes, 3)"),
    **_spread("kong_internal_latency", "latency_kong_us / 1000", "ms"),
    **_spread("kong_latency", "latency_kong_us / 1000", "ms"),
    **_spread("response_latency", "latency_total_us / 1000", "ms"),
    **_spread("upstream_latency", "latency_upstream_us / 1000", "ms"),
    **_spread("request_size", "request_bytes", "bytes"),
    **_spread("response_size", "response_bytes", "bytes"),
    "request_size_sum": Metric("bytes", "sum(request_bytes)::BIGINT"),
    "response_size_sum": Metric("bytes", "sum(response_bytes)::BIGINT"),
}
"""The measures, by their public names."""
