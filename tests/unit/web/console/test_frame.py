"""What holds for every page: who may see it, what a browser is told, what becomes of forms."""

from __future__ import annotations

import re

import pytest
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.web.console.assets import Assets
from twinplane.web.console.sign_in.page import TRIES_MAX
from twinplane.web.console.templates import marked

SCRIPT = "<script>alert(1)</script>"


async def test_what_is_not_the_consoles_goes_on(rig: Rig, browser: Browser) -> None:
    for url in (
        "https://us.api.example.test/v2/control-planes",
        "https://localhost/v2/x",
        "https://cloud.example.test/health",
    ):
        assert (await browser.get(url)).status_code == 418
    assert (await browser.get("https://localhost/sign-in")).status_code == 200
    assert (await browser.get("https://us.api.example.test/sign-in")).status_code == 418


async def test_nobody_sees_a_page_without_signing_in(rig: Rig, browser: Browser) -> None:
    for path in ("/", "/us/control-planes", rig.plane_path, f"{rig.plane_path}/settings", "/components"):
        answer = await browser.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")


async def test_the_cookie_is_out_of_reach(rig: Rig, browser: Browser) -> None:
    answer = await browser.sign_in(rig.token)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    assert "Domain" not in cookie
    assert rig.token not in cookie
    before = browser.cookies["__Host-session"]
    await browser.sign_in(rig.token)
    assert browser.cookies["__Host-session"] != before
    assert rig.control.sessions.find(before) is None, "the old session ends"


async def test_every_answer_keeps_scripts_and_frames_out(rig: Rig, signed_in: Browser) -> None:
    for path in ("/sign-in", "/us/control-planes", "/nowhere", rig.plane_path):
        answer = await signed_in.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=|\sstyle=", answer.text)


async def test_a_wrong_token_is_told_and_many_are_refused(rig: Rig, browser: Browser) -> None:
    for _ in range(TRIES_MAX):
        answer = await browser.sign_in("kpat_wrong")
        assert answer.status_code == 401
        assert "not known here" in answer.text
    answer = await browser.sign_in(rig.token)
    assert answer.status_code == 429
    assert "__Host-session" not in browser.cookies


@pytest.mark.parametrize(
    "wanted", ["//evil.test/", "//[", "https://evil.test/", "/\\evil.test", "javascript:alert(1)", "/a\nb"]
)
async def test_a_sign_in_leads_to_this_site_only(rig: Rig, browser: Browser, wanted: str) -> None:
    answer = await browser.send_form("/sign-in", {"token": rig.token, "next": wanted})
    assert answer.headers["location"] == "/"


async def test_a_form_of_another_site_changes_nothing(rig: Rig, signed_in: Browser) -> None:
    form = {"name": "made", "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE", "auth_type": "pinned_client_certs"}
    answer = await signed_in.send_form("/us/control-planes", form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    answer = await signed_in.post("/us/control-planes", data=form, headers={"Origin": "https://evil.test"})
    assert answer.status_code == 403
    answer = await signed_in.send_form("/us/control-planes", form)
    assert answer.status_code == 401, "without the form's token"
    assert "made" not in (await signed_in.get("/us/control-planes")).text


async def test_what_was_typed_survives_the_end_of_a_session(rig: Rig, signed_in: Browser) -> None:
    page = (await signed_in.get("/us/control-planes/new")).text
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    rig.control.sessions.end(signed_in.cookies["__Host-session"])
    typed = {
        "name": 'kept "name"', "labels": "a: b\nc: d", "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE",
        "auth_type": "pinned_client_certs", "form_token": found[1],
    }  # fmt: skip
    answer = await signed_in.send_form("/us/control-planes", typed)
    assert answer.status_code == 401
    put_away = re.search(r'name="put_away" value="([^"]+)"', answer.text)
    assert put_away
    again = await signed_in.send_form(
        "/sign-in", {"token": rig.token, "next": "/us/control-planes", "put_away": put_away[1].replace("&amp;", "&")}
    )
    assert again.status_code == 200
    assert "kept &#34;name&#34;" in again.text
    assert "nothing was sent yet" in again.text
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', again.text)
    assert token
    made = await signed_in.send_form("/us/control-planes", {**typed, "form_token": token[1]})
    assert made.status_code == 303
    assert "kept" in (await signed_in.get("/us/control-planes")).text


async def test_sign_out_ends_the_session(rig: Rig, signed_in: Browser) -> None:
    secret = signed_in.cookies["__Host-session"]
    answer = await signed_in.fill("/us/control-planes", "/sign-out", {})
    assert answer.headers["location"] == "/sign-in"
    assert rig.control.sessions.find(secret) is None


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 3_000_000, "application/x-www-form-urlencoded", 413),
        (b"a", "application/x-www-form-urlencoded", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"&".join([b"a=1"] * 20_000), "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(signed_in: Browser, body: bytes, kind: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": kind}
    answer = await signed_in.post("/us/control-planes", content=body, headers=headers)
    assert answer.status_code == status


async def test_errors_say_how_to_go_on(rig: Rig, signed_in: Browser) -> None:
    for path, status in (("/nowhere", 404), ("/us/control-planes/unknown", 404), ("/xx/control-planes", 404)):
        answer = await signed_in.get(path)
        assert answer.status_code == status
        assert 'class="button main"' in answer.text
    assert (await signed_in.send_form("/components", {})).status_code == 405


async def test_the_theme_is_kept(signed_in: Browser) -> None:
    await signed_in.fill("/us/control-planes", "/theme", {"theme": "dark", "next": "/us/control-planes"})
    assert 'data-theme="dark"' in (await signed_in.get("/us/control-planes")).text
    assert (await signed_in.fill("/us/control-planes", "/theme", {"theme": SCRIPT})).status_code == 400


async def test_styles_and_scripts_are_small_and_kept(signed_in: Browser) -> None:
    page = (await signed_in.get("/us/control-planes")).text
    weight = 0
    for url in re.findall(r'(?:href|src)="(/assets/[^"]+)"', page):
        answer = await signed_in.get(url, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        weight += int(answer.headers["content-length"])
    assert 0 < weight < 100 * 1024
    assert (await signed_in.get("/assets/x/../../app.py")).status_code == 404
    with pytest.raises(KeyError):
        Assets().url("nowhere.css")


async def test_who_signs_in_is_refused_and_leaves_is_written_down(rig: Rig, browser: Browser) -> None:
    peer = {"Twinplane-Peer": "192.0.2.7:4711"}
    await browser.send_form("/sign-in", {"token": "kpat_wrong"}, headers=peer)
    assert (rig.notes[-1].kind, rig.notes[-1].client_ip) == ("token.refused", "192.0.2.7")
    await browser.send_form("/sign-in", {"token": rig.token}, headers=peer)
    begun = [record for record in rig.control.audit.after(0, limit=100) if record.kind == "session.begun"]
    assert [record.client_ip for record in begun] == ["192.0.2.7"]
    await browser.send_form("/us/control-planes", {"name": "x"}, headers=peer)
    assert rig.notes[-1].kind == "call.refused"
    await browser.fill("/us/control-planes", "/sign-out", {})
    assert any(note.kind == "session.ended" for note in rig.notes)


def test_marks_in_help_become_code_and_nothing_else() -> None:
    assert marked("a first label may be `*`.") == "a first label may be <code>*</code>."
    assert marked("`<b>` and <i>") == "<code>&lt;b&gt;</code> and &lt;i&gt;"
    assert marked("one ` alone <") == "one ` alone &lt;"
