"""Secrets of rows that have pages and forms: none is shown, and none is lost by saving what was not shown."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from tests.unit.web.console.conftest import Browser, Rig, typed_in

from twinplane.control import Actor
from twinplane.web.console.entities.covered import HINT

ACTOR = Actor("user", "tester", "tester")
SECRET = "planted-secret"
LINES = f"first line\r\n{SECRET}\n"

ROWS: tuple[tuple[str, dict[str, Any], tuple[str, ...], tuple[str, str]], ...] = (
    ("keyauth_credentials", {"key": SECRET}, ("v.key",), ("v.tags", "kept")),
    ("keyauth_credentials", {"key": LINES}, ("v.key",), ("v.tags", "kept")),
    ("basicauth_credentials", {"username": "ada", "password": SECRET}, ("v.password",), ("v.tags", "kept")),
    ("hmacauth_credentials", {"username": "ada", "secret": SECRET}, ("v.secret",), ("v.username", "eve")),
    ("jwt_secrets", {"key": "k", "secret": SECRET}, ("v.secret",), ("v.tags", "kept")),
    (
        "oauth2_credentials",
        {"name": "n", "redirect_uris": ["https://a.example"], "client_secret": SECRET},
        ("v.client_secret",),
        ("v.name", "m"),
    ),
    (
        "plugins",
        {
            "name": "aws-lambda",
            "config": {"aws_region": "us-east-1", "function_name": "f", "aws_key": SECRET, "aws_secret": SECRET},
        },
        ("v.config.aws_key", "v.config.aws_secret"),
        ("v.enabled", "false"),
    ),
)
_OF_CONSUMERS = ("keyauth", "basicauth", "hmacauth", "jwt", "oauth2")


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _made(rig: Rig, collection: str, body: dict[str, Any]) -> dict[str, Any]:
    scope = _scope(rig)
    if collection.startswith(_OF_CONSUMERS):
        consumer = rig.control.changes.create(scope, ACTOR, "consumers", {"username": "ada"})
        body = {**body, "consumer": {"id": consumer["id"]}}
    return dict(rig.control.changes.create(scope, ACTOR, collection, body))


@pytest.mark.parametrize(("collection", "body", "names", "change"), ROWS)
async def test_a_form_shows_no_secret_and_keeps_it(
    rig: Rig,
    signed_in: Browser,
    collection: str,
    body: dict[str, Any],
    names: tuple[str, ...],
    change: tuple[str, str],
) -> None:
    scope, made = _scope(rig), _made(rig, collection, body)
    path = f"{rig.plane_path}/entities/{collection}/{made['id']}"
    page = (await signed_in.get(f"{path}/edit")).text
    typed = typed_in(page)
    assert SECRET not in unescape(page) + unescape((await signed_in.get(path)).text)
    assert [typed[name] for name in names] == ["" for _ in names]
    assert page.count(HINT) == len(names)
    same = await signed_in.send_form(f"{path}/edit", typed)
    assert same.headers["location"].endswith("said=unchanged")
    saved = await signed_in.send_form(f"{path}/edit", {**typed, change[0]: change[1]})
    assert saved.headers["location"].endswith("said=saved")
    row = rig.control.changes.get(scope, collection, made["id"])
    differing = {name for name in row if row[name] != made[name]} - {"updated_at"}
    assert differing == {change[0].removeprefix("v.")}


async def test_a_secret_that_is_typed_replaces_the_one_before(rig: Rig, signed_in: Browser) -> None:
    for key in (SECRET, LINES):
        made = rig.control.changes.create(
            _scope(rig), ACTOR, "plugins", {"name": "loggly", "config": {"key": key}, "instance_name": f"n{len(key)}"}
        )
        path = f"{rig.plane_path}/entities/plugins/{made['id']}/edit"
        typed = typed_in((await signed_in.get(path)).text)
        saved = await signed_in.send_form(path, {**typed, "v.config.key": "another-one"})
        assert saved.headers["location"].endswith("said=saved")
        assert rig.control.changes.get(_scope(rig), "plugins", made["id"])["config"]["key"] == "another-one"
        rig.control.changes.delete(_scope(rig), ACTOR, "plugins", made["id"])


async def test_the_input_of_a_secret_of_one_line_hides_what_is_typed(rig: Rig, signed_in: Browser) -> None:
    made = _made(rig, "keyauth_credentials", {"key": SECRET})
    base = f"{rig.plane_path}/entities/keyauth_credentials"
    page = (await signed_in.get(f"{base}/{made['id']}/edit")).text
    found = re.search(r'<input [^>]*name="v\.key"[^>]*>', page)
    assert found is not None
    assert 'type="password"' in found[0]
    assert HINT not in (await signed_in.get(f"{base}/new")).text


async def test_a_secret_that_others_replaced_stays_theirs_where_none_was_typed(rig: Rig, signed_in: Browser) -> None:
    scope, made = _scope(rig), _made(rig, "keyauth_credentials", {"key": SECRET})
    path = f"{rig.plane_path}/entities/keyauth_credentials/{made['id']}/edit"
    typed = {**typed_in((await signed_in.get(path)).text), "v.tags": "mine"}
    rig.control.changes.update(scope, ACTOR, "keyauth_credentials", made["id"], {"key": "their-secret"})
    answer = await signed_in.send_form(path, typed)
    assert (answer.status_code, "their-secret" in answer.text) == (409, False)
    assert (await signed_in.send_form(path, typed_in(answer.text))).status_code == 303
    row = rig.control.changes.get(scope, "keyauth_credentials", made["id"])
    assert (row["key"], row["tags"]) == ("their-secret", ["mine"])
