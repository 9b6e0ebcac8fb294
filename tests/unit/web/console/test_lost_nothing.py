"""Forms that come at a bad moment lose nothing: over a changed row, sent twice, after the session ended."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from tests.unit.web.console.conftest import Browser, Rig, typed_in

from twinplane.control import Actor, NodeHello, NodeReport
from twinplane.node.authority import self_signed
from twinplane.registry import entity_types
from twinplane.web.console.entities.inputs import texts_of
from twinplane.web.console.entities.stale import HIDDEN, is_stale, merge, seen_of

ACTOR = Actor("user", "tester", "tester")
ADA = Actor("user", "ada", "Ada")


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _rows(page: str) -> dict[str, tuple[str, str]]:
    """What a stale form tells: by field, the value now and that of the form."""
    found = re.findall(r'<tr><th scope="row">([^<]*)</th><td>(.*?)</td><td>(.*?)</td>', page, re.DOTALL)
    return {name: (unescape(theirs), re.sub("<[^>]*>", "", unescape(yours))) for name, theirs, yours in found}


async def test_a_stale_form_tells_what_changed_and_takes_over_what_nobody_typed(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    body = {"name": "s", "host": "a.example", "retries": 5, "tags": ["x"]}
    row = rig.control.changes.create(scope, ACTOR, "services", body)
    path = f"{rig.plane_path}/entities/services/{row['id']}/edit"
    typed = {**typed_in((await signed_in.get(path)).text), "v.host": "mine.example", "v.port": "81"}
    rig.control.changes.update(scope, ADA, "services", row["id"], {"retries": 1, "host": "theirs.example"})
    answer = await signed_in.send_form(path, typed)
    assert answer.status_code == 409
    assert "Somebody changed this" in answer.text
    assert "Ada" in answer.text
    assert _rows(answer.text) == {"host": ("theirs.example", "mine.example"), "retries": ("1", "taken over")}
    again = typed_in(answer.text)
    assert (again["v.host"], again["v.port"], again["v.retries"]) == ("mine.example", "81", "1")
    assert (await signed_in.send_form(path, again)).status_code == 303
    kept = rig.control.changes.get(scope, "services", "s")
    assert (kept["host"], kept["port"], kept["retries"]) == ("mine.example", 81, 1)


async def test_in_a_conflict_one_may_take_what_others_wrote(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "routes", {"name": "r", "paths": ["/a"], "hosts": ["a.example"]})
    path = f"{rig.plane_path}/entities/routes/{row['id']}/edit"
    typed = {**typed_in((await signed_in.get(path)).text), "v.paths": "/mine", "v.hosts": "mine.example"}
    rig.control.changes.update(scope, ADA, "routes", row["id"], {"paths": ["/theirs"], "hosts": ["theirs.example"]})
    stale = await signed_in.send_form(path, typed)
    conflicts = re.search(r'name="conflicts" value="([^"]*)"', stale.text)
    assert conflicts
    assert conflicts[1] == "hosts,paths"
    fields = {**typed_in(stale.text), "conflicts": conflicts[1], "take": "paths"}
    taken = await signed_in.send_form(path, fields)
    assert taken.status_code == 200
    assert _rows(taken.text) == {"hosts": ("theirs.example", "mine.example")}
    assert (await signed_in.send_form(path, typed_in(taken.text))).status_code == 303
    kept = rig.control.changes.get(scope, "routes", "r")
    assert (kept["paths"], kept["hosts"]) == (["/theirs"], ["mine.example"])


async def test_a_stale_form_shows_no_secret(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    consumer = rig.control.changes.create(scope, ACTOR, "consumers", {"username": "ada"})
    body = {"consumer": {"id": consumer["id"]}, "key": "first-secret"}
    row = rig.control.changes.create(scope, ACTOR, "keyauth_credentials", body)
    path = f"{rig.plane_path}/entities/keyauth_credentials/{row['id']}/edit"
    typed = {**typed_in((await signed_in.get(path)).text), "v.key": "my-secret"}
    rig.control.changes.update(scope, ADA, "keyauth_credentials", row["id"], {"key": "their-secret"})
    answer = await signed_in.send_form(path, typed)
    assert _rows(answer.text) == {"key": (HIDDEN, HIDDEN)}
    assert "their-secret" not in answer.text


async def test_the_same_form_twice_over_a_row_changes_it_once(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "a.example"})
    path = f"{rig.plane_path}/entities/services/{row['id']}/edit"
    typed = {**typed_in((await signed_in.get(path)).text), "v.host": "mine.example"}
    answers = [await signed_in.send_form(path, typed) for _ in range(2)]
    assert [answer.headers["location"].rpartition("=")[2] for answer in answers] == ["saved", "unchanged"]
    assert len(rig.control.history.list(scope, entity_id=row["id"])) == 2


async def test_after_a_new_sign_in_the_form_is_there_as_it_was_filled(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "a.example"})
    base = f"{rig.plane_path}/entities"
    new, edit = f"{base}/services", f"{base}/services/{row['id']}/edit"
    planes = {"name": "typed-name", "description": "", "labels": "a: b"}
    for page, path, typed in (
        (f"{new}/new", new, {"v.name": "typed-name"}),
        (edit, edit, {"v.name": "typed-name"}),
        ("/us/control-planes/new", "/us/control-planes", {**planes, "cluster_type": "x", "auth_type": "y"}),
        (f"{rig.plane_path}/settings", f"{rig.plane_path}/settings", {**planes, "auth_type": "pki_client_certs"}),
        (f"{rig.plane_path}/node-certificates", f"{rig.plane_path}/node-certificates", {"title": "typed-name"}),
    ):
        await signed_in.sign_in(rig.token)
        filled = {**typed_in((await signed_in.get(page)).text), "reopens": "yes", **typed}
        rig.control.sessions.end(signed_in.cookies["__Host-session"])
        ended = await signed_in.send_form(path, filled)
        assert ended.status_code == 401
        put_away = re.search(r'name="put_away" value="([^"]+)"', ended.text)
        assert put_away
        back = {"token": rig.token, "next": path, "put_away": unescape(put_away[1])}
        resumed = (await signed_in.send_form("/sign-in", back)).text
        assert "Back to the form" in resumed
        pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', resumed)
        fields = {name: unescape(value) for name, value in pairs}
        again = await signed_in.send_form(path, {**fields, "reopen": "yes"})
        assert again.status_code == 200, path
        assert 'value="typed-name"' in again.text
    assert rig.control.changes.get(scope, "services", "s")["host"] == "a.example"
    assert rig.control.changes.count(scope, "services") == 1


def _hidden(page: str) -> dict[str, str]:
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in pairs}


async def _resumed(rig: Rig, browser: Browser, page: str, path: str, more: dict[str, str]) -> Any:
    """What follows the sign-in, where the session ended between a page and the form on it."""
    text = (await browser.get(page)).text
    assert f'action="{path}"' in text
    rig.control.sessions.end(browser.cookies["__Host-session"])
    ended = await browser.send_form(path, {"form_token": _hidden(text)["form_token"], **more})
    assert ended.status_code == 401
    return await browser.send_form("/sign-in", {**_hidden(ended.text), "token": rig.token})


async def test_a_form_without_fields_is_offered_again_and_sent_as_a_form(rig: Rig, signed_in: Browser) -> None:
    scope = _scope(rig)
    row = rig.control.changes.create(scope, ACTOR, "services", {"name": "s", "host": "a.example"})
    title, cert = "c", self_signed("n", days=9, client=True).certificate
    pinned = rig.control.certificates.create(scope, ACTOR, cert, title=title)
    hello = NodeHello("n1", "edge-1", "192.0.2.1", "3.9.0")
    rig.control.nodes.record_reports([NodeReport(scope, "n1", hello=hello)])
    base = rig.plane_path
    service = f"{base}/entities/services/{row['id']}/delete"
    for page, path in (
        (service, service),
        (f"{base}/node-certificates", f"{base}/node-certificates/{pinned.id}/revoke"),
        (f"{base}/nodes/n1", f"{base}/nodes/n1/delete"),
    ):
        resumed = await _resumed(rig, signed_in, page, path, {})
        assert (resumed.status_code, "Back to the form" in resumed.text) == (200, False)
        assert f'<form method="post" action="{path}">' in resumed.text
        assert "Send it now" in resumed.text
        assert (await signed_in.send_form(path, _hidden(resumed.text))).status_code == 303, path
    assert rig.control.changes.count(scope, "services") == 0
    assert not rig.control.certificates.list(scope)
    assert not rig.control.nodes.list(scope)


async def test_a_sign_out_after_the_session_ended_leads_home(rig: Rig, signed_in: Browser) -> None:
    resumed = await _resumed(rig, signed_in, "/us/control-planes", "/sign-out", {})
    assert (resumed.status_code, resumed.headers["location"]) == (303, "/")


async def test_a_large_form_is_kept_over_a_sign_in(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/node-certificates"
    text = " +\n" * 200_000
    resumed = await _resumed(rig, signed_in, path, path, {"title": "kept", "cert": text})
    assert resumed.status_code == 200
    assert _hidden(resumed.text)["cert"] == text


def test_order_counts_in_lists_and_not_in_sets() -> None:
    shape = entity_types()["routes"].shape
    now = texts_of(shape, {"paths": ["/a", "/b"], "tags": ["x", "y"], "sources": [{"ip": "192.0.2.1"}]})
    seen = seen_of(now, shape)
    assert not is_stale(seen, {**now, "tags": "y\nx", "name": " "}, shape)
    assert is_stale(seen, {**now, "paths": "/b\n/a"}, shape)
    theirs = {**now, "sources.0.ip": "192.0.2.2", "sources.1": "1", "sources.1.ip": "192.0.2.3"}
    texts, found = merge(now, theirs, theirs, seen, shape)
    assert [(one.field, one.is_conflict) for one in found] == [("sources", False)]
    assert texts["sources.1.ip"] == "192.0.2.3"
    for forged in ("", "[]", "{", '{"paths": 1}'):
        assert is_stale(forged, now, shape)
