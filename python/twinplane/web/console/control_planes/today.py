"""Requests and errors since midnight (UTC), by control plane; those of the last hour as a chart."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from twinplane.control.analytics import Granularity, MetricsQuery, Period
from twinplane.web.console.components.chart import Chart
from twinplane.web.console.traffic.page import Asked, requests_over_time
from twinplane.web.console.visit import Visit

_STATUS_GROUPS = 6
"""1XX to 5XX, and what was never answered: the limit of a query holds for each of its dimensions."""


async def requests_today(visit: Visit, control_planes: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Requests and those of them answered with 500 or more. Control planes without any are absent."""
    if not control_planes:
        return {}
    now = datetime.datetime.now(datetime.UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    period = Period(_micros(midnight), _micros(now + datetime.timedelta(minutes=1)), ZoneInfo("UTC"))
    limit = max(len(control_planes), _STATUS_GROUPS)
    query = MetricsQuery(
        control_planes, period, ("request_count",), ("control_plane", "status_code_grouped"), limit=limit
    )
    result = await visit.run(visit.analytics.metrics, query)
    found: dict[str, tuple[int, int]] = {}
    for row in result.rows:
        plane, status = row.groups[0] or "", row.groups[1] or ""
        requests, errors = found.get(plane, (0, 0))
        number = int(row.values[0] or 0)
        found[plane] = (requests + number, errors + (number if status.startswith("5") else 0))
    return found


async def last_hour(visit: Visit, control_plane_id: str) -> Chart:
    """Requests of the last hour, minute by minute."""
    end = (int(time.time()) // 60 + 1) * 60
    period = Period((end - 3600) * 1_000_000, end * 1_000_000, ZoneInfo("UTC"))
    return await requests_over_time(visit, Asked(control_plane_id, period, Granularity.MINUTELY, ()))


def _micros(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
