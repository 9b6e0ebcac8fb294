"""A data plane node as a whole: the core, the link, telemetry, log delivery and the status port, started and stopped.

Wires and orders; decides nothing about configurations, telemetry or requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinplane import __version__
from twinplane._dataplane import Core  # noqa: TID251 - this room talks to the core
from twinplane.hybrid.wire import BasicInfo, NodeQuery
from twinplane.node.access_logs import AccessLogs
from twinplane.node.admin_part import AdminDoor, AdminFace, AdminPart
from twinplane.node.adoption import InForce
from twinplane.node.audit_part import NodeAudit
from twinplane.node.bundled import PLUGINS
from twinplane.node.certificates import NodeCertificates
from twinplane.node.conditions import Conditions
from twinplane.node.config import ConfigKeeper
from twinplane.node.counter_stores import CounterStores
from twinplane.node.declared import DECLARED_REFUSED, DeclaredConfig
from twinplane.node.errors import NodeStartError
from twinplane.node.identity import node_id, node_keyring
from twinplane.node.license_gate import LicenseGate
from twinplane.node.link_part import LinkPart
from twinplane.node.logs import LogDelivery
from twinplane.node.pauses import watch_pauses
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_settings import host_limits, tls_context
from twinplane.node.probing import Prober
from twinplane.node.seal import SealKey
from twinplane.node.serving import Serving
from twinplane.node.status import StatusApi, StatusFacts
from twinplane.node.status_part import StatusPart
from twinplane.node.target_health import TargetHealth
from twinplane.node.tasks import Work, in_loop, run_beside
from twinplane.node.telemetry import TelemetrySender
from twinplane.node.vaults import Vaults
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.pdk import Plugin

log = logging.getLogger("node")

GRACE_MS = 10_000
PATIENT_GRACE_MS = 60_000
TELEMETRY_GRACE_SECONDS = 3.0
LOGS_GRACE_SECONDS = 3.0


class Node:
    """One node in one prefix."""

    def __init__(
        self,
        settings: NodeSettings,
        prefix: Path,
        declared: DeclaredConfig | None,
        plugins: Sequence[type[Plugin[Any]]] = (),
        environ: Mapping[str, str] | None = None,
        *,
        admin: Callable[[NodeSettings], AdminFace] | None = None,
        log_lines_lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """`declared` holds the configuration of a node without control plane, `admin` makes its Admin API. Nothing is
        started yet.

        `plugins` are the classes of plugins in Python that do not come with twinplane, `environ` holds the secrets that
        configurations may refer to.
        """
        self._vaults = Vaults(environ or {}, settings.vault_env_prefix)
        self.plugins = PluginHost(
            host_limits(settings),
            plugins,
            secret=self._vaults.secret,
            trust=lambda: tls_context(settings),
            node_id=lambda: self._id,
        )
        """The plugins in Python."""
        self._prefix = prefix
        self._declared = declared
        self.conditions = Conditions()
        """What is not as it should be while the node serves."""
        self._certificates = NodeCertificates(settings, self.conditions)
        self._keeper: ConfigKeeper | None = None
        self._core: Core | None = None
        self._telemetry_sender: TelemetrySender | None = None
        self.is_patient = False
        """Whether what is under way at the stop may take as long as a minute."""
        self._log_lines_lost = log_lines_lost
        self._status = StatusPart(settings, prefix)
        self._admin = AdminPart(settings, prefix, admin)
        self._gate = LicenseGate(settings["license_expiry"], self.conditions)
        self._keyring = node_keyring(settings)
        self._id = node_id(settings, prefix)
        self._query = NodeQuery(self._id, socket.gethostname(), settings["node_version"])
        self._link = LinkPart(settings, self._query, self.conditions)
        self._in_force = InForce(
            settings,
            prefix,
            self._id,
            status=self._status,
            admin=self._admin,
            certificates=self._certificates,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The node serves for as long as the block runs; then it finishes what is under way."""
        settings = self.settings
        self._link.open(self._certificates, self._rekey)
        async with contextlib.AsyncExitStack() as stack:
            audit = NodeAudit(settings, self._query, __version__, self._link.config)
            self.conditions.watch(lambda: audit.log.conditions_changed(self.conditions.issues()))
            self._certificates.on_renewed = lambda name: audit.log.note("certificate_renewed", name=name)
            keeper, core, delivery = self._start(audit)
            self._keeper, self._core = keeper, core
            stack.push_async_callback(asyncio.to_thread, delivery.close, LOGS_GRACE_SECONDS)
            telemetry = self._telemetry_sender = self._link.sender(core, self._prefix, self._keyring)
            stack.push_async_callback(telemetry.close, TELEMETRY_GRACE_SECONDS)
            # The core ends before these: what its last requests measured and logged still leaves.
            stack.push_async_callback(asyncio.to_thread, self.plugins.close, LOGS_GRACE_SECONDS)
            access = AccessLogs(settings, self._prefix, lambda: core.drain("access"), self.conditions)
            stack.push_async_callback(asyncio.to_thread, access.close)
            stack.push_async_callback(self._stop_core, core)
            link = self._link.client(keeper, audit, self._basic_info)
            prober = Prober(core, lambda: tls_context(settings), probes_max=settings["probes_max"])
            self._certificates.watch_served(core)
            api = StatusApi(
                StatusFacts(
                    node_id=self._id,
                    version=__version__,
                    core=core,
                    config_hash=lambda: keeper.config_hash,
                    counts=keeper.counts,
                    link=link.facts if link else None,
                    telemetry=telemetry.facts,
                    logs=delivery.facts,
                    certificate_expires_at=lambda: self._certificates.expires_at,
                    renewals=self._certificates.facts,
                    conditions=self.conditions.issues,
                    audit=audit.counts,
                    license_expires_at=lambda: self._gate.expires_at,
                    plugins=self.plugins.counts,
                    plugin_series=self.plugins.series,
                    probes=prober.facts,
                    log_lines_lost=self._log_lines_lost,
                    access=access.samples,
                    takes_target_health=settings["status_target_health"],
                    explains=settings["status_explain"],
                    counts_names=settings["new_dns_client"],
                    refused={"status": self._status.refused, "admin": self._admin.refused},
                )
            )
            lines = access.of_ports
            await self._status.start(
                stack, api, self._certificates, answered=audit.answered("status"), access=lines.get("status")
            )
            if self._declared is not None:
                posted = self._declared.posted
                door = AdminDoor(
                    self._id,
                    keeper=keeper,
                    core=core,
                    api=api,
                    # SIGHUP puts others in their place.
                    settings=lambda: self.settings,
                    posted=posted,
                )
                await self._admin.start(
                    stack,
                    door,
                    declared=self._declared,
                    certificates=self._certificates,
                    conditions=self.conditions,
                    answered=audit.answered("admin"),
                    access=lines.get("admin"),
                )
            watching = functools.partial(self._gate.run, keeper.serve_again)
            tasks: list[Work] = [telemetry.run, delivery.run, keeper.retry_keeping, watching]
            tasks += [
                self._certificates.keep_renewed,
                prober.run,
                functools.partial(TargetHealth(core).watch, self.conditions),
                functools.partial(CounterStores(core).watch, self.conditions),
            ]
            if link is not None:
                self.conditions.watch(in_loop(link.announce))
                tasks += [link.run, *self._link.fallback_tasks(keeper, link.facts)]
                tasks.append(lambda: watch_pauses(self._link.hurry))
            tasks += access.tasks()
            for task in tasks:
                await run_beside(stack, task)
            await audit.start(stack, lambda: link is not None and link.facts.is_connected, keeper.config_hash)
            self._in_force.note_listeners(core)
            role, prefix = settings["role"], self._prefix
            log.info("node_started id=%s ports=%s role=%s prefix=%s", self._id, self.ports, role, prefix)
            yield
            api.is_draining = api.is_stopping = True
            log.info("node_stopping id=%s", self._id)
            audit.log.note("stopped", hash=keeper.config_hash)

    async def reload_plugins(self, plugins: Sequence[type[Plugin[Any]]]) -> bool:
        """Run other code for plugins of the same names. False where the configuration is refused with it."""
        assert self._keeper is not None
        self.plugins.replace(plugins)
        return await self._keeper.serve_again()

    async def rehearse(self, declared: DeclaredConfig) -> None:
        """Raise NodeStartError where another declarative configuration would be refused; it is not served."""
        assert self._keeper is not None
        if declared.stored.config_hash == self._keeper.config_hash:
            return
        # Loaded where it is needed: few nodes are told to read their settings again.
        from twinplane.node.rehearsal import refusals_beside  # noqa: PLC0415

        table = declared.stored.table
        problems = await asyncio.to_thread(
            refusals_beside, self._in_force.core_settings, table, self._vaults, self.plugins.classes
        )
        if problems:
            raise NodeStartError(*problems)
        log.info("config_rehearsed hash=%s", declared.stored.config_hash)

    async def declare(self, declared: DeclaredConfig) -> None:
        """Serve another declarative configuration. Raises NodeStartError where it is refused; the old one goes on."""
        assert self._keeper is not None
        serve = functools.partial(self._keeper.declare, declared.stored)
        outcome = await asyncio.to_thread(self._admin.replacing, declared.entities, serve)
        if outcome.fault is not None:
            raise NodeStartError(outcome.fault.message)
        self.conditions.clear(DECLARED_REFUSED)

    async def would_change(self, settings: NodeSettings) -> bool:
        """Whether anything would be another one by these settings, or by what their files hold now.

        Raises NodeStartError where files cannot be used.
        """
        return await self._in_force.would_change(settings)

    async def adopt(self, settings: NodeSettings, declared: DeclaredConfig | None) -> None:
        """Serve by other settings. Raises NodeStartError with everything that is wrong; then nothing has changed.

        `declared` is the configuration that comes with them, and is not served yet.
        """
        assert self._core is not None
        await self._in_force.adopt(self._core, settings, declared.entities if declared is not None else None)

    @property
    def ports(self) -> Sequence[int]:
        """The ports that proxy, once it serves."""
        return self._in_force.ports

    @property
    def admin_ports(self) -> Sequence[int]:
        """The ports of its Admin API."""
        return self._admin.ports

    @property
    def status_ports(self) -> Sequence[int]:
        """The ports of its status."""
        return self._status.ports

    @property
    def shows_entities(self) -> bool:
        """Whether it has to be told what a configuration is made of."""
        return self._admin.shows_entities

    @property
    def settings(self) -> NodeSettings:
        """The settings in force."""
        return self._in_force.settings

    def _rekey(self, key: SealKey) -> None:
        if self._keeper is not None:
            self._keeper.rekey(key)
        if self._telemetry_sender is not None:
            self._telemetry_sender.rekey(key)

    def _basic_info(self) -> BasicInfo:
        return BasicInfo(
            plugins={**PLUGINS, **self.plugins.versions()},
            labels=self.settings.labels,
            process_conf=self.settings.masked(),
        )

    def _start(self, audit: NodeAudit) -> tuple[ConfigKeeper, Core, LogDelivery]:
        serving = Serving(
            settings=self.settings,
            prefix=self._prefix,
            plugins=self.plugins,
            vaults=self._vaults,
            gate=self._gate,
            declared=self._declared,
            conditions=self.conditions,
            keyring=self._keyring,
        )
        export = self._link.export
        return serving.start(
            self._in_force.of_the_start(),
            on_outcome=audit.config_outcome,
            on_published=export.note if export else lambda _: None,
        )

    async def _stop_core(self, core: Core) -> None:
        await asyncio.to_thread(core.stop, PATIENT_GRACE_MS if self.is_patient else GRACE_MS)
