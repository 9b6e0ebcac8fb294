"""What a form asks for and how: order, other spellings, references that are found by typing."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from tests.unit.web.console.conftest import Browser, Rig, typed_in

from twinplane.control import Actor, Operation
from twinplane.web.console.entities.references import LISTED_MAX

ACTOR = Actor("user", "tester", "tester")


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _many_services(rig: Rig) -> list[str]:
    bodies = [{"name": f"orders-{n}", "host": f"h{n}.example"} for n in range(LISTED_MAX + 1)]
    operations = [Operation("create", "services", body=body) for body in bodies]
    return [str(row["id"]) for row in rig.control.changes.apply(_scope(rig), ACTOR, operations) if row]


async def test_what_matters_is_asked_first(rig: Rig, signed_in: Browser) -> None:
    page = (await signed_in.get(f"{rig.plane_path}/entities/services/new")).text
    first, more = page.split('<details class="more"')
    assert re.findall(r'name="v\.(\w+)"', first)[1:7] == ["name", "url", "protocol", "host", "port", "path"]
    assert all(
        f'name="v.{name}"' in more for name in ("client_certificate", "ca_certificates", "tls_verify", "retries")
    )
    path = f"{rig.plane_path}/entities/services"
    answer = (await signed_in.send_form(path, {**typed_in(page), "v.host": "h", "v.retries": "-1"})).text
    assert 'name="v.retries"' in answer.split('<details class="more"')[0], "what is wrong is never behind a step"


async def test_a_url_is_short_for_four_fields(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/entities/services"
    page = (await signed_in.get(f"{path}/new")).text
    assert "Short for protocol, host, port and path" in page
    made = await signed_in.send_form(path, {**typed_in(page), "v.name": "orders", "v.url": "https://orders.example/v1"})
    assert made.status_code == 303, re.findall(r'class="problem"[^>]*>([^<]+)', made.text)
    row = rig.control.changes.get(_scope(rig), "services", "orders")
    assert (row["protocol"], row["host"], row["port"], row["path"]) == ("https", "orders.example", 443, "/v1")
    edit = f"{path}/{row['id']}/edit"
    typed = typed_in((await signed_in.get(edit)).text)
    assert typed["v.url"] == ""
    assert (await signed_in.send_form(edit, {**typed, "v.url": "http://other.example:81"})).status_code == 303
    row = rig.control.changes.get(_scope(rig), "services", "orders")
    assert (row["protocol"], row["host"], row["port"], row["path"]) == ("http", "other.example", 81, None)
    wrong = await signed_in.send_form(path, {**typed_in(page), "v.name": "x", "v.url": "no url"})
    assert wrong.status_code == 400
    assert 'value="no url"' in wrong.text


async def test_other_spellings_and_vaults_are_told_of(rig: Rig, signed_in: Browser) -> None:
    base = f"{rig.plane_path}/entities"
    page = (await signed_in.get(f"{base}/plugins/new?plugin=rate-limiting")).text
    assert "redis_host for redis.host" in page
    assert "{vault://prefix/name}" in page
    assert "sets the algorithm to consistent-hashing" in (await signed_in.get(f"{base}/upstreams/new")).text


async def test_a_few_entities_are_listed_to_choose_from(rig: Rig, signed_in: Browser) -> None:
    service = rig.control.changes.create(_scope(rig), ACTOR, "services", {"name": "orders", "host": "h"})
    page = (await signed_in.get(f"{rig.plane_path}/entities/routes/new?service={service['id']}")).text
    assert f'<option value="{service["id"]}" selected>orders</option>' in page


async def test_one_of_many_is_found_by_typing(rig: Rig, signed_in: Browser) -> None:
    ids = _many_services(rig)
    base = f"{rig.plane_path}/entities"
    found = (await signed_in.get(f"{base}/services/lookup", params={"q": "ers-77"})).json()
    assert found == [["orders-77", "orders-77 · h77.example"]]
    assert (await signed_in.get(f"{base}/services/lookup", params={"q": "100%"})).json() == []
    page = (await signed_in.get(f"{base}/routes/new?service={ids[5]}")).text
    assert f'src="{base}/services/lookup"' in page
    typed = typed_in(page)
    assert typed["v.service"] == "orders-5"
    wrong = await signed_in.send_form(f"{base}/routes", {**typed, "v.paths": "/a", "v.service": "nobody"})
    assert wrong.status_code == 400
    assert "there is no service of this name or id" in wrong.text
    assert 'value="nobody"' in wrong.text
    made = await signed_in.send_form(f"{base}/routes", {**typed, "v.paths": "/a", "v.service": "orders-77"})
    assert made.status_code == 303, re.findall(r'class="problem"[^>]*>([^<]+)', made.text)
    row = rig.control.changes.page(_scope(rig), "routes").rows[0]
    assert row["service"]["id"] == ids[77]
    edit = f"{base}/routes/{row['id']}/edit"
    again = await signed_in.send_form(edit, typed_in((await signed_in.get(edit)).text))
    assert again.headers["location"].endswith("said=unchanged"), unescape(again.text)[:500]
