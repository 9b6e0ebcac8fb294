"""The generated pages of entities: forms that say everything the schemas say, and lose nothing that was typed."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from tests.unit.web.console.conftest import Browser, Rig, typed_in

from twinplane.control import Actor
from twinplane.registry import entity_types, plugin_types
from twinplane.schema import SchemaViolation
from twinplane.web.console.entities.inputs import inputs_of, texts_of
from twinplane.web.console.entities.kinds import KINDS
from twinplane.web.console.entities.typed import changed, read_typed
from twinplane.web.console.entities.written import FORMS

SCRIPT = "<script>alert(1)</script>"
AUTOMATIC = frozenset({"id", "created_at", "updated_at"})
ACTOR = Actor("user", "tester", "tester")


def _scope(rig: Rig) -> Any:
    organization = rig.control.organizations.first()
    return rig.control.control_planes.default(organization.id, "us").scope


async def _make(rig: Rig, browser: Browser, collection: str, fields: dict[str, str], query: str = "") -> str:
    path = f"{rig.plane_path}/entities/{collection}"
    page = (await browser.get(f"{path}/new{query}")).text
    answer = await browser.send_form(path, {**typed_in(page), **{f"v.{name}": value for name, value in fields.items()}})
    assert answer.status_code == 303, re.findall(r'class="problem"[^>]*>([^<]+)', answer.text) or answer.text[:2000]
    return str(answer.headers["location"].partition("?")[0])


@pytest.mark.parametrize("name", sorted(plugin_types()))
async def test_every_plugin_has_a_form_that_says_what_its_defaults_are(rig: Rig, signed_in: Browser, name: str) -> None:
    answer = await signed_in.get(f"{rig.plane_path}/entities/plugins/new", params={"plugin": name})
    assert answer.status_code == 200
    shape = entity_types()["plugins"].shape_for({"name": name})
    typed = {key.removeprefix("v."): value for key, value in typed_in(answer.text).items() if key.startswith("v.")}
    body, problems = read_typed(shape, typed, without=AUTOMATIC)
    assert not problems
    filled, again = (shape.fill({"name": name})["config"] or {} for _ in range(2))
    for field, value in filled.items():
        is_made_up = again[field] != value
        if value not in (None, [], {}) and not isinstance(value, dict) and not is_made_up:
            assert body["config"][field] == value or body["config"][field] is None, field


@pytest.mark.parametrize("collection", sorted(KINDS))
async def test_every_collection_has_a_list_and_a_form(rig: Rig, signed_in: Browser, collection: str) -> None:
    path = f"{rig.plane_path}/entities/{collection}"
    assert (await signed_in.get(path)).status_code == 200
    assert (await signed_in.get(f"{path}/new")).status_code == 200


@pytest.mark.parametrize("collection", ["services", "routes", "upstreams"])
async def test_a_form_sent_back_as_it_came_changes_nothing(rig: Rig, signed_in: Browser, collection: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "services": {
            "name": "s",
            "host": "a.example",
            "tags": ["x", "y"],
            "path": "/p",
            "protocol": "https",
            "tls_verify": False,
        },
        "routes": {"name": "r", "paths": ["/a", "~/b$"], "headers": {"x-a": ["1", "2"]}, "methods": ["GET"]},
        "upstreams": {"name": "u", "healthchecks": {"active": {"http_path": "/h", "healthy": {"interval": 5}}}},
    }
    row = rig.control.changes.create(_scope(rig), ACTOR, collection, bodies[collection])
    path = f"{rig.plane_path}/entities/{collection}/{row['id']}"
    page = (await signed_in.get(f"{path}/edit")).text
    answer = await signed_in.send_form(f"{path}/edit", typed_in(page))
    assert answer.headers["location"].endswith("said=unchanged")
    assert rig.control.changes.get(_scope(rig), collection, row["id"]) == row


async def test_a_set_of_known_values_is_ticked(rig: Rig, signed_in: Browser) -> None:
    """Browsers send a tick each, under one name; what was ticked in another order is no change."""
    routes = f"{rig.plane_path}/entities/routes"
    page = (await signed_in.get(f"{routes}/new")).text
    assert re.findall(r'name="v.protocols" value="([a-z]+)" checked', page) == ["http", "https"]
    fields: dict[str, Any] = {**typed_in(page), "v.protocols": ["", "https"], "v.paths": "/a"}
    made = await signed_in.send_form(routes, fields)
    path = made.headers["location"].partition("?")[0]
    scope, route_id = _scope(rig), path.rpartition("/")[2]
    assert rig.control.changes.get(scope, "routes", route_id)["protocols"] == ["https"]
    rig.control.changes.update(scope, ACTOR, "routes", route_id, {"protocols": ["https", "http"]})
    revision = rig.control.history.list(scope, size=1)[0].revision
    page = (await signed_in.get(f"{path}/edit")).text
    await signed_in.send_form(f"{path}/edit", {**typed_in(page), "v.protocols": ["", "http", "https"]})
    assert rig.control.history.list(scope, size=1)[0].revision == revision


async def test_a_service_a_route_and_a_plugin_by_the_pages_alone(rig: Rig, signed_in: Browser) -> None:
    service = await _make(rig, signed_in, "services", {"name": "orders", "host": "orders.example", "port": "8080"})
    service_id = service.rpartition("/")[2]
    route = await _make(rig, signed_in, "routes", {"name": "r", "paths": "/orders\n/o"}, f"?service={service_id}")
    plugin = await _make(
        rig, signed_in, "plugins", {"config.minute": "5"}, f"?plugin=rate-limiting&route={route.rpartition('/')[2]}"
    )
    scope = _scope(rig)
    kept = rig.control.changes.get(scope, "plugins", plugin.rpartition("/")[2])
    assert (kept["name"], kept["config"]["minute"]) == ("rate-limiting", 5)
    assert kept["route"]["id"] == route.rpartition("/")[2]
    found = rig.control.changes.get(scope, "routes", "r")
    assert (found["paths"], found["service"]["id"]) == (["/orders", "/o"], service_id)
    assert "Created." in (await signed_in.get(f"{service}?said=created")).text
    assert ">r</a>" in (await signed_in.get(service)).text


async def test_every_problem_stands_beside_its_field(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/entities/services"
    page = (await signed_in.get(f"{path}/new")).text
    typed = {**typed_in(page), "v.name": SCRIPT, "v.port": "70000", "v.retries": "many", "v.host": "", "v.path": "x"}
    answer = await signed_in.send_form(path, typed)
    assert answer.status_code == 400
    problems = re.findall(r'class="problem" id="v-(\w+)-problem"', answer.text)
    assert "retries" in problems
    assert SCRIPT not in answer.text
    assert 'value="70000"' in answer.text
    typed = {**typed, "v.retries": "3"}
    problems = re.findall(r'class="problem" id="v-(\w+)-problem"', (await signed_in.send_form(path, typed)).text)
    assert {"name", "port", "host", "path"} <= set(problems)


async def test_a_form_that_is_sent_twice_makes_one(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/entities/consumers"
    typed = {**typed_in((await signed_in.get(f"{path}/new")).text), "v.username": "ada"}
    first = await signed_in.send_form(path, typed)
    second = await signed_in.send_form(path, typed)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"].partition("?")[0] == second.headers["location"].partition("?")[0]
    assert rig.control.changes.count(_scope(rig), "consumers") == 1


async def test_a_form_over_what_was_deleted_can_make_it_again(rig: Rig, signed_in: Browser) -> None:
    row = rig.control.changes.create(_scope(rig), ACTOR, "services", {"name": "s", "host": "a.example"})
    path = f"{rig.plane_path}/entities/services"
    typed = {**typed_in((await signed_in.get(f"{path}/{row['id']}/edit")).text), "v.host": "mine.example"}
    rig.control.changes.delete(_scope(rig), ACTOR, "services", row["id"])
    answer = await signed_in.send_form(f"{path}/{row['id']}/edit", typed)
    assert (answer.status_code, "Somebody deleted this" in answer.text) == (409, True)
    again = await signed_in.send_form(path, typed_in(answer.text))
    assert again.status_code == 303
    assert rig.control.changes.get(_scope(rig), "services", row["id"])["host"] == "mine.example"


async def test_lists_find_filter_and_page(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    for number in range(120):
        rig.control.changes.create(
            scope,
            ACTOR,
            "services",
            {"name": f"s{number}", "host": f"h{number}.example", "tags": ["even" if number % 2 == 0 else "odd"]},
        )
    path = f"{rig.plane_path}/entities/services"
    page = (await signed_in.get(path)).text
    assert "120 services" in page
    found = re.search(r'href="([^"]+offset=[^"]+)"', page)
    assert found
    assert len(re.findall(r'name="id"', (await signed_in.get(unescape(found[1]))).text)) == 50
    assert len(re.findall(r'name="id"', (await signed_in.get(path, params={"q": "H117.EXAMPLE"})).text)) == 1
    assert len(re.findall(r'name="id"', (await signed_in.get(path, params={"tags": "odd"})).text)) == 50
    assert "Nothing found" in (await signed_in.get(path, params={"q": "100%_"})).text
    assert "This search is not possible" in (await signed_in.get(path, params={"tags": "a,b/c"})).text
    assert (await signed_in.get(path, params={"offset": "forged"})).status_code == 200


async def test_deleting_says_what_goes_too(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    upstream = rig.control.changes.create(scope, ACTOR, "upstreams", {"name": "u"})
    rig.control.changes.create(scope, ACTOR, "targets", {"target": "127.0.0.1:80", "upstream": {"id": upstream["id"]}})
    service = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "h"})
    rig.control.changes.create(scope, ACTOR, "routes", {"name": "r", "paths": ["/"], "service": {"id": service["id"]}})
    path = f"{rig.plane_path}/entities"
    assert (
        "<strong>1 target</strong> goes too: 127.0.0.1:80"
        in (await signed_in.get(f"{path}/upstreams/{upstream['id']}/delete")).text
    )
    page = f"{path}/services/{service['id']}/delete"
    assert "stands in the way" in (await signed_in.get(page)).text
    refused = await signed_in.fill(page, page, {})
    assert refused.status_code == 400
    assert "routes still name it" in refused.text
    page = f"{path}/upstreams/{upstream['id']}/delete"
    assert (await signed_in.fill(page, page, {})).status_code == 303
    assert rig.control.changes.count(scope, "targets") == 0


async def test_many_are_deleted_all_or_none_once_that_was_confirmed(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    ids = [rig.control.changes.create(scope, ACTOR, "consumers", {"username": f"c{n}"})["id"] for n in range(5)]
    for one in ids[:2]:
        rig.control.changes.create(scope, ACTOR, "keyauth_credentials", {"consumer": {"id": one}})
    path = f"{rig.plane_path}/entities/consumers"
    asked = await signed_in.fill(path, f"{path}/delete", {"id": ids[:3]})
    assert asked.status_code == 200
    assert "Delete 3 consumers?" in asked.text
    assert "<strong>2 api keys</strong> go too" in asked.text
    assert rig.control.changes.count(scope, "consumers") == 5
    answer = await signed_in.fill(path, f"{path}/delete", {"id": ids[:3], "confirmed": "yes"})
    assert answer.status_code == 303
    assert rig.control.changes.counts(scope, ["consumers", "keyauth_credentials"]) == {
        "consumers": 2, "keyauth_credentials": 0,
    }  # fmt: skip
    for gone in (ids[:3], ["no-id"], []):
        answer = await signed_in.fill(path, f"{path}/delete", {"id": gone, "confirmed": "yes"})
        assert answer.headers["location"].endswith("said=unchanged")


async def test_many_of_which_one_cannot_go_all_stay(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    ids = [rig.control.changes.create(scope, ACTOR, "services", {"name": f"s{n}", "host": "h"})["id"] for n in range(3)]
    rig.control.changes.create(scope, ACTOR, "routes", {"paths": ["/"], "service": {"id": ids[1]}})
    path = f"{rig.plane_path}/entities/services"
    answer = await signed_in.fill(path, f"{path}/delete", {"id": ids, "confirmed": "yes"})
    assert answer.status_code == 400
    assert "s1: It cannot be deleted: routes still name it." in answer.text
    assert rig.control.changes.count(scope, "services") == 3


async def test_an_entity_can_be_taken_away_without_its_secrets(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    consumer = rig.control.changes.create(scope, ACTOR, "consumers", {"username": "ada"})
    body = {"consumer": {"id": consumer["id"]}, "key": "planted-secret"}
    row = rig.control.changes.create(scope, ACTOR, "keyauth_credentials", body)
    service = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "h"})
    config = {
        "aws_region": "us-east-1",
        "function_name": "f",
        "aws_key": "planted-secret",
        "aws_secret": "planted-secret",
    }
    plugin = rig.control.changes.create(scope, ACTOR, "plugins", {"name": "aws-lambda", "config": config})
    places = (f"keyauth_credentials/{row['id']}", f"services/{service['id']}", f"plugins/{plugin['id']}")
    assert "planted-secret" not in (await signed_in.get(f"{rig.plane_path}/changes")).text
    for path in places:
        for form in ("", *FORMS):
            page = (await signed_in.get(f"{rig.plane_path}/entities/{path}", params={"as": form})).text
            assert "planted-secret" not in page
    page = unescape((await signed_in.get(f"{rig.plane_path}/entities/services/{service['id']}?as=curl")).text)
    assert f"/core-entities/services/{service['id']}" in page
    page = unescape((await signed_in.get(f"{rig.plane_path}/entities/services/{service['id']}?as=Terraform")).text)
    assert 'resource "konnect_gateway_service" "s"' in page


async def test_the_gallery_finds_and_keeps_the_scope(rig: Rig, signed_in: Browser) -> None:
    page = (await signed_in.get(f"{rig.plane_path}/entities/plugins/new?q=rate&service=abc")).text
    assert "rate-limiting" in page
    assert "service=abc" in page
    assert "key-auth" not in page
    assert "No such plugin" in (await signed_in.get(f"{rig.plane_path}/entities/plugins/new?q=nothing-like-it")).text


async def test_groups_of_a_list_come_and_go(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/entities/routes"
    typed = typed_in((await signed_in.get(f"{path}/new")).text)
    more = await signed_in.send_form(path, {**typed, "v.name": "kept", "more": "sources"})
    assert more.status_code == 200
    assert 'name="v.sources.0.ip"' in more.text
    assert 'value="kept"' in more.text
    fewer = await signed_in.send_form(path, {**typed_in(more.text), "fewer": "sources.0"})
    assert 'name="v.sources.0.ip"' not in fewer.text


def test_what_a_form_shows_it_reads_back() -> None:
    for name, plugin in plugin_types().items():
        shape = entity_types()["plugins"].shape_for({"name": name})
        row = shape.fill({"name": name, "config": plugin.config.fill({})})
        body, problems = read_typed(shape, texts_of(shape, row), without=AUTOMATIC)
        assert not problems
        assert not changed({key: value for key, value in body.items() if value is not None}, row, shape), name
        assert inputs_of(shape, texts_of(shape, row), {"config": {"x": "y"}})


def test_violations_of_any_shape_reach_an_input() -> None:
    shape = entity_types()["routes"].shape
    try:
        entity_types()["routes"].prepare_insert(
            {"paths": ["x", "/ok", 3], "methods": ["get"], "sources": [{"ip": "nope"}]}, now=0
        )
    except SchemaViolation as violation:
        problems = violation.errors
    inputs = inputs_of(shape, {"sources.0": "1"}, problems)
    assert {one.label for one in inputs if one.has_problem} >= {"paths", "methods"}
