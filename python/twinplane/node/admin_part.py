"""The Admin API of a node without control plane, as a part of the node: its listeners, and its door to what is served.

The API itself stands above this room and is handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from twinplane import __version__
from twinplane.hybrid.client import Outcome
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.wire import Issue
from twinplane.node.access_lines import AccessLines
from twinplane.node.cache import Stored
from twinplane.node.certificates import NodeCertificates
from twinplane.node.conditions import Conditions
from twinplane.node.config import ConfigKeeper
from twinplane.node.declared import DECLARED_REFUSED, DeclaredConfig
from twinplane.node.errors import CacheUnwritable, NodeStartError
from twinplane.node.http import Answered, Handler, HttpAnswer, HttpServer
from twinplane.node.http_request import HttpLimits, HttpRequest
from twinplane.node.keeping import CACHE_UNWRITABLE, Cache
from twinplane.node.own_port import OwnPort, PortChange
from twinplane.node.status import StatusApi, StatusCore
from twinplane.node.target_health import TargetHealth
from twinplane.settings import NodeSettings
from twinplane.settings.admin import is_by_default

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities

ADMIN_UNAVAILABLE: Final = "admin_unavailable"
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

    def use_settings(self, settings: NodeSettings) -> None:
        """Let callers in by other settings from the next request on."""

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
    """The Admin API where a node has one: opened, told of other configurations and settings, closed."""

    def __init__(self, settings: NodeSettings, prefix: Path, make: Callable[[NodeSettings], AdminFace] | None) -> None:
        """`make` makes the API, once the settings ask for one."""
        self._settings = settings
        self._prefix = prefix
        self._make = make
        self._door: AdminDoor | None = None
        self._face: AdminFace | None = None
        self._handler: Handler | None = None
        self._port: OwnPort | None = None
        self._conditions: Conditions | None = None
        self.refused: Counter[str] = Counter()
        """What was not let in or not understood, by reason."""

    @property
    def ports(self) -> Sequence[int]:
        """The ports that it is served on."""
        return self._port.ports if self._port else ()

    @property
    def shows_entities(self) -> bool:
        """Whether it has to be told what a configuration is made of."""
        return self._face is not None

    async def start(
        self,
        stack: contextlib.AsyncExitStack,
        door: AdminDoor,
        *,
        declared: DeclaredConfig,
        certificates: NodeCertificates,
        conditions: Conditions,
        answered: Answered,
        access: AccessLines | None,
    ) -> None:
        """Serve until the stack ends. Raises NodeStartError where a listener that was asked for cannot be had."""
        settings = self._settings
        if self._make is None:
            return
        body_bytes_max = settings["nginx_admin_client_max_body_size"] or settings["cluster_max_payload"]
        limits = HttpLimits(
            body_bytes_max=body_bytes_max,
            held_bytes_max=_BODIES_HELD * body_bytes_max,
            body_timeout_s=_BODY_TIMEOUT_S,
        )
        server = HttpServer(
            self._answer,
            server_name=f"twinplane/{__version__}",
            answered=answered,
            limits=limits,
            refuse=self._refuse,
            access=access,
            name="admin",
        )
        server.refused = self.refused
        stack.callback(self._close)
        stack.push_async_callback(server.close)
        self._door, self._conditions = door, conditions
        self._port = OwnPort("admin", server, self._prefix, made="admin-kong-default")
        certificates.watch_port("admin_ssl_cert", self._port.renew)
        entities, declared.entities = declared.entities, None
        self.use(settings, await asyncio.to_thread(self.prepare, settings, entities), entities)

    def serves(self, settings: NodeSettings) -> bool:
        """Whether it presents what the files of these settings hold. Blocks. Raises NodeStartError."""
        return self._port is None or self._port.serves(settings)

    def prepare(self, settings: NodeSettings, entities: DeclaredEntities | None) -> PortChange:
        """What other settings make of its listeners; `use` puts that in force. Blocks. Raises NodeStartError.

        `entities` are those of the configuration that comes with the settings.
        """
        if self._port is None:
            return PortChange()
        if settings["admin_listen"] and self._face is None and entities is None:
            raise NodeStartError("admin_listen: is turned on without a restart only where declarative_config is given")
        change = self._port.prepare(settings)
        if change.problems and not is_by_default(settings["admin_listen"]):
            change.withdraw()
            raise NodeStartError(*change.problems)
        return change

    def use(self, settings: NodeSettings, change: PortChange, entities: DeclaredEntities | None) -> None:
        """Serve by other settings from the next request on."""
        if self._port is None or self._conditions is None:
            return
        if self._face is not None:
            self._face.use_settings(settings)
        elif settings["admin_listen"] and entities is not None:
            assert self._make is not None
            assert self._door is not None
            self._face = self._make(settings)
            self._handler = self._face.open(self._door, entities)
        self._port.use(change)
        if change.problems:
            problems = "; ".join(change.problems)
            self._conditions.note(ADMIN_UNAVAILABLE, f"{problems}; set admin_listen, to other ports or off")
            _log.warning("admin_unavailable detail=%s", problems)
        else:
            self._conditions.clear(ADMIN_UNAVAILABLE)

    def replacing(self, entities: DeclaredEntities | None, serve: Callable[[], Outcome]) -> Outcome:
        """Have another configuration served, which was not posted, and shown where one is shown. Blocks."""
        if self._face is None or entities is None:
            return serve()
        return self._face.replacing(entities, serve)

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        # Nothing is listened on before there is somebody who answers.
        assert self._handler is not None
        return await self._handler(request)

    def _refuse(self, request: HttpRequest) -> HttpAnswer | None:
        assert self._face is not None
        return self._face.refuse(request)

    def _close(self) -> None:
        if self._face is not None:
            self._face.close()
