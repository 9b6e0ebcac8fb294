"""Requests and errors since midnight (UTC), by control plane; those of the last hour as a chart."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from twinplane.control.analytics import Granularity, MetricsQuery, Period
from twinplane.web.console.components.chart import Chart
from twinplane.web.console.traffic.page import Asked, requests_over_time
from twinplane.web.console.visit import Visit

_STATUS_GROUPS = 12
"""More than there are: the limit of a query holds for each of its dimensions."""


@dataclass(frozen=True, slots=True)
class Today:
    """Requests since midnight, and those of them that were answered with 500 or more."""

    requests: int
    errors: int


async def requests_today(visit: Visit, control_planes: Sequence[str]) -> Mapping[str, Today]:
    """What each control plane had today; nothing of any of them where telemetry cannot be read."""
    if not control_planes:
        return {}
    now = datetime.datetime.now(datetime.UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    period = Period(_micros(midnight), _micros(now + datetime.timedelta(minutes=1)), ZoneInfo("UTC"))
    limit = max(len(control_planes), _STATUS_GROUPS)
    query = MetricsQuery(
        control_planes, period, ("request_count",), ("control_plane", "status_code_grouped"), limit=limit
    )
    result = await visit.measured(visit.analytics.metrics, None, query)
    if result is None:
        return {}
    found = dict.fromkeys(control_planes, Today(0, 0))
    for row in result.rows:
        plane, status = row.groups[0] or "", row.groups[1] or ""
        number = int(row.values[0] or 0)
        before = found[plane]
        errors = before.errors + (number if status.startswith("5") else 0)
        found[plane] = Today(before.requests + number, errors)
    return found


async def last_hour(visit: Visit, control_plane_id: str) -> Chart:
    """Requests of the last hour, minute by minute."""
    end = (int(time.time()) // 60 + 1) * 60
    period = Period((end - 3600) * 1_000_000, end * 1_000_000, ZoneInfo("UTC"))
    return await requests_over_time(visit, Asked(control_plane_id, period, Granularity.MINUTELY, ()))


def _micros(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
