"""The pages of nodes and their certificates: what is wrong, a way to a new one, and no key kept."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor, NodeHello, NodeIssue, NodePing, NodeReport
from twinplane.control.analytics import RECORD_COLUMNS, Batch, Source
from twinplane.hybrid.chain import verify_chain
from twinplane.node.authority import self_signed
from twinplane.web.console.nodes.advice import advice
from twinplane.web.console.nodes.page import PAGE_SIZE, PING_STEP_S
from twinplane.web.console.once import KEPT_MAX, Once

SCRIPT = "<script>alert(1)</script>"
ACTOR = Actor("user", "tester", "tester")
NODE = "6f1f6d54-3f0e-4d2c-9a55-0d5f6f3c8f01"


def _scope(rig: Rig) -> Any:
    organization = rig.control.organizations.first()
    return rig.control.control_planes.default(organization.id, "us").scope


def _report(rig: Rig, **more: Any) -> None:
    hello = NodeHello(NODE, "edge-1", "127.0.0.1", "3.8.1", labels={"env": "prod"}, **more.pop("hello", {}))
    rig.control.nodes.record_reports([NodeReport(_scope(rig), NODE, hello=hello, **more)])


def _kept(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


async def test_an_empty_list_says_what_to_do(rig: Rig, signed_in: Browser) -> None:
    page = (await signed_in.get(f"{rig.plane_path}/nodes")).text
    assert "No node yet" in page
    assert "/nodes/new" in page


async def test_a_node_shows_what_it_runs_and_what_it_cannot_do(rig: Rig, signed_in: Browser) -> None:
    expected = rig.control.nodes.expected_hash(_scope(rig)).hash
    issue = NodeIssue("P101", "warning", SCRIPT, "upgrade the node", affected_resources=[{"id": "x", "type": "plugin"}])
    _report(rig, ping=NodePing("a" * 32, 1, "e"), issues=(issue,))
    page = (await signed_in.get(f"{rig.plane_path}/nodes")).text
    assert all(text in page for text in ("edge-1", "Connected", "Out of sync", "1 issue", "3.8.1"))
    assert "Nodes with issues" in (await signed_in.get(rig.plane_path)).text
    page = (await signed_in.get(f"{rig.plane_path}/nodes/{NODE}")).text
    assert "Upgrade the node" in page
    assert SCRIPT not in page
    _report(rig, ping=NodePing(expected, 1, "e"), issues=())
    assert "In sync" in (await signed_in.get(f"{rig.plane_path}/nodes")).text
    forgotten = await signed_in.fill(f"{rig.plane_path}/nodes/{NODE}", f"{rig.plane_path}/nodes/{NODE}/delete", {})
    assert forgotten.status_code == 303
    assert (await signed_in.get(f"{rig.plane_path}/nodes/{NODE}")).status_code == 404


async def test_where_authorities_vouch_a_new_node_gets_one(rig: Rig, signed_in: Browser) -> None:
    """What the page hands out is let in: by an authority of its own, that is no node itself."""
    fields = {"name": "with-pki", "auth_type": "pki_client_certs"}
    plane = rig.control.control_planes.create(rig.control.organizations.first().id, "us", ACTOR, fields)
    path = f"/us/control-planes/{plane.id}/nodes/new"
    page = unescape((await signed_in.fill(path, path, {"title": "eu-1"})).text)
    (authority,) = rig.control.certificates.list(plane.scope)
    shown = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", page, re.DOTALL)
    assert shown is not None
    assert authority.cert.strip() != shown[0].strip()
    der = ssl.PEM_cert_to_DER_cert(shown[0])
    assert verify_chain(der, [], [authority.cert], now=time.time())
    waiting = re.search(r'src="([^"]*/waiting)"', page)
    assert waiting is not None
    assert "Waiting for the node" in (await signed_in.get(waiting[1])).text
    hello = NodeHello(NODE, "edge-1", "127.0.0.1", "3.9.3")
    rig.control.nodes.record_reports([NodeReport(plane.scope, NODE, hello=hello)])
    assert "edge-1" in (await signed_in.get(waiting[1])).text
    # The page of certificates must not say that no node uses an authority: it does not know.
    rig.control.certificates.create(plane.scope, ACTOR, self_signed("later", days=5000, client=True).certificate)
    listed = (await signed_in.get(f"/us/control-planes/{plane.id}/node-certificates?renew={authority.id}")).text
    assert "No node uses" not in listed
    assert "Revoke the old one" not in listed
    assert "not known of an authority" in listed


async def test_a_new_node_gets_a_pinned_certificate_and_the_exact_words(
    rig: Rig, signed_in: Browser, tmp_path: Path
) -> None:
    path = f"{rig.plane_path}/nodes/new"
    answer = await signed_in.fill(path, path, {"title": "eu-1"})
    assert answer.status_code == 200
    page = unescape(answer.text)
    plane = rig.control.control_planes.default(rig.control.organizations.first().id, "us")
    host = plane.control_plane_endpoint.removeprefix("https://")
    for line in (
        f"cluster_control_plane = {host}",
        f"cluster_server_name = {host.partition(':')[0]}",
        "konnect_mode = on",
    ):
        assert line in page, line
    for place in ("Linux", "Docker", "Kubernetes", "macOS", "AWS", "Azure"):
        assert f"<summary>{place}</summary>" in page
    (pinned,) = rig.control.certificates.list(plane.scope)
    assert pinned.title == "eu-1"
    assert pinned.cert.strip() in page
    key = re.search(r"-----BEGIN PRIVATE KEY-----\n(.*?)\n-----END", page, re.DOTALL)
    assert key
    kept = _kept(tmp_path)
    assert key[1].splitlines()[0].encode() not in kept
    waiting = f"{rig.plane_path}/nodes/new/{pinned.id}/waiting"
    assert "Waiting for the node" in (await signed_in.get(waiting)).text
    assert 'aria-live="polite"' in page, "somebody waits for it"
    assert 'aria-live="polite"' not in (await signed_in.get(f"{rig.plane_path}/nodes")).text
    _report(rig, hello={"certificate_id": pinned.id}, ping=NodePing("a" * 32, 1, "e"))
    assert "edge-1 is connected" in (await signed_in.get(waiting)).text


async def test_a_form_that_is_sent_twice_makes_one_certificate(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/nodes/new"

    async def form() -> dict[str, str]:
        page = (await signed_in.get(path)).text
        return dict(re.findall(r'<input type="hidden" name="(form_token|nonce)" value="([^"]*)"', page))

    typed = {**await form(), "title": "eu-1"}
    first, second = await asyncio.gather(*(signed_in.send_form(path, typed) for _ in range(2)))
    if first.status_code != 200:
        first, second = second, first
    assert (first.status_code, second.status_code) == (200, 409)
    assert "PRIVATE KEY" in first.text
    assert "PRIVATE KEY" not in second.text
    assert "sent already" in second.text
    assert f'href="{rig.plane_path}/node-certificates"' in second.text
    assert len(rig.control.certificates.list(_scope(rig))) == 1
    refused = {**await form(), "title": "x" * 10_000}
    assert [(await signed_in.send_form(path, refused)).status_code for _ in range(2)] == [400, 400]
    assert (await signed_in.send_form(path, {**refused, "title": "eu-2"})).status_code == 200
    assert len(rig.control.certificates.list(_scope(rig))) == 2


def test_what_was_sent_is_remembered_within_a_bound() -> None:
    once = Once()
    assert [once.take("s", "a"), once.take("s", "a"), once.take("t", "a")] == [True, False, True]
    once.give_back("s", "a")
    assert once.take("s", "a")
    assert all(once.take("s", f"n{place}") for place in range(KEPT_MAX))
    assert once.take("s", "a")
    assert once.take("s", "")
    assert once.take("s", "")


async def test_certificates_are_added_warned_about_and_revoked(rig: Rig, signed_in: Browser) -> None:
    path = f"{rig.plane_path}/node-certificates"
    good, short = self_signed("n", days=400, client=True), self_signed("n", days=9, client=True)
    for identity in (good, short):
        answer = await signed_in.fill(path, path, {"cert": identity.certificate, "title": SCRIPT})
        assert answer.status_code == 303
    page = (await signed_in.get(path)).text
    assert SCRIPT not in page
    assert "Ends soon" in page
    assert "about to expire" in (await signed_in.get(rig.plane_path)).text
    again = await signed_in.fill(path, path, {"cert": good.certificate})
    assert (again.status_code, "is there already" in again.text) == (400, True)
    wrong = await signed_in.fill(path, path, {"cert": "no certificate", "title": "kept"})
    assert (wrong.status_code, 'value="kept"' in wrong.text) == (400, True)
    first = rig.control.certificates.list(_scope(rig))[0]
    assert (await signed_in.fill(path, f"{path}/{first.id}/revoke", {})).status_code == 303
    assert len(rig.control.certificates.list(_scope(rig))) == 1


@pytest.mark.parametrize("path", ["nodes/unknown", "nodes/new/unknown/waiting", "traffic/requests/unknown"])
async def test_what_is_not_there(rig: Rig, signed_in: Browser, path: str) -> None:
    answer = await signed_in.get(f"{rig.plane_path}/{path}")
    assert answer.status_code == (200 if path.endswith("waiting") else 404)


async def test_late_and_lost_telemetry_is_told_with_what_to_do(rig: Rig, signed_in: Browser) -> None:
    expected = rig.control.nodes.expected_hash(_scope(rig)).hash
    _report(rig, ping=NodePing(expected, 1, "e"))
    nodes, one = f"{rig.plane_path}/nodes", f"{rig.plane_path}/nodes/{NODE}"
    assert "Came last</dt><dd><span" in (await signed_in.get(one)).text, "never"

    def deliver(number: int, ago_s: float, lost: int) -> None:
        row = dict.fromkeys(RECORD_COLUMNS) | {"request_start_us": int((time.time() - ago_s) * 1e6)}
        source = Source(_scope(rig).control_plane_id, NODE, "3.9.3", "boot", number, "origin", lost)
        rig.analytics.add_records(Batch(source, [[value] for value in row.values()]))

    deliver(1, 0.0, 0)
    assert "late" not in (await signed_in.get(nodes)).text
    assert "Telemetry is late" not in (await signed_in.get(rig.plane_path)).text
    deliver(2, 600.0, 33)
    page = (await signed_in.get(nodes)).text
    assert "10 min late" in page
    assert '<td class="number extra">33</td>' in page
    overview = (await signed_in.get(rig.plane_path)).text
    assert "Telemetry is late" in overview
    assert "Telemetry was lost" in overview
    assert f'href="{one}"' in overview, "where it is one node, its page"
    page = (await signed_in.get(one)).text
    assert "Its telemetry is late" in page
    assert "Telemetry was lost within a day" in page


async def test_many_nodes_are_paged_with_the_troubled_ones_first(rig: Rig, signed_in: Browser) -> None:
    expected = rig.control.nodes.expected_hash(_scope(rig)).hash
    reports = []
    for number in range(PAGE_SIZE + 3):
        ping = NodePing("a" * 32 if number > PAGE_SIZE else expected, 1, "e")
        hello = NodeHello(f"n{number}", f"edge-{number:03}", "192.0.2.1", "3.9.3")
        reports.append(NodeReport(_scope(rig), hello.id, hello=hello, ping=ping))
    rig.control.nodes.record_reports(reports)

    async def names(query: str) -> tuple[str, list[str]]:
        page = (await signed_in.get(f"{rig.plane_path}/nodes{query}")).text
        return page, re.findall(r">(edge-\d+)</a>", page)

    page, first = await names("")
    assert first == ["edge-051", "edge-052", *(f"edge-{number:03}" for number in range(PAGE_SIZE - 2))]
    assert "Page 1 of 2, 53 nodes" in page
    assert f'href="{rig.plane_path}/nodes?page=2">Next' in page
    page, second = await names("?page=2")
    assert second == ["edge-048", "edge-049", "edge-050"]
    assert f'src="{rig.plane_path}/nodes?page=2" events="{rig.plane_path}/nodes/events?page=2"' in page
    assert f'href="{rig.plane_path}/nodes?page=1">Previous' in page
    for odd, shown in (("99", second), ("-1", first), ("0", first), ("x", first), ("9" * 40, first)):
        assert (await names(f"?page={odd}"))[1] == shown, odd


async def test_a_live_page_of_nodes_keeps_ping_and_losses_current(
    rig: Rig, signed_in: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stream sees what its page shows of a node, in steps that let a node rest."""
    looks: list[Any] = []
    monkeypatch.setattr(rig.app._console.live, "stream", lambda look: looks.append(look) or Response("seen"))
    _report(rig, ping=NodePing("a" * 32, 1, "e"))
    for path in ("/events", f"/{NODE}/events"):
        assert (await signed_in.get(f"{rig.plane_path}/nodes{path}")).text == "seen"
    assert (
        f'events="{rig.plane_path}/nodes/{NODE}/events"' in (await signed_in.get(f"{rig.plane_path}/nodes/{NODE}")).text
    )
    node = rig.control.nodes.get(_scope(rig), NODE)
    started = node.last_ping // PING_STEP_S * PING_STEP_S

    async def seen() -> list[bytes]:
        return [await look() for look in looks]

    def ping(after_s: float) -> None:
        moved = [replace(node, last_ping=started + after_s)]
        monkeypatch.setattr(rig.control.nodes, "list", lambda scope: moved)

    ping(1)
    first = await seen()
    ping(PING_STEP_S - 1)
    assert await seen() == first, "no ping alone is worth a page"
    ping(PING_STEP_S + 1)
    second = await seen()
    assert all(one != other for one, other in zip(first, second, strict=True))
    row = dict.fromkeys(RECORD_COLUMNS) | {"request_start_us": int(time.time() * 1e6)}
    source = Source(_scope(rig).control_plane_id, NODE, "3.9.3", "boot", 1, "origin", 5)
    rig.analytics.add_records(Batch(source, [[value] for value in row.values()]))
    assert all(one != other for one, other in zip(second, await seen(), strict=True))


@pytest.mark.parametrize(
    ("status", "connected", "synced", "said"),
    [
        ("plugin_set_incompatible", True, False, "Install the plugin"),
        ("kong_version_incompatible", True, False, "Upgrade the node"),
        ("normal", True, False, "newest configuration"),
        ("normal", False, True, "twinplane network check"),
        ("normal", True, True, ""),
    ],
)
def test_whatever_is_wrong_with_a_node_there_is_something_to_do(
    rig: Rig, status: str, *, connected: bool, synced: bool, said: str
) -> None:
    _report(rig, sync_status=status)
    node = rig.control.nodes.get(_scope(rig), NODE)
    found = advice(node, is_connected=connected, is_in_sync=synced, is_late=False, was_lost=False)
    assert bool(found) == bool(said)
    assert all(said in one.text for one in found)


async def test_a_certificate_is_renewed_step_by_step(rig: Rig, signed_in: Browser) -> None:
    path, scope = f"{rig.plane_path}/node-certificates", _scope(rig)
    actor = Actor("user", "u", "u")
    old = rig.control.certificates.create(scope, actor, self_signed("n", days=9, client=True).certificate, title="old")
    _report(rig, hello={"certificate_id": old.id}, ping=NodePing("a" * 32, 1, "e"))
    page = unescape((await signed_in.get(path)).text)
    assert f"{path}?renew={old.id}#renew" in page
    page = (await signed_in.get(path, params={"renew": old.id})).text.partition('id="renew"')[2]
    assert page.count('class="done"') == 0
    assert ">edge-1</a>" in page
    assert "Revoke the old one" not in page
    new = rig.control.certificates.create(scope, actor, self_signed("n", days=400, client=True).certificate)
    page = (await signed_in.get(path, params={"renew": old.id})).text.partition('id="renew"')[2]
    assert page.count('class="done"') == 1
    assert "Revoke the old one" not in page, "a node still uses it"
    _report(rig, hello={"certificate_id": new.id}, ping=NodePing("a" * 32, 1, "e"))
    page = (await signed_in.get(path, params={"renew": old.id})).text.partition('id="renew"')[2]
    assert page.count('class="done"') == 2
    assert f'action="{path}/{old.id}/revoke"' in page
    assert (await signed_in.fill(path, f"{path}/{old.id}/revoke", {})).status_code == 303
    assert [one.id for one in rig.control.certificates.list(scope)] == [new.id]
    assert (await signed_in.get(path, params={"renew": old.id})).status_code == 200
