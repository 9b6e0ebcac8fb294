"""The pages of control planes."""

from __future__ import annotations

import re
import time
from html import unescape

import pytest
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor
from twinplane.control.analytics import RECORD_COLUMNS, Batch, Source

ACTOR = Actor("user", "tester", "tester")
NEW = {
    "name": "orders",
    "description": "The orders team",
    "labels": "env: prod",
    "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE",
    "auth_type": "pinned_client_certs",
}
SCRIPT = "<script>alert(1)</script>"


async def test_a_control_plane_is_made_changed_and_deleted(rig: Rig, signed_in: Browser) -> None:
    made = await signed_in.fill("/us/control-planes/new", "/us/control-planes", NEW)
    assert made.status_code == 303
    page = (await signed_in.get(made.headers["location"])).text
    assert "Created." in page
    assert "orders" in page
    path = made.headers["location"].partition("?")[0]
    saved = await signed_in.fill(
        f"{path}/settings", f"{path}/settings",
        {"name": "orders-2", "description": "", "labels": "team: x", "auth_type": "pki_client_certs"},
    )  # fmt: skip
    assert saved.status_code == 303
    organization = rig.control.organizations.first()
    found = rig.control.control_planes.get(organization.id, "us", path.rpartition("/")[2])
    assert (found.name, found.labels, found.auth_type) == ("orders-2", {"team": "x"}, "pki_client_certs")
    kept = await signed_in.fill(f"{path}/settings", f"{path}/delete", {"typed_name": "orders"})
    assert kept.status_code == 400
    gone = await signed_in.fill(f"{path}/settings", f"{path}/delete", {"typed_name": "orders-2"})
    assert gone.status_code == 303
    assert (await signed_in.get(path)).status_code == 404


async def test_settings_that_others_changed_meanwhile_are_not_lost(rig: Rig, signed_in: Browser) -> None:
    organization = rig.control.organizations.first()
    fields = {"name": "orders", "description": "first", "labels": {"env": "prod"}}
    made = rig.control.control_planes.create(organization.id, "us", ACTOR, fields)
    path = f"/us/control-planes/{made.id}/settings"
    held = _hidden((await signed_in.get(path)).text)
    typed = {"name": "orders", "description": "mine", "labels": "env: prod", "auth_type": made.auth_type}
    theirs = {"description": "theirs", "labels": {"team": "x"}}
    rig.control.control_planes.update(organization.id, "us", ACTOR, made.id, theirs)
    reopened = await signed_in.send_form(path, {**held, **typed, "reopen": "yes"})
    assert _hidden(reopened.text)["seen"] == held["seen"]
    stale = await signed_in.send_form(path, {**held, **typed})
    assert stale.status_code == 409
    assert "Somebody changed this" in stale.text
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td><td>(?:<span[^>]*>)?([^<]*)<', stale.text)
    assert rows == [("description", "theirs", "mine"), ("labels", "team: x", "taken over")]
    assert ">mine</textarea>" in stale.text
    assert ">team: x</textarea>" in stale.text
    kept = rig.control.control_planes.get(organization.id, "us", made.id)
    assert (kept.description, kept.labels) == ("theirs", {"team": "x"})
    again = {**_hidden(stale.text), **typed, "labels": "team: x"}
    assert [(await signed_in.send_form(path, again)).status_code for _ in range(2)] == [303, 303]
    saved = rig.control.control_planes.get(organization.id, "us", made.id)
    assert (saved.description, saved.labels) == ("mine", {"team": "x"})


def _hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(form_token|seen)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "default"}, "Another control plane of this region has this name."),
        ({"labels": "no colon"}, "is not of the form key: value"),
        ({"labels": "kong-x: y"}, "labels"),
        ({"name": "x" * 300}, "name"),
    ],
)
async def test_problems_stand_beside_their_fields_and_nothing_is_lost(
    rig: Rig, signed_in: Browser, fields: dict[str, str], said: str
) -> None:
    answer = await signed_in.fill("/us/control-planes/new", "/us/control-planes", {**NEW, **fields})
    assert answer.status_code == 400
    assert 'class="problem"' in answer.text
    assert said in answer.text
    assert "The orders team" in answer.text


async def test_script_in_names_is_inert(rig: Rig, signed_in: Browser) -> None:
    made = await signed_in.fill(
        "/us/control-planes/new", "/us/control-planes", {**NEW, "name": SCRIPT, "description": SCRIPT}
    )
    assert made.status_code == 303
    for path in (
        "/us/control-planes",
        made.headers["location"],
        made.headers["location"].partition("?")[0] + "/settings",
    ):
        assert SCRIPT not in (await signed_in.get(path)).text
    assert SCRIPT not in (await signed_in.get("/us/control-planes", params={"q": SCRIPT})).text


async def test_the_predefined_one_stays(rig: Rig, signed_in: Browser) -> None:
    answer = await signed_in.fill(f"{rig.plane_path}/settings", f"{rig.plane_path}/delete", {"typed_name": "default"})
    assert answer.status_code == 400
    assert (await signed_in.get(rig.plane_path)).status_code == 200


async def test_the_overview_says_what_to_do_first(rig: Rig, signed_in: Browser) -> None:
    page = (await signed_in.get(rig.plane_path)).text
    assert "No data plane node yet" in page
    assert f'href="{rig.plane_path}/nodes/new"' in page


async def test_errors_of_the_day_are_counted_however_rare(rig: Rig, signed_in: Browser) -> None:
    scope = rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope
    statuses = [200] * 9 + [404, 404, 500]
    row = {
        "request_start_us": int(time.time() * 1e6), "method": "GET", "path": "/", "http_version": "1.1",
        "response_source": "upstream", "latency_kong_us": 1, "latency_total_us": 2, "request_bytes": 1,
        "response_bytes": 1, "tries": 1,
    }  # fmt: skip
    rows = [{**row, "request_id": f"r{place}", "status": status} for place, status in enumerate(statuses)]
    source = Source(scope.control_plane_id, "n1", "3.9.3", "boot", 1, "origin", 0)
    rig.analytics.add_records(Batch(source, [[one.get(name) for one in rows] for name in RECORD_COLUMNS]))
    page = (await signed_in.get(rig.plane_path)).text
    assert "Requests today</span><b>12</b>" in page
    assert "Server errors today</span><b>1</b>" in page
    assert "<strong>1</strong>" in (await signed_in.get("/us/control-planes")).text
