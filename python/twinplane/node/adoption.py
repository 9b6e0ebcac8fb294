"""The settings that a node serves by, and how others take their place while it serves (ADR 18).

Everything is at hand before anything changes; where that fails nothing has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twinplane._dataplane import Core, StartError  # noqa: TID251 - the core adopts them
from twinplane.node.admin_part import AdminPart
from twinplane.node.certificates import NodeCertificates
from twinplane.node.core_settings import node_core_settings
from twinplane.node.errors import NodeStartError
from twinplane.node.own_port import PortChange
from twinplane.node.served_certificates import served_certificates
from twinplane.node.status_part import StatusPart
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities

log = logging.getLogger("node")


class InForce:
    """What a node serves by, and listens on."""

    def __init__(
        self,
        settings: NodeSettings,
        prefix: Path,
        node_id: str,
        *,
        status: StatusPart,
        admin: AdminPart,
        certificates: NodeCertificates,
    ) -> None:
        """`settings` are those of the start."""
        self.settings = settings
        self.core_settings = b""
        """The same, as the core has them."""
        self.ports: list[int] = []
        """The ports that proxy."""
        self._prefix = prefix
        self._id = node_id
        self._status = status
        self._admin = admin
        self._certificates = certificates
        self._streams: frozenset[tuple[str, int, bool, bool]] = frozenset()

    def of_the_start(self) -> bytes:
        """What the core is to start with. Blocks. Raises NodeStartError."""
        self.core_settings = self._core_settings_of(self.settings)
        return self.core_settings

    async def would_change(self, settings: NodeSettings) -> bool:
        """Whether anything would be another one by these settings, or by what their files hold now.

        Raises NodeStartError where files cannot be used.
        """
        if settings.values != self.settings.values:
            return True

        def is_other() -> bool:
            if self._core_settings_of(settings) != self.core_settings:
                return True
            return not (self._status.serves(settings) and self._admin.serves(settings))

        return await asyncio.to_thread(is_other)

    async def adopt(self, core: Core, settings: NodeSettings, entities: DeclaredEntities | None) -> None:
        """Serve by other settings. Raises NodeStartError with everything that is wrong; then nothing has changed.

        `entities` are those of the configuration that comes with them, and is not served yet.
        """
        core_settings, status, admin = await asyncio.to_thread(self._prepare, core, settings, entities)
        self.core_settings, self.settings = core_settings, settings
        self._status.use(status)
        self._admin.use(settings, admin, entities)
        self._certificates.use_settings(settings)
        before = self.ports
        self.note_listeners(core)
        if self.ports != before:
            log.info("listeners_changed ports=%s before=%s", self.ports, before)

    def note_listeners(self, core: Core) -> None:
        """Tell which listeners of the core are others than before."""
        status = core.status()
        self.ports = [port for _, port, _ in status.listeners]
        before, self._streams = self._streams, frozenset(status.stream_listeners)
        for address, port, tls, udp in sorted(self._streams - before):
            log.info("stream_listening address=%s port=%d tls=%s udp=%s", address, port, tls, udp)
        for address, port, tls, udp in sorted(before - self._streams):
            log.info("stream_listener_closed address=%s port=%d tls=%s udp=%s", address, port, tls, udp)

    def _prepare(
        self, core: Core, settings: NodeSettings, entities: DeclaredEntities | None
    ) -> tuple[bytes, PortChange, PortChange]:
        """Have the core adopt other settings, with all that they make of the node's own ports at hand."""
        problems: list[str] = []
        changes: list[PortChange] = []
        prepares: tuple[Callable[[], PortChange], ...] = (
            lambda: self._status.prepare(settings),
            lambda: self._admin.prepare(settings, entities),
        )
        for prepare in prepares:
            try:
                changes.append(prepare())
            except NodeStartError as error:
                problems += error.problems
        try:
            if problems:
                raise NodeStartError(*problems)
            core_settings = self._adopted(core, settings)
        except BaseException:
            for change in changes:
                change.withdraw()
            raise
        status, admin = changes
        return core_settings, status, admin

    def _adopted(self, core: Core, settings: NodeSettings) -> bytes:
        core_settings = self._core_settings_of(settings)
        try:
            # Files may hold something else where their names are as before.
            if core_settings != self.core_settings:
                core.adopt(core_settings)
        except StartError as error:
            raise NodeStartError(*map(str, error.args[0])) from error
        return core_settings

    def _core_settings_of(self, settings: NodeSettings) -> bytes:
        try:
            certificates = served_certificates(settings, "ssl_cert", self._prefix, "kong-default")
            return node_core_settings(settings, self._id, certificates)
        except OSError as error:
            raise NodeStartError(f"{error.filename or 'proxy_listen'}: {error.strerror}") from error
        except ValueError as error:
            raise NodeStartError(str(error)) from error
