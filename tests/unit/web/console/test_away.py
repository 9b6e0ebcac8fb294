"""What is away shows as away, and the rest works: each store is really taken from under the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor, NodeHello, NodeReport

ACTOR = Actor("user", "tester", "tester")
AWAY = "Telemetry cannot be read now"


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


def _overwrite_databases(directory: Path) -> None:
    (kept,) = [path for path in directory.rglob("*") if path.is_file() and path.read_bytes()[:6] == b"SQLite"]
    for path in (kept, *directory.glob(f"{kept.name}-*")):
        path.write_bytes(b"no database " * 500)


async def test_without_the_store_of_telemetry_all_but_traffic_works(rig: Rig, signed_in: Browser) -> None:
    base = rig.plane_path
    rig.control.nodes.record_reports(
        [NodeReport(_scope(rig), "n1", hello=NodeHello("n1", "edge-1", "192.0.2.1", "3.9.0"))]
    )
    rig.analytics.close()
    for path in ("/us/control-planes", base, f"{base}/nodes", f"{base}/nodes/n1"):
        page = await signed_in.get(path)
        assert (page.status_code, AWAY in page.text) == (200, True), path
    assert "edge-1" in (await signed_in.get(f"{base}/nodes")).text
    for path in (f"{base}/traffic", f"{base}/traffic/requests/r1"):
        page = await signed_in.get(path)
        assert (page.status_code, "Telemetry is away" in page.text) == (503, True), path
        assert f'href="{base}/entities/services"' in page.text, "the menu leads on"
    for path in (f"{base}/entities/services", f"{base}/changes", f"{base}/node-certificates", "/us/network"):
        page = await signed_in.get(path)
        assert (page.status_code, AWAY in page.text) == (200, False), path
    new = f"{base}/entities/consumers"
    made = await signed_in.fill(f"{new}/new", new, {"v.username": "ada"})
    assert made.status_code == 303


async def test_without_the_store_of_configuration_each_page_says_so(
    rig: Rig, signed_in: Browser, tmp_path: Path
) -> None:
    base = rig.plane_path
    rig.control._database._engine.dispose()
    _overwrite_databases(tmp_path)
    for path in (base, f"{base}/entities/services", "/us/control-planes"):
        page = await signed_in.get(path)
        assert page.status_code == 503, path
        assert "The store is away" in page.text
        assert "Nodes go on serving" in page.text
        assert str(tmp_path) not in page.text
        assert "sqlite" not in page.text.lower()


async def test_what_was_typed_is_given_back_where_it_cannot_be_kept(
    rig: Rig, signed_in: Browser, tmp_path: Path
) -> None:
    path = f"{rig.plane_path}/entities/services"
    rig.control._database._engine.dispose()
    _overwrite_databases(tmp_path)
    answer = await signed_in.send_form(path, {"form_token": "t", "v.name": 'long "typed"', "v.host": "h"})
    assert (answer.status_code, "Send it again" in answer.text) == (503, True)
    assert 'name="v.name" value="long &#34;typed&#34;"' in answer.text
    refused = await signed_in.send_form(path, {"v.name": "theirs"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, "theirs" in refused.text) == (403, False)
    secret = await signed_in.send_form("/sign-in", {"token": "kpat_secret"})
    assert (secret.status_code, "kpat_secret" in secret.text) == (503, False)
