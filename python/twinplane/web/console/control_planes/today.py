"""Requests and errors since midnight (UTC), by control plane."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from twinplane.control.analytics import MetricsQuery, Period
from twinplane.web.console.visit import Visit


async def requests_today(visit: Visit, control_planes: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Requests and those of them answered with 500 or more. Control planes without any are absent."""
    if not control_planes:
        return {}
    now = datetime.datetime.now(datetime.UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    period = Period(_micros(midnight), _micros(now + datetime.timedelta(minutes=1)), ZoneInfo("UTC"))
    query = MetricsQuery(
        control_planes, period, ("request_count",), ("control_plane", "status_code_grouped"), limit=len(control_planes)
    )
    result = await visit.run(visit.analytics.metrics, query)
    found: dict[str, tuple[int, int]] = {}
    for row in result.rows:
        plane, status = row.groups[0] or "", row.groups[1] or ""
        requests, errors = found.get(plane, (0, 0))
        number = int(row.values[0] or 0)
        found[plane] = (requests + number, errors + (number if status.startswith("5") else 0))
    return found


def _micros(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
