"""What nodes deliver, column by column, as the event store takes it in. Values are checked before they come here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RECORD_COLUMNS: Mapping[str, str] = {
    "request_start_us": "BIGINT",
    "request_id": "VARCHAR",
    "service_id": "VARCHAR",
    "route_id": "VARCHAR",
    "consumer_id": "VARCHAR",
    "credential_id": "VARCHAR",
    "application_id": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "host": "VARCHAR",
    "protocol": "VARCHAR",
    "http_version": "VARCHAR",
    "status": "SMALLINT",
    "upstream_status": "SMALLINT",
    "response_source": "VARCHAR",
    "latency_kong_us": "BIGINT",
    "latency_upstream_us": "BIGINT",
    "latency_total_us": "BIGINT",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "tries": "SMALLINT",
}
"""Columns of one request, in the order in which the core writes them."""

USAGE_COLUMNS: Mapping[str, str] = {
    "minute": "BIGINT",
    "service_id": "VARCHAR",
    "route_id": "VARCHAR",
    "consumer_id": "VARCHAR",
    "application_id": "VARCHAR",
    "status": "SMALLINT",
    "requests": "BIGINT",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
}
"""Columns of the metering counters: what happened in one minute, as differences."""


@dataclass(frozen=True, slots=True)
class Source:
    """The node that delivered a batch, as the platform knows it, and the batch's place in that node's sequence."""

    control_plane_id: str
    node_id: str
    node_version: str
    boot_id: str
    number: int
    lost_origin: str
    lost_records: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one delivery as columns, in the order of `RECORD_COLUMNS` or `USAGE_COLUMNS`."""

    source: Source
    columns: Sequence[Sequence[object]]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0
