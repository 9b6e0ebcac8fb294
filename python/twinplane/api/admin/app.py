"""The Admin API of one control plane as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import Collection, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from twinplane import __version__
from twinplane.api.admin.entity_paths import add_admin_entities, add_filters
from twinplane.api.admin.information import Information
from twinplane.api.admin.nodes import ClusterNodes, Measures
from twinplane.api.admin.origins import Origins
from twinplane.api.admin.tags import Tags
from twinplane.api.admin.upstreams import Targets
from twinplane.api.core.dispatch import Dispatcher
from twinplane.api.core.entity import Rules
from twinplane.api.core.face import BODY_BYTES_MAX, EntityFace, Receive, Send, read_request, send_answer
from twinplane.api.core.message import Headers, Request, Site
from twinplane.api.core.schema_endpoints import SchemaEndpoints
from twinplane.api.core.watched import Watched
from twinplane.api.core.workers import Workers
from twinplane.audit.accesses import Access, Accesses
from twinplane.control import Actor, Scope

if TYPE_CHECKING:
    from twinplane.control import Control

ADMIN_ACTOR: Final = Actor("admin-api", "admin-api", "Admin API")


class App:
    """The ASGI application."""

    def __init__(
        self,
        control: Control,
        scope: Scope,
        *,
        allowed_origins: Collection[str],
        actor: Actor,
        body_bytes_max: int,
        accesses: Accesses | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._accesses = accesses
        self._origins = Origins(allowed_origins)
        self._site = Site(scope, actor)
        self._workers = Workers()
        dispatcher = admin_paths(control, scope, measures)
        self._face = EntityFace(dispatcher, self._workers, body_bytes_max=body_bytes_max)

    def close(self) -> None:
        """End the worker threads."""
        self._workers.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] != "http":
            return
        request = read_request(scope)
        client = scope.get("client")
        access = Access.of(request.method, request.path, client[0] if client else "")
        watched = Watched(send)
        site = replace(self._site, actor=access.by(self._site.actor))
        await self._answer(request, site, receive, watched)
        if self._accesses is not None:
            self._accesses.answered(access, site.scope.organization_id, site.actor, watched.status)

    async def _answer(self, request: Request, site: Site, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        refusal = self._origins.refuse(request)
        if refusal is not None:
            await send_answer(send, refusal)
            return
        served = await self._face.serve(request, request.path, receive, site)
        # What ends the connection is told from below the API, where no origin is known (vectors: methods-not-allowed).
        more: Headers = () if served.answer.closes else self._origins.headers(request)
        if request.method == "OPTIONS" and served.allow is not None:
            more = (*more, *self._origins.preflight(request, served.allow))
        latency_ms = int((time.perf_counter() - started) * 1000)
        more = (*more, (b"server", f"twinplane/{__version__}".encode()), (b"x-kong-admin-latency", b"%d" % latency_ms))
        await send_answer(send, served.answer, more=more, head_only=request.method == "HEAD")


def create_app(
    control: Control,
    scope: Scope,
    *,
    allowed_origins: Collection[str] = (),
    actor: Actor = ADMIN_ACTOR,
    body_bytes_max: int = BODY_BYTES_MAX,
    accesses: Accesses | None = None,
    measures: Measures | None = None,
) -> App:
    """The Admin API of one control plane. Asks for no token: serve it on loopback only.

    `accesses` takes note of refused calls; `measures` is what `/metrics` tells beside the nodes.
    """
    return App(
        control,
        scope,
        allowed_origins=allowed_origins,
        actor=actor,
        body_bytes_max=body_bytes_max,
        accesses=accesses,
        measures=measures,
    )


def admin_paths(control: Control, scope: Scope, measures: Measures | None = None) -> Dispatcher:
    """Every path of the Admin API."""
    dispatcher = Dispatcher()
    rules = Rules()
    information = Information(control, scope, dispatcher.templates)
    targets = Targets(control, information.node_id)
    checks = SchemaEndpoints(control, rules=rules, validated_status=200)
    for room in (information, ClusterNodes(control, measures), Tags(control), targets, checks):
        for path, handlers in room.paths().items():
            dispatcher.add(path, handlers)
    dispatcher.add("/plugins/schema/{name}", {"GET": checks.plugin})
    add_filters(dispatcher)
    add_admin_entities(dispatcher, control, rules, targets)
    return dispatcher
