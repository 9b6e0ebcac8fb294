"""Requests, errors and latencies over time; who has most of them; the latest requests, one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from starlette.responses import Response
from starlette.routing import Route

from twinplane.control.analytics import Filter, Granularity, MetricsQuery, MetricsResult, Operator, Period, RecordsQuery
from twinplane.web.console.components.chart import Chart, Series
from twinplane.web.console.entities.names import NODES, names_by_id
from twinplane.web.console.errors import PageError
from twinplane.web.console.place import Place
from twinplane.web.console.templates import count
from twinplane.web.console.visit import Visit

LATEST = 25
TOP = 8
RANGES: Mapping[str, tuple[str, int, Granularity]] = {
    "15m": ("15 minutes", 900, Granularity.TEN_SECONDLY),
    "1h": ("1 hour", 3_600, Granularity.MINUTELY),
    "6h": ("6 hours", 21_600, Granularity.FIVE_MINUTELY),
    "24h": ("24 hours", 86_400, Granularity.THIRTY_MINUTELY),
    "7d": ("7 days", 604_800, Granularity.TWO_HOURLY),
}


class Subject(NamedTuple):
    """What traffic can be narrowed to and ranked by."""

    dimension: str
    collection: str
    title: str


SUBJECTS: Mapping[str, Subject] = {
    "service": Subject("gateway_service", "services", "Services"),
    "route": Subject("route", "routes", "Routes"),
    "consumer": Subject("consumer", "consumers", "Consumers"),
    "node": Subject("data_plane_node", NODES, "Nodes"),
}
"""By the argument of the address that chooses one."""

_NAMED = (("services", "service_id"), ("routes", "route_id"), ("consumers", "consumer_id"), (NODES, "node_id"))

_STATUSES = (("2XX", "good"), ("3XX", "chart-1"), ("4XX", "warn"), ("5XX", "bad"), ("1XX", "chart-4"))
_LATENCIES = (("p50", "chart-1"), ("p95", "chart-2"), ("p99", "chart-4"))


@dataclass(frozen=True, slots=True)
class Ranked:
    """One line of a top list."""

    id: str
    name: str
    requests: float
    error_rate: float
    p95: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the page asks for."""

    plane_id: str
    period: Period
    granularity: Granularity
    filters: Sequence[Filter]

    def metrics(self, *metrics: str, by: Sequence[str] = (), timed: bool = False, limit: int = 50) -> MetricsQuery:
        """A query of measures."""
        granularity = self.granularity if timed else None
        return MetricsQuery([self.plane_id], self.period, metrics, by, self.filters, granularity, limit)


async def show(visit: Visit) -> Response:
    """Everything on one page."""
    plane = await visit.enter()
    asked = _asked(visit, plane.id)
    analytics = visit.analytics
    total = (
        await visit.run(
            analytics.metrics,
            asked.metrics(
                "request_count", "error_rate", "response_latency_p50", "response_latency_p95", "response_latency_p99"
            ),
        )
    ).rows
    requests = await requests_over_time(visit, asked)
    latencies = await _latencies(visit, asked)
    leaders = {argument: await _leaders(visit, asked, dimension) for argument, (dimension, _, _) in SUBJECTS.items()}
    latest = await visit.run(analytics.records, RecordsQuery([plane.id], asked.period, asked.filters, size=LATEST))
    chosen = {argument: one[:64] for argument in SUBJECTS if (one := visit.request.query_params.get(argument))}
    named = [(SUBJECTS[argument].collection, one) for argument, one in chosen.items()]
    named += [(SUBJECTS[argument].collection, one) for argument, found in leaders.items() for one in found]
    named += [one for row in latest for one in _named_in(row)]
    names = await names_by_id(visit, named)
    visit.section = "/traffic"
    visit.at("Traffic")
    return visit.page(
        "traffic/traffic.html",
        total=total[0].values if total else (0, 0, None, None, None),
        charts=[requests, latencies],
        tops=[
            (subject.title, argument, subject.collection, _ranked(leaders[argument], names))
            for argument, subject in SUBJECTS.items()
        ],
        latest=latest,
        names=names,
        ranges=[Place(title, visit.query(range=key)) for key, (title, _, _) in RANGES.items()],
        range=RANGES[_range(visit)][0],
        chosen=[(argument, names.get(one, one[:8])) for argument, one in chosen.items()],
        errors_only=visit.request.query_params.get("errors") == "1",
    )


async def watch(visit: Visit) -> Response:
    """Tell the page when there is more traffic."""
    plane = await visit.enter()
    asked = _asked(visit, plane.id)

    async def look() -> bytes:
        now = time.time()
        period = Period(int((now - 900) * 1e6), int((now + 60) * 1e6), ZoneInfo("UTC"))
        rows = await visit.run(visit.analytics.records, RecordsQuery([plane.id], period, asked.filters, size=1))
        return repr([(row["request_start_us"], row["request_id"]) for row in rows]).encode()

    return visit.console.live.stream(look)


async def show_request(visit: Visit) -> Response:
    """One request, with everything that was recorded of it."""
    plane = await visit.enter()
    wanted = str(visit.request.path_params["request_id"])[:64]
    period = Period(0, int((time.time() + 60) * 1e6), ZoneInfo("UTC"))
    query = RecordsQuery([plane.id], period, [Filter("request_id", Operator.EQUAL, (wanted,))], size=1)
    rows = await visit.run(visit.analytics.records, query)
    visit.section = "/traffic"
    visit.at("Traffic", f"{visit.base}/traffic")
    if not rows:
        text = "It is not recorded here, or older than records are kept."
        raise PageError(404, "No such request", text, (f"{visit.base}/traffic", "Traffic"))
    visit.at(wanted)
    row = rows[0]
    return visit.page("traffic/request.html", row=row, names=await names_by_id(visit, _named_in(row)))


def _asked(visit: Visit, plane_id: str) -> Asked:
    query = visit.request.query_params
    _, seconds, granularity = RANGES[_range(visit)]
    step = granularity.value // 1000
    end = (int(time.time()) // step + 1) * step
    filters = [
        Filter(dimension, Operator.EQUAL, (f"{plane_id}:{query[argument][:64]}",))
        for argument, (dimension, _, _) in SUBJECTS.items()
        if query.get(argument)
    ]
    if query.get("errors") == "1":
        filters.append(Filter("status_code", Operator.GREATER_EQUAL, (400,)))
    return Asked(plane_id, Period((end - seconds) * 1_000_000, end * 1_000_000, ZoneInfo("UTC")), granularity, filters)


def _range(visit: Visit) -> str:
    wanted = visit.request.query_params.get("range", "")
    return wanted if wanted in RANGES else "1h"


def _moments(asked: Asked) -> list[int]:
    step = asked.granularity.value * 1000
    return list(range(asked.period.start_us, asked.period.end_us, step))


async def requests_over_time(visit: Visit, asked: Asked) -> Chart:
    """Requests by status group, a layer each."""
    query = asked.metrics("request_count", by=("status_code_grouped",), timed=True)
    rows = (await visit.measured(visit.analytics.metrics, MetricsResult([], truncated=False), query)).rows
    moments = _moments(asked)
    found = {(row.bucket_us, row.groups[0]): float(row.values[0] or 0) for row in rows}
    series = [
        Series(name.lower(), colour, [found.get((moment, name)) for moment in moments])
        for name, colour in _STATUSES
        if any(group == name for _, group in found)
    ]
    return Chart("Requests", "stack", [moment / 1e6 for moment in moments], series, "requests", count)


async def _latencies(visit: Visit, asked: Asked) -> Chart:
    query = asked.metrics(*(f"response_latency_{name}" for name, _ in _LATENCIES), timed=True)
    found = {row.bucket_us: row.values for row in (await visit.run(visit.analytics.metrics, query)).rows}
    moments = _moments(asked)
    series = [
        Series(name, colour, [_number(found[moment][place]) if moment in found else None for moment in moments])
        for place, (name, colour) in enumerate(_LATENCIES)
    ]
    return Chart("Latency", "lines", [moment / 1e6 for moment in moments], series, "ms", _milliseconds)


async def _leaders(visit: Visit, asked: Asked, dimension: str) -> dict[str, Sequence[float]]:
    """Who has most requests: their ids with requests, errors in a hundred, and a latency; an empty id for nobody."""
    query = asked.metrics("request_count", "error_rate", "response_latency_p95", by=(dimension,), limit=TOP)
    rows = (await visit.run(visit.analytics.metrics, query)).rows
    return {(row.groups[0] or "").rpartition(":")[2]: [_number(value) or 0 for value in row.values] for row in rows}


def _ranked(found: Mapping[str, Sequence[float]], names: Mapping[str, str]) -> list[Ranked]:
    lines = [Ranked(one, names.get(one, one[:8]) if one else "none", *values) for one, values in found.items()]
    return sorted(lines, key=lambda one: -one.requests)


def _named_in(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """What a record names, as (collection, id)."""
    return [(collection, str(row.get(column) or "")) for collection, column in _NAMED]


def _number(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 or value == 0 else f"{value:.1f} ms"


_BASE = "/{region}/control-planes/{control_plane}/traffic"

ROUTES = (
    Route(_BASE, show, methods=["GET"]),
    Route(f"{_BASE}/events", watch, methods=["GET"]),
    Route(_BASE + "/requests/{request_id}", show_request, methods=["GET"]),
)
