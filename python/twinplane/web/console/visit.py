"""One request to the console: who asks, where they are, what they sent; and how a page is answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from twinplane.api.core.workers import Workers
from twinplane.audit.accesses import Access, Accesses
from twinplane.control import Actor, Control, ControlPlane
from twinplane.control.addresses import PublishedAddresses
from twinplane.control.analytics import Analytics, EventStoreFailed, QueryTooLong
from twinplane.control.errors import NotFound
from twinplane.control.sessions import Session, Sessions
from twinplane.settings.network import ControlPlaneType
from twinplane.web.console.errors import PageError
from twinplane.web.console.forms import Form
from twinplane.web.console.live import LiveStreams
from twinplane.web.console.menu import MENU, Group
from twinplane.web.console.once import Once
from twinplane.web.console.place import Place

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")

SAID: Mapping[str, str] = {
    "created": "Created.",
    "saved": "Saved.",
    "deleted": "Deleted.",
    "unchanged": "Nothing was changed.",
    "signed-in": "You are signed in.",
}
"""What a page may say about what was done before it; `?said=` carries the key, never a text."""


@dataclass(frozen=True, slots=True)
class AuditPort:
    """The port for audit lines of nodes: where it is, and how it fares."""

    port: int
    connections: int
    received: int
    dropped: int
    lost: int


def _no_audit_port() -> AuditPort | None:
    return None


@dataclass(frozen=True)
class Room:
    """What one region holds. `audit_port` tells, when asked, of the port for audit lines; None where it is off."""

    control: Control
    analytics: Analytics
    audit_port: Callable[[], AuditPort | None] = _no_audit_port


@dataclass(frozen=True)
class Console:
    """What all pages share: the regions, who is signed in, and the PEM that nodes verify this platform with, if any."""

    rooms: Mapping[str, Room]
    sessions: Sessions
    authority: Callable[[], str]
    workers: Workers
    templates: Environment
    live: LiveStreams
    accesses: Accesses | None
    published: Callable[[], PublishedAddresses] | None = None
    once: Once = field(default_factory=Once)


@dataclass
class Visit:
    """One request of one person. `session` is None on the few pages that need no sign-in."""

    console: Console
    request: Request
    access: Access
    session: Session | None
    form: Form = field(default_factory=lambda: Form([]))
    crumbs: list[Place] = field(default_factory=list)
    control_plane: ControlPlane | None = None
    section: str = ""
    is_unmeasured: bool = False

    @property
    def control(self) -> Control:
        """Every use case of the region in the path."""
        return self.room.control

    @property
    def analytics(self) -> Analytics:
        """What the nodes of the region in the path measured."""
        return self.room.analytics

    @property
    def room(self) -> Room:
        """The region in the path. Raises PageError where this installation has none of that name."""
        found = self.console.rooms.get(self.region)
        if found is None:
            raise PageError(404, "Not found", f"This installation has no region {self.region[:20]!r}.")
        return found

    @property
    def person(self) -> Session:
        """Who is signed in."""
        if self.session is None:
            raise PageError(401, "Sign in", "This page needs a sign-in.", ("/sign-in", "Sign in"))
        return self.session

    @property
    def actor(self) -> Actor:
        """Who changes something, as history and audit tell it."""
        return self.access.by(self.person.principal.actor)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that this installation serves."""
        return tuple(self.console.rooms)

    @property
    def is_reopened(self) -> bool:
        """Whether a form is to be shown again as it was filled in, and nothing be done: after a sign-in."""
        return self.form.get("reopen") == "yes"

    @property
    def region(self) -> str:
        """The region in the path; the first one where the path names none."""
        return str(self.request.path_params.get("region") or self.regions[0])

    async def run(self, call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a blocking call in a thread."""
        return await self.console.workers.run(call, *args, **kwargs)

    async def measured(self, call: Callable[_P, _R], default: _R, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a call of `analytics`; where telemetry cannot be read now, the page does without, and says so."""
        try:
            return await self.run(call, *args, **kwargs)
        except (EventStoreFailed, QueryTooLong) as error:
            _log.warning("telemetry_not_read path=%s detail=%s", self.request.url.path[:200], error)
            self.is_unmeasured = True
            return default

    async def enter(self) -> ControlPlane:
        """The control plane of the path, which the page is then about. Raises PageError."""
        region = self.region
        wanted = str(self.request.path_params["control_plane"])
        planes = f"/{region}/control-planes"
        try:
            found = await self.run(
                self.control.control_planes.get, self.person.principal.organization_id, region, wanted
            )
        except NotFound:
            text = "It does not exist in this region, or it was deleted."
            raise PageError(404, "No such control plane", text, (planes, "Control planes")) from None
        self.control_plane = found
        self.crumbs = [Place("Control planes", planes), Place(found.name, f"{planes}/{found.id}")]
        return found

    @property
    def is_kic(self) -> bool:
        """Whether an ingress controller owns the configuration of the control plane that the page is about."""
        return self.control_plane is not None and self.control_plane.cluster_type == ControlPlaneType.KIC.value

    @property
    def base(self) -> str:
        """The path of the control plane that the page is about."""
        assert self.control_plane is not None
        return f"/{self.region}/control-planes/{self.control_plane.id}"

    def at(self, name: str, path: str = "") -> None:
        """Add a crumb; the last one is the page itself."""
        self.crumbs.append(Place(name, path))

    def menu(self) -> tuple[Group, ...]:
        """The sections of the control plane."""
        return MENU

    def query(self, **changes: str | None) -> str:
        """This page's address with some arguments changed; None takes one away."""
        kept = {name: value for name, value in self.request.query_params.items() if name not in ("said", *changes)}
        kept.update({name: value for name, value in changes.items() if value})
        return f"{self.request.url.path}?{urlencode(kept)}" if kept else self.request.url.path

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page, or a part of one where the template is a part."""
        said = SAID.get(self.request.query_params.get("said", ""), "")
        text = self.console.templates.get_template(template).render(
            visit=self,
            plane=self.control_plane,
            form_token=self.session.form_token if self.session else "",
            theme=self.request.cookies.get("theme", ""),
            said=said,
            now=time.time(),
            **values,
        )
        return HTMLResponse(text, status)

    def go(self, path: str, *, said: str = "") -> Response:
        """Send the browser on, after something was done."""
        return RedirectResponse(f"{path}?said={said}" if said else path, 303)
