"""What every handler of this face is handed: the control room, the worker threads, who asks, and from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from fastapi import Request

from twinplane.api.core.message import Query
from twinplane.api.core.workers import Workers
from twinplane.api.konnect.errors import Problem
from twinplane.control import Control, ControlPlane, Principal
from twinplane.settings.network import GLOBAL

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Services:
    """What the application holds for all requests."""

    control: Control
    workers: Workers
    audit_counters: Callable[[], Mapping[str, Any]] | None = None
    """How the keeping of audit records fares; None where none are kept by this process."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and which region the host names (None: not told)."""

    principal: Principal
    region: str | None


@dataclass(frozen=True, slots=True)
class Context:
    """One request's context."""

    services: Services
    asker: Asker
    query: Query
    path: str

    @property
    def control(self) -> Control:
        """The use cases."""
        return self.services.control

    @property
    def organization_id(self) -> str:
        """The asker's organization."""
        return self.asker.principal.organization_id

    async def run(self, call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a use case in a worker thread."""
        return await self.services.workers.run(call, *args, **kwargs)

    @property
    def region(self) -> str:
        """The region asked for; the first one where the host does not tell."""
        return region_of(self.services.control, self.asker.region)

    @property
    def home_region(self) -> str:
        """The region that people of this place are taken to be at home in."""
        settings = self.services.control.settings
        return (settings.regions or settings.installation_regions)[0]

    async def control_plane(self, control_plane_id: str) -> ControlPlane:
        """A control plane of the asker's organization. Raises NotFound."""
        planes = self.control.control_planes
        return await self.run(planes.get, self.organization_id, self.region, control_plane_id)


def region_of(control: Control, asked: str | None) -> str:
    """The region of a request; where one region is all there is, global and bare hosts stand for it."""
    regions = control.settings.regions
    if not regions:
        domain = control.settings.domain
        raise Problem(404, f"This is data of a region: ask a host such as [{{region}}.api.{domain}], which names one")
    if asked is None or (asked == GLOBAL and not control.settings.installation_regions):
        return regions[0]
    if asked not in regions:
        raise Problem(404, f"Region [{asked}] is not served here")
    return asked


async def read_context(request: Request) -> Context:
    """The context that the front of this face left with the request."""
    return Context(
        request.app.state.services,
        request.scope["twinplane.asker"],
        Query(request.scope.get("query_string", b"")),
        request.url.path,
    )
