"""Values that plain text cannot hold: a form shows them, takes them back, and changes nothing of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.web.console.conftest import Browser, Rig, typed_in

from twinplane.control import Actor
from twinplane.registry import entity_types
from twinplane.web.console.entities.inputs import ROWS_MAX, Input, inputs_of, texts_of
from twinplane.web.console.entities.spelled import AS_JSON
from twinplane.web.console.entities.typed import changed, read_typed

ACTOR = Actor("user", "tester", "tester")
AUTOMATIC = frozenset({"id", "created_at", "updated_at"})
FUNCTION = "local a = 1\n\n  return a\n"
TEXTS = (
    "plain",
    "two\nlines",
    " blanks outside ",
    "",
    "a:b",
    "\nbegins with a line end",
    "\r\nends\r\n",
    "\u2028",
    "~json",
)


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _leaves(inputs: list[Input]) -> list[Input]:
    return [leaf for one in inputs for leaf in (_leaves(one.children) if one.children else [one])]


def _sent_back(one: Input) -> str:
    """What a browser makes of a value: one line without blanks, or lines that end as the console reads them."""
    if one.kind in ("lines", "map", "json", "long"):
        return one.value.removeprefix("\n").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\r\n]", "", one.value)


def _round(collection: str, row: dict[str, Any]) -> dict[str, Any]:
    """What saving a form says that was opened and left as it stood."""
    shape = entity_types()[collection].shape_for(row)
    row = shape.fill(row)
    inputs = inputs_of(shape, texts_of(shape, row), {}, without=AUTOMATIC)
    typed = {one.name: _sent_back(one) for one in _leaves(inputs)}
    body, problems = read_typed(shape, typed, without=AUTOMATIC)
    assert not problems
    return changed(body, row, shape)


def _plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "config": config, "enabled": True, "protocols": ["http"]}


@pytest.mark.parametrize("text", TEXTS)
def test_a_form_that_is_sent_back_as_it_was_changes_nothing(text: str) -> None:
    rows = (
        ("plugins", _plugin("pre-function", access=[text, "return 1"])),
        ("plugins", _plugin("pre-function", access=[text])),
        ("plugins", _plugin("file-log", path="/tmp/x", custom_fields_by_lua={"x": text})),
        ("plugins", _plugin("file-log", path="/tmp/x", custom_fields_by_lua={text: "return 1"})),
        ("plugins", _plugin("request-transformer", add={"headers": [text, "b:c"]})),
        ("plugins", _plugin("request-termination", body=text, message=text)),
        ("plugins", _plugin("rate-limiting", error_message=text)),
        ("plugins", _plugin("ai-proxy", auth={"gcp_service_account_json": text})),
        ("plugins", _plugin("http-log", headers={"x": text, text: "y"})),
        ("routes", {"paths": [text, "/a"], "headers": {"x": [text, "b"], "y": ["c"]}, "protocols": ["http"]}),
        ("routes", {"headers": {text: ["b"]}}),
        ("routes", {"headers": {"x": []}, "methods": [text]}),
        ("services", {"name": text, "host": text, "tags": [text, "b"]}),
        ("jwt_secrets", {"rsa_public_key": text}),
        ("certificates", {"cert": text}),
    )
    for collection, row in rows:
        assert _round(collection, row) == {}, row


def test_more_groups_than_a_form_shows_are_kept() -> None:
    sources = [{"ip": f"10.0.{number}.1", "port": None} for number in range(ROWS_MAX + 1)]
    assert _round("routes", {"sources": sources}) == {}
    shape = entity_types()["routes"].shape
    assert f"sources{AS_JSON}" in texts_of(shape, {"sources": sources})


def test_what_plain_text_holds_stays_plain_text() -> None:
    row = {"paths": ["/a", "/b"], "headers": {"x": ["b", "c"]}, "name": "n"}
    assert texts_of(entity_types()["routes"].shape, row) == {"paths": "/a\n/b", "headers": "x: b\nx: c", "name": "n"}


def test_keys_and_documents_have_room_for_their_lines() -> None:
    shape = entity_types()["jwt_secrets"].shape
    kinds = {one.name: one.kind for one in inputs_of(shape, {}, {})}
    assert (kinds["rsa_public_key"], kinds["algorithm"]) == ("long", "choice")
    shape = entity_types()["plugins"].shape_for({"name": "ai-proxy"})
    kinds = {one.name: one.kind for one in _leaves(inputs_of(shape, {}, {}))}
    assert kinds["config.auth.gcp_service_account_json"] == "long"


def test_text_that_is_no_json_is_told_of() -> None:
    shape = entity_types()["plugins"].shape_for({"name": "pre-function"})
    typed = {"config.access": "return 1", f"tags{AS_JSON}": "[" * 100_000}
    _, problems = read_typed(shape, typed)
    assert "is not JSON" in problems["config"]["access"]
    assert "is not JSON" in problems["tags"]
    inputs = inputs_of(shape, typed, problems)
    assert {one.label for one in _leaves(inputs) if one.has_problem} == {"access", "tags"}


def test_a_required_list_that_was_emptied_is_empty() -> None:
    shape = entity_types()["plugins"].shape_for({"name": "pre-function"})
    body, problems = read_typed(shape, {"config.access": "", f"protocols{AS_JSON}": " "})
    assert (body["config"], body["protocols"], problems) == ({"access": []}, [], {})


async def test_functions_of_several_lines_outlive_other_changes(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    made = rig.control.changes.create(
        scope, ACTOR, "plugins", {"name": "pre-function", "config": {"access": [FUNCTION]}, "tags": ["a:b"]}
    )
    path = f"{rig.plane_path}/entities/plugins/{made['id']}/edit"
    typed = typed_in((await signed_in.get(path)).text)
    assert (await signed_in.send_form(path, {**typed, "v.enabled": "false"})).status_code == 303
    row = rig.control.changes.get(scope, "plugins", made["id"])
    assert (row["config"], row["tags"], row["enabled"]) == (made["config"], ["a:b"], False)


async def test_a_map_whose_keys_hold_colons_can_be_edited(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    fields = {"a:b": "return 1", "c": FUNCTION}
    config = {"path": "/tmp/log", "custom_fields_by_lua": fields}
    made = rig.control.changes.create(scope, ACTOR, "plugins", {"name": "file-log", "config": config})
    path = f"{rig.plane_path}/entities/plugins/{made['id']}/edit"
    typed = typed_in((await signed_in.get(path)).text)
    again = await signed_in.send_form(path, typed)
    assert again.headers["location"].endswith("said=unchanged")
    assert (await signed_in.send_form(path, {**typed, "v.config.path": "/tmp/other"})).status_code == 303
    row = rig.control.changes.get(scope, "plugins", made["id"])
    assert (row["config"]["custom_fields_by_lua"], row["config"]["path"]) == (fields, "/tmp/other")


@pytest.mark.parametrize("part", ["\u00b2", "\u0661", "9" * 5000, "-1", "+1", "1_0", ""])
async def test_an_index_that_no_form_makes_is_no_index(rig: Rig, signed_in: Browser, part: str) -> None:
    path = f"{rig.plane_path}/entities/routes"
    typed = typed_in((await signed_in.get(f"{path}/new")).text)
    sent = {**typed, "v.name": "r", "v.paths": "/a", f"v.sources.{part}.ip": "10.0.0.1"}
    for more in ({"more": "sources"}, {}):
        answer = await signed_in.send_form(path, {**sent, **more})
        assert answer.status_code == (200 if more else 303), answer.text[:500]
    made = rig.control.changes.get(_scope(rig), "routes", "r")
    assert not made["sources"]
    edit = f"{path}/{made['id']}/edit"
    stale = await signed_in.send_form(edit, {**sent, "v.name": "other", "seen": "{}"})
    assert stale.status_code == 409
