"""The console over a real control room and a real event store, asked as a browser asks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from twinplane.audit.accesses import Accesses
from twinplane.control import Control, ControlSettings
from twinplane.control.analytics import Analytics, Retention
from twinplane.control.audit import AuditNote
from twinplane.hybrid.hashing import config_hash
from twinplane.settings.host_names import HostNames
from twinplane.store.events import EventStore, EventStoreSettings
from twinplane.web import console

DOMAIN = "example.test"
BASE = f"https://cloud.{DOMAIN}"


@dataclass
class Rig:
    """One installation of one region behind its pages."""

    control: Control
    analytics: Analytics
    app: console.App
    token: str
    notes: list[AuditNote]

    @property
    def plane_path(self) -> str:
        """The path of the control plane `default`."""
        organization = self.control.organizations.first()
        return f"/us/control-planes/{self.control.control_planes.default(organization.id, 'us').id}"


class Browser(httpx.AsyncClient):
    """A browser with cookies, that follows no redirect unless told, and sends forms of its own site."""

    async def sign_in(self, token: str) -> httpx.Response:
        """Begin a session."""
        return await self.send_form("/sign-in", {"token": token})

    async def send_form(self, path: str, fields: dict[str, Any], **more: Any) -> httpx.Response:
        """Post a form as it is; see `fill` for one that a page gave out."""
        headers = {"Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        return await self.post(path, data=fields, headers=headers, **more)

    async def fill(self, page: str, path: str, fields: dict[str, Any]) -> httpx.Response:
        """Open a page and send a form with the token that the page holds."""
        text = (await self.get(page)).text
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', text)
        assert found is not None, text[:500]
        return await self.send_form(path, {**fields, "form_token": found[1]})


def typed_in(page: str) -> dict[str, str]:
    """What a browser would send of a form as it stands."""
    found: dict[str, str] = {}
    for name, value in re.findall(r'<input [^>]*name="(v\.[^"]+|seen|form_token)"[^>]* value="([^"]*)"', page):
        found[name] = unescape(value)
    for name in set(re.findall(r'<input type="checkbox"[^>]*name="(v\.[^"]+)"', page)):
        ticked = re.findall(rf'<input type="checkbox"[^>]*name="{re.escape(name)}" value="([^"]*)" checked', page)
        found[name] = "\n".join(map(unescape, ticked))
    for name, value in re.findall(r'<textarea [^>]*name="(v\.[^"]+)"[^>]*>([^<]*)</textarea>', page):
        found[name] = unescape(value)
    for name, options in re.findall(r'<select [^>]*name="(v\.[^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        found[name] = unescape(chosen[1]) if chosen else ""
    return found


async def _rest(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"the rest"})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    control = Control.open(tmp_path, settings=ControlSettings(domain=DOMAIN, regions=("us",)), config_hash=config_hash)
    token = control.tokens.ensure_first()
    assert token is not None
    analytics = Analytics(EventStore(tmp_path / "events.duckdb", EventStoreSettings()), Retention())
    rooms = {"us": console.Room(control, analytics)}
    notes: list[AuditNote] = []
    accesses = Accesses(lambda note: not notes.append(note), control.organizations.first().id)
    app = console.create_app(rooms, control.sessions, HostNames((DOMAIN,)), _rest, accesses=accesses, threads=2)
    yield Rig(control, analytics, app, token, notes)
    app.end_streams()
    app.close()
    analytics.close()
    control.close()


@pytest.fixture
async def browser(rig: Rig) -> AsyncIterator[Browser]:
    async with Browser(transport=httpx.ASGITransport(rig.app), base_url=BASE) as found:
        yield found


@pytest.fixture
async def signed_in(rig: Rig, browser: Browser) -> Browser:
    assert (await browser.sign_in(rig.token)).status_code == 303
    return browser
