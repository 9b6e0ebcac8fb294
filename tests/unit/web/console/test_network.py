"""The network page: hosts, ports, what must be let through, addresses, and the audit port as it is."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.web.console.conftest import BASE, DOMAIN, Browser, Rig

from twinplane.settings.host_names import HostNames
from twinplane.web import console


async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def with_audit_port(rig: Rig) -> Iterator[console.App]:
    """The same rooms as those of the rig, with an audit port, and addresses that are published."""
    state = console.AuditPort(18071, 3, 12_345, 7, 2)
    rooms = {"us": console.Room(rig.control, rig.analytics, lambda: state)}
    published = rig.control.addresses.published
    app = console.create_app(rooms, rig.control.sessions, HostNames((DOMAIN,)), _nothing, published=published)
    yield app
    app.end_streams()
    app.close()


async def test_hosts_ports_and_allow_list(signed_in: Browser, tmp_path: Path) -> None:
    page = unescape((await signed_in.get("/us/network")).text)
    for text in (
        "*.us.cp0.example.test",
        "us.kic.api.example.test",
        "ip-addresses.origin.example.test/ip-addresses.json",
    ):
        assert text in page
    assert "It is off" in page
    assert "None are published" in page
    assert "configuration of nodes" in page.partition("Allow list")[2]
    rules = (await signed_in.get("/us/network/allowlist.json")).json()["rules"]
    assert {"*.us.cp0.example.test", "*.us.tp0.example.test", "us.api.example.test"} <= {one["host"] for one in rules}
    assert {one["port"] for one in rules} == {443, 8000, 8443}
    assert (await signed_in.get("/xx/network")).status_code == 404
    assert (await signed_in.get("/xx/network/allowlist.json")).status_code == 404


async def test_the_audit_port_and_the_addresses_are_those_of_now(rig: Rig, with_audit_port: console.App) -> None:
    async with Browser(transport=httpx.ASGITransport(with_audit_port), base_url=BASE) as browser:
        await browser.sign_in(rig.token)
        page = (await browser.get("/us/network")).text
        assert all(text in page for text in ("18071", "12,345", "Lines that never came"))
        assert "It is off" not in page
        rules = (await browser.get("/us/network/allowlist.json")).json()["rules"]
        assert {one["transport"] for one in rules if one["port"] == 18071} == {"TCP", "UDP"}
        rig.control.addresses.publish(ingress={"us": ["192.0.2.0/24"]}, egress={"us": ["198.51.100.7/32"]})
        page = (await browser.get("/us/network")).text
        assert all(text in page for text in ("192.0.2.0/24", "198.51.100.7/32", "Calls come from, us"))
