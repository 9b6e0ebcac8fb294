"""The Admin API of a node without control plane: every path, and one request through it. Knows no server."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from twinplane.api.admin.dbless.config import Configuration
from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.admin.dbless.guard import Admission, Guard
from twinplane.api.admin.dbless.health import TargetHealth
from twinplane.api.admin.dbless.information import NodeInformation
from twinplane.api.admin.dbless.kept_answers import KeptAnswers
from twinplane.api.admin.entity_paths import add_admin_entities, add_filters
from twinplane.api.admin.tags import Tags
from twinplane.api.admin.upstreams import Targets
from twinplane.api.core.dispatch import Dispatcher
from twinplane.api.core.entity import Rules
from twinplane.api.core.face import EntityFace
from twinplane.api.core.message import Answer, Headers, Request, Site
from twinplane.api.core.schema_endpoints import SchemaEndpoints
from twinplane.api.core.source import Source
from twinplane.api.core.workers import Workers
from twinplane.control import Actor, Scope
from twinplane.control.declarative.entities import DeclaredEntities
from twinplane.control.declarative.room import DeclaredRoom
from twinplane.hybrid.client import Outcome
from twinplane.registry import RouterFlavor

_ACTOR: Final = Actor("admin-api", "admin-api", "Admin API")
_THREADS: Final = 4
_WAITING_MAX: Final = 64


class _OwnEntities:
    """The entities of the node, as entity endpoints ask for them."""

    def __init__(self, room: DeclaredRoom) -> None:
        self.changes = room

    def router_flavor(self, _scope: Scope) -> RouterFlavor:
        """How routes are written."""
        return self.changes.entities.flavor


class DblessApp:
    """Answers whole requests."""

    def __init__(
        self, door: NodeDoor, entities: DeclaredEntities, admission: Admission, *, body_bytes_max: int
    ) -> None:
        room = DeclaredRoom(entities)
        self._guard = Guard(admission)
        self._site = Site(room.scope, _ACTOR)
        self._config = Configuration(door, room)
        self._workers = Workers(threads=_THREADS, waiting_max=_WAITING_MAX)
        dispatcher = _paths(door, room, self._config)
        self._face = EntityFace(dispatcher, self._workers, body_bytes_max=body_bytes_max)

    def admit(self, admission: Admission) -> None:
        """Ask something else of callers from the next request on."""
        self._guard = Guard(admission)

    def refuse(self, request: Request) -> Answer | None:
        """The refusal of a request, by its head; None where it is let in."""
        return self._guard.refuse(request)

    def replacing(self, entities: DeclaredEntities, serve: Callable[[], Outcome]) -> Outcome:
        """Show another configuration, which did not come this way, where `serve` has it served. Blocks."""
        return self._config.replacing(entities, serve)

    def close(self) -> None:
        """End the worker threads."""
        self._workers.close()

    async def answer(self, request: Request) -> Answer:
        """The answer to a request that was let in, with all its headers."""
        started = time.perf_counter()

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": request.body}

        served = await self._face.serve(request, request.path, receive, self._site)
        answer = served.answer
        more: Headers = () if answer.closes else self._guard.headers(request)
        if request.method == "OPTIONS" and served.allow is not None:
            more = (*more, *self._guard.preflight(request, served.allow))
        latency_ms = int((time.perf_counter() - started) * 1000)
        more = (*more, (b"x-kong-admin-latency", b"%d" % latency_ms))
        return Answer(answer.status, answer.body, (*answer.headers, *more), closes=answer.closes)


def _paths(door: NodeDoor, room: DeclaredRoom, config: Configuration) -> Dispatcher:
    dispatcher = Dispatcher()
    source: Source = _OwnEntities(room)
    rules = Rules(always_names_absent=True)
    information = NodeInformation(door, room, dispatcher.templates)
    targets = Targets(source, door.node_id)
    checks = SchemaEndpoints(source, rules=rules, validated_status=200)
    # Health first: who claims a path first keeps it, and here there is a balancer to ask.
    for part in (information, config, TargetHealth(door, room), KeptAnswers(door, room), Tags(source), targets, checks):
        for path, handlers in part.paths().items():
            dispatcher.add(path, handlers)
    dispatcher.add("/plugins/schema/{name}", {"GET": checks.plugin})
    add_filters(dispatcher)
    add_admin_entities(dispatcher, source, rules, targets)
    return dispatcher
