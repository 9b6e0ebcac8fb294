"""Traffic and changes: what was measured and what was changed, for people."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor
from twinplane.control.analytics import RECORD_COLUMNS, Batch, Source
from twinplane.web.console.changes.diff import lines_of
from twinplane.web.console.components.chart import Chart, Series
from twinplane.web.console.traffic.page import RANGES

ACTOR = Actor("user", "u", "Ada")
SCRIPT = "<script>alert(1)</script>"


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _record(rig: Rig, *rows: dict[str, Any]) -> None:
    scope = _scope(rig)
    defaults: dict[str, Any] = {
        "request_start_us": int(time.time() * 1e6), "request_id": "r1", "service_id": None, "route_id": None,
        "consumer_id": None, "credential_id": None, "application_id": None, "method": "GET", "path": "/orders",
        "host": None, "protocol": "http", "http_version": "1.1", "status": 200, "upstream_status": 200,
        "response_source": "upstream", "latency_kong_us": 400, "latency_upstream_us": 9000, "latency_total_us": 9400,
        "request_bytes": 100, "response_bytes": 2000, "tries": 1,
    }  # fmt: skip
    full = [{**defaults, **row} for row in rows]
    columns = [[row[name] for row in full] for name in RECORD_COLUMNS]
    source = Source(scope.control_plane_id, "node-1", "3.9.3", "boot", time.time_ns(), "origin", 0)
    rig.analytics.add_records(Batch(source, columns))


async def test_no_traffic_says_what_to_do(rig: Rig, signed_in: Browser) -> None:
    assert "No requests in this time" in (await signed_in.get(f"{rig.plane_path}/traffic")).text


@pytest.mark.parametrize("chosen", [*RANGES, "nonsense"])
async def test_traffic_is_counted_ranked_and_listed(rig: Rig, signed_in: Browser, chosen: str) -> None:
    service = rig.control.changes.create(_scope(rig), ACTOR, "services", {"name": "orders", "host": "h"})
    rows = [{"request_id": f"r{n}", "service_id": service["id"], "status": 500 if n == 0 else 200} for n in range(10)]
    _record(rig, *rows, {"request_id": "rx", "status": 404, "path": SCRIPT})
    page = (await signed_in.get(f"{rig.plane_path}/traffic", params={"range": chosen})).text
    assert "<b>11</b>" in page
    assert SCRIPT not in page
    assert page.count('class="chart"') == 2
    assert f"service={service['id']}" in page
    narrowed = (await signed_in.get(f"{rig.plane_path}/traffic", params={"service": service["id"], "errors": "1"})).text
    assert "<b>1</b>" in narrowed
    assert "Service: orders" in narrowed
    one = (await signed_in.get(f"{rig.plane_path}/traffic/requests/r0")).text
    assert "orders" in one
    assert "9.40 ms" in one


async def test_the_overview_counts_server_errors_and_shows_the_last_hour(rig: Rig, signed_in: Browser) -> None:
    assert "None in the last hour" in (await signed_in.get(rig.plane_path)).text
    rows = [{"request_id": f"r{number}", "status": status} for number, status in enumerate((200, 200, 404, 500, 503))]
    _record(rig, *rows)
    page = (await signed_in.get(rig.plane_path)).text
    assert "<span>Requests today</span><b>5</b>" in page
    assert "<span>Server errors today</span><b>2</b>" in page
    assert page.count('class="chart"') == 1


async def test_another_control_planes_traffic_is_out_of_sight(rig: Rig, signed_in: Browser) -> None:
    _record(rig, {"request_id": "mine"})
    made = rig.control.control_planes.create(rig.control.organizations.first().id, "us", ACTOR, {"name": "other"})
    assert "No requests" in (await signed_in.get(f"/us/control-planes/{made.id}/traffic")).text
    assert (await signed_in.get(f"/us/control-planes/{made.id}/traffic/requests/mine")).status_code == 404


async def test_changes_tell_who_and_what(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "h"})
    rig.control.changes.update(scope, ACTOR, "services", row["id"], {"host": SCRIPT[1:7] + ".example"})
    consumer = rig.control.changes.create(scope, ACTOR, "consumers", {"username": "c"})
    rig.control.changes.create(
        scope, ACTOR, "keyauth_credentials", {"consumer": {"id": consumer["id"]}, "key": "planted"}
    )
    page = (await signed_in.get(f"{rig.plane_path}/changes")).text
    assert "Ada" in page
    assert "<del>h</del>" in page
    assert "planted" not in page
    for number in range(120):
        rig.control.changes.update(scope, ACTOR, "services", row["id"], {"retries": number % 50})
    page = (await signed_in.get(f"{rig.plane_path}/changes")).text
    older = re.search(r'href="([^"]*before=[^"]*)"', page)
    assert older
    assert (await signed_in.get(older[1])).text.count('class="change"') == 50
    only = (await signed_in.get(f"{rig.plane_path}/changes", params={"entity": consumer["id"]})).text
    assert only.count('class="change"') == 1
    assert (await signed_in.get(f"{rig.plane_path}/changes?before=x.y")).status_code == 200


def test_a_diff_goes_down_to_the_field() -> None:
    before = {"id": "1", "name": "a", "config": {"minute": 5, "redis": {"host": "x"}}, "updated_at": 1}
    after = {"id": "1", "name": "a", "config": {"minute": 6, "redis": {"host": "x"}}, "updated_at": 2}
    assert [(line.path, line.before, line.after) for line in lines_of(before, after)] == [("config.minute", "5", "6")]
    assert [line.path for line in lines_of(None, {"id": "1", "name": "a", "tags": None})] == ["name"]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 4), (1, 4), (4, 4), (5, 8), (9, 20), (21, 40), (201, 400), (5000, 8000)]
)
def test_a_chart_of_counts_has_whole_numbers_at_its_lines(highest: int, top: int) -> None:
    drawn = Chart(
        "Requests", "stack", [0.0], [Series("2xx", "good", [highest])], "requests", lambda value: f"{value:g}"
    ).svg()
    ticks = re.findall(r'class="tick end" x="[0-9.]+" y="[0-9.]+">([^<]+)</text>', drawn)
    assert [int(one) for one in ticks] == [top * quarter // 4 for quarter in range(5)]


def test_a_chart_holds_any_values() -> None:
    for values in ([None, None], [0, 0], [1, None], [0.001, 1e9]):
        for kind in ("stack", "lines"):
            chart = Chart("T", kind, [0.0, 60.0], [Series("<x>", "good", values)], "ms", str)  # type: ignore[arg-type]
            svg = str(chart.svg())
            assert svg.startswith("<svg")
            assert "<x>" not in svg
            assert "nan" not in svg
    assert str(Chart("T", "lines", [], [], "ms", str).svg()).endswith("</svg>")


async def test_changes_are_found_by_who_what_and_how(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "h"})
    grace = Actor("user", "g", "Grace")
    rig.control.changes.update(scope, grace, "services", row["id"], {"retries": 1})
    consumer = rig.control.changes.create(scope, grace, "consumers", {"username": "c"})
    path = f"{rig.plane_path}/changes"
    for query, number in (
        ({"who": "Grace"}, 2),
        ({"who": "Grace", "type": "services"}, 1),
        ({"operation": "create", "type": "consumers"}, 1),
        ({"entity": row["id"], "who": "Ada"}, 1),
        ({"who": SCRIPT}, 0),
        ({"operation": "delete"}, 0),
    ):
        page = (await signed_in.get(path, params=query)).text
        assert page.count('class="change"') == number, query
        assert SCRIPT not in page
        assert ("Nothing found" in page) == (number == 0)
    page = (await signed_in.get(path, params={"who": "Grace"})).text
    assert f'href="{rig.plane_path}/entities/consumers/{consumer["id"]}"' in page


async def test_a_secret_that_was_replaced_is_told_and_not_shown(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    config = {"aws_region": "us-east-1", "function_name": "f", "aws_key": "first-key", "aws_secret": "same-secret"}
    plugin = rig.control.changes.create(scope, ACTOR, "plugins", {"name": "aws-lambda", "config": config})
    rig.control.changes.update(scope, ACTOR, "plugins", plugin["id"], {"config": {"aws_key": "other-key"}})
    page = (await signed_in.get(f"{rig.plane_path}/changes", params={"operation": "update"})).text
    assert "config.aws_key" in page
    assert "*** (another)" in page
    assert "config.aws_secret" not in page
    assert not any(secret in page for secret in ("first-key", "other-key", "same-secret"))
