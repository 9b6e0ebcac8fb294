"""The Admin API of a node without control plane, as a part of the node: its listeners, and its door to what is served.

The API itself stands above this room and is handed in.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from twinplane import __version__
from twinplane.hybrid.client import Outcome
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.wire import Issue
from twinplane.node.cache import Stored
from twinplane.node.certificates import NodeCertificates
from twinplane.node.conditions import Conditions
from twinplane.node.config import CACHE_UNWRITABLE, Cache, ConfigKeeper
from twinplane.node.declared import DECLARED_REFUSED, DeclaredConfig
from twinplane.node.errors import CacheUnwritable, NodeStartError
from twinplane.node.http import Answered, Handler, HttpAnswer, HttpServer
from twinplane.node.http_request import HttpLimits, HttpRequest
from twinplane.node.served_certificates import served_certificates, server_context
from twinplane.node.sockets import resolved
from twinplane.node.status import StatusApi, StatusCore
from twinplane.node.target_health import TargetHealth
from twinplane.settings import NodeSettings
from twinplane.settings.admin import is_by_default

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities

ADMIN_UNAVAILABLE = "admin_unavailable"
_BODIES_HELD = 4
_BODY_TIMEOUT_S = 60.0
_log = logging.getLogger(__name__)


class AdminCore(StatusCore, Protocol):
    """The part of the core that this room needs."""

    def kept_answers(self, wanted: bytes) -> bytes:
        """Look into what proxy-cache keeps, or forget of it."""


class AdminFace(Protocol):
    """The Admin API."""

    def open(self, door: AdminDoor, entities: DeclaredEntities) -> Handler:
        """Who answers requests, from now on."""

    def refuse(self, request: HttpRequest) -> HttpAnswer | None:
        """The refusal of a request whose body was not read yet, None where it is let in."""

    def replacing(self, entities: DeclaredEntities, serve: Callable[[], Outcome]) -> Outcome:
        """Show another configuration, which was not posted, where `serve` has it served. Blocks."""

    def close(self) -> None:
        """End what runs for it."""


class AdminDoor:
    """What the Admin API may ask of the node. Synchronous; for threads of the API."""

    def __init__(
        self,
        node_id: str,
        *,
        keeper: ConfigKeeper,
        core: AdminCore,
        api: StatusApi,
        settings: Callable[[], NodeSettings],
        posted: Cache | None,
    ) -> None:
        self.node_id = node_id
        self._keeper = keeper
        self._core = core
        self._api = api
        self._settings = settings
        self._posted = posted
        self._health = TargetHealth(core)

    @property
    def is_stopping(self) -> bool:
        """Whether no more configurations are taken."""
        return self._api.is_stopping

    def serve(self, table: bytes, document: bytes) -> tuple[Outcome, Sequence[Issue]]:
        """Serve a table in place of the one before, and keep its document for the next start.

        The answer says what became of it, and what of it is not served as asked.
        """
        found = config_hash(orjson.loads(table))
        outcome, issues = self._keeper.replace(Stored(found, table))
        if outcome.fault is None:
            self._keeper.conditions.clear(DECLARED_REFUSED)
        if outcome.fault is None and self._posted is not None:
            self._keep(Stored(found, document))
        unkept = (issue for issue in self._keeper.conditions.issues() if issue.code == CACHE_UNWRITABLE)
        return outcome, (*issues, *unkept)

    def issues(self) -> Sequence[Issue]:
        """What is not as it should be while the node serves."""
        return self._keeper.applied().issues

    def settings(self) -> Mapping[str, Any]:
        """The settings as they are now, typed as in Kong, secrets masked."""
        return self._settings().typed()

    def status(self, unit: str, scale: str) -> tuple[int, Mapping[str, Any]]:
        """Status code and body of `/status`."""
        return self._api.figures(unit, scale)

    def metrics(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its content type."""
        answer = self._api.metrics()
        return answer.body, answer.content_type

    def workers(self) -> int:
        """How many threads proxy."""
        return int(self._core.status().workers)

    def targets(self, upstream: str) -> list[dict[str, Any]]:
        """The targets of an upstream, by id, with the health of each of their addresses."""
        return self._health.of(upstream)

    def set_health(self, upstream: str, target: str, address: str | None, *, is_healthy: bool) -> bool:
        """Put a target in or out by hand, whole or one address of it. False where there is none such."""
        return self._health.set(upstream, target, address, is_healthy=is_healthy)

    def kept_answer(self, key: str) -> Mapping[str, Any] | None:
        """What proxy-cache keeps under a key, as clients are shown it."""
        found: Mapping[str, Any] | None = orjson.loads(self._core.kept_answers(orjson.dumps({"find": key})))
        return found

    def forget_answers(self, key: str | None) -> int:
        """Forget what proxy-cache keeps under a key, or all of it; how many answers that were."""
        wanted = "clear" if key is None else {"forget": key}
        return int(orjson.loads(self._core.kept_answers(orjson.dumps(wanted))))

    def _keep(self, stored: Stored) -> None:
        assert self._posted is not None
        conditions = self._keeper.conditions
        try:
            self._posted.keep(stored)
            self._posted.confirm()
        except CacheUnwritable as error:
            _log.warning("cache_unwritable detail=%s", error)
            conditions.note(CACHE_UNWRITABLE, f"{error}: what was posted is served until the node stops")
        else:
            conditions.clear(CACHE_UNWRITABLE)


class AdminPart:
    """The Admin API where a node has one: opened, told of other configurations, closed."""

    def __init__(self, settings: NodeSettings, prefix: Path, face: AdminFace | None) -> None:
        self._settings = settings
        self._prefix = prefix
        self._face = face
        self.ports: list[int] = []
        """The ports that it is served on."""
        self.refused: Counter[str] = Counter()
        """What was not let in or not understood, by reason."""

    async def start(
        self,
        stack: contextlib.AsyncExitStack,
        door: AdminDoor,
        *,
        declared: DeclaredConfig,
        certificates: NodeCertificates,
        conditions: Conditions,
        answered: Answered,
    ) -> None:
        """Serve until the stack ends. Raises NodeStartError where a listener that was asked for cannot be had."""
        settings = self._settings
        if self._face is None or declared.entities is None:
            return
        stack.callback(self._face.close)
        body_bytes_max = settings["nginx_admin_client_max_body_size"] or settings["cluster_max_payload"]
        limits = HttpLimits(
            body_bytes_max=body_bytes_max,
            held_bytes_max=_BODIES_HELD * body_bytes_max,
            body_timeout_s=_BODY_TIMEOUT_S,
        )
        handler = self._face.open(door, declared.entities)
        declared.entities = None
        server = HttpServer(
            handler, server_name=f"twinplane/{__version__}", answered=answered, limits=limits, refuse=self._face.refuse
        )
        server.refused = self.refused
        stack.push_async_callback(server.close)
        problems = await self._listen(server, certificates)
        if problems and is_by_default(settings["admin_listen"]):
            conditions.note(ADMIN_UNAVAILABLE, f"{'; '.join(problems)}; set admin_listen, to other ports or off")
            _log.warning("admin_unavailable detail=%s", "; ".join(problems))
        elif problems:
            raise NodeStartError(*problems)

    def replacing(self, entities: DeclaredEntities | None, serve: Callable[[], Outcome]) -> Outcome:
        """Have another configuration served, which was not posted, and shown where one is shown. Blocks."""
        if self._face is None or entities is None:
            return serve()
        return self._face.replacing(entities, serve)

    async def _listen(self, server: HttpServer, certificates: NodeCertificates) -> list[str]:
        listeners = self._settings["admin_listen"]
        tls: ssl.SSLContext | None = None
        if any(listener.tls for listener in listeners):
            served = served_certificates(self._settings, "admin_ssl_cert", self._prefix, "admin-kong-default")
            tls = server_context(served, self._settings.tls)
            certificates.watch_status(tls, "admin_ssl_cert")
        problems = []
        for listener in listeners:
            try:
                for each in resolved([listener]):
                    port = await server.listen_as(each, tls if each.tls else None)
                    self.ports.append(port)
                    _log.info("admin_listening address=%s port=%d tls=%s", each.address, port, each.tls)
            except OSError as error:
                problems.append(f"admin_listen {listener.shown}: cannot be listened on: {error.strerror}")
        return problems
