"""A data plane node as a whole: the core, the link, telemetry, log delivery and the status port, started and stopped.

Wires and orders; decides nothing about configurations, telemetry or requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from twinplane import __version__
from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - this room talks to the core
from twinplane.hybrid.client import LinkClient, LinkFacts, LinkTimes
from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.wire import BasicInfo, Issue, NodeQuery
from twinplane.node.access_logs import AccessLogs
from twinplane.node.admin_part import AdminDoor, AdminFace, AdminPart
from twinplane.node.audit_part import NodeAudit
from twinplane.node.authority import write_whole
from twinplane.node.backlog import Backlog
from twinplane.node.bundled import PLUGINS
from twinplane.node.cache import ConfigCache, Stored
from twinplane.node.certificates import NodeCertificates
from twinplane.node.conditions import Conditions
from twinplane.node.config import ConfigKeeper
from twinplane.node.core_settings import node_core_settings
from twinplane.node.counter_stores import CounterStores
from twinplane.node.declared import DECLARED_REFUSED, DeclaredConfig, read_declared
from twinplane.node.errors import NodeStartError, PayloadRefused
from twinplane.node.fallback import FallbackExport, FallbackStore, import_when_alone
from twinplane.node.journal import JournaledCache
from twinplane.node.license_gate import LicenseGate
from twinplane.node.link_settings import read_endpoint, read_forward_proxy, read_link_tls
from twinplane.node.log_sinks import Surroundings
from twinplane.node.logs import LogDelivery
from twinplane.node.own_port import PortChange
from twinplane.node.pauses import watch_pauses
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.node.probing import Prober
from twinplane.node.renewal import read_pem
from twinplane.node.seal import Keyring, SealKey, read_keyring
from twinplane.node.served_certificates import served_certificates
from twinplane.node.sparse import complete_table
from twinplane.node.status import StatusApi, StatusFacts
from twinplane.node.status_part import StatusPart
from twinplane.node.target_health import TargetHealth
from twinplane.node.tasks import Work, in_loop, run_beside
from twinplane.node.telemetry import TelemetrySender, TelemetryTimes
from twinplane.node.vaults import Vaults
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities
    from twinplane.hybrid.rpc.client import RpcClient
    from twinplane.pdk import Plugin

log = logging.getLogger("node")

GRACE_MS = 10_000
PATIENT_GRACE_MS = 60_000
TELEMETRY_GRACE_SECONDS = 3.0
LOGS_GRACE_SECONDS = 3.0
# Before a control plane has answered for the first time it may just be starting.
FIRST_RETRY_SECONDS = 1.0
_EMPTY_TABLE = b'{"_format_version":"3.0","_transform":false}'


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
        self._settings = settings
        self.plugins = PluginHost(
            _host_limits(settings),
            plugins,
            secret=self._vaults.secret,
            trust=lambda: _tls_context(settings),
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
        self.ports: list[int] = []
        """The ports that proxy, once it serves."""
        self._streams: frozenset[tuple[str, int, bool, bool]] = frozenset()
        self._log_lines_lost = log_lines_lost
        self._status = StatusPart(settings, prefix)
        self._admin = AdminPart(settings, prefix, admin)
        self._gate = LicenseGate(settings["license_expiry"], self.conditions)
        self._keyring = node_keyring(settings)
        self._id = _node_id(settings, prefix)
        self._fallback = _fallback_store(settings)
        self._export = (
            FallbackExport(
                self._fallback,
                self.conditions,
                delay_s=settings["cluster_fallback_config_export_delay"],
                writer=self._id,
            )
            if self._fallback is not None and settings["cluster_fallback_config_export"]
            else None
        )
        self._query = NodeQuery(self._id, socket.gethostname(), settings["node_version"])
        self._core_settings = b""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The node serves for as long as the block runs; then it finishes what is under way."""
        settings = self._settings
        dialers = self._dialers()
        async with contextlib.AsyncExitStack() as stack:
            audit = NodeAudit(settings, self._query, __version__, dialers[0])
            self.conditions.watch(lambda: audit.log.conditions_changed(self.conditions.issues()))
            self._certificates.on_renewed = lambda name: audit.log.note("certificate_renewed", name=name)
            keeper, core, delivery = self._start_core(audit)
            self._keeper, self._core = keeper, core
            stack.push_async_callback(asyncio.to_thread, delivery.close, LOGS_GRACE_SECONDS)
            telemetry = self._telemetry_sender = self._telemetry(core, dialers)
            stack.push_async_callback(telemetry.close, TELEMETRY_GRACE_SECONDS)
            # The core ends before these: what its last requests measured and logged still leaves.
            stack.push_async_callback(asyncio.to_thread, self.plugins.close, LOGS_GRACE_SECONDS)
            access = AccessLogs(settings, self._prefix, lambda: core.drain("access"), self.conditions)
            stack.push_async_callback(asyncio.to_thread, access.close)
            stack.push_async_callback(self._stop_core, core)
            link = self._link(keeper, dialers, audit)
            prober = Prober(core, lambda: _tls_context(settings), probes_max=settings["probes_max"])
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
                    settings=lambda: self._settings,
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
                resumed = functools.partial(_hurry, dialers)
                tasks += [link.run, *self._fallback_tasks(keeper, link.facts), lambda: watch_pauses(resumed)]
            tasks += access.tasks()
            for task in tasks:
                await run_beside(stack, task)
            await audit.start(stack, lambda: link is not None and link.facts.is_connected, keeper.config_hash)
            self._note_listeners(core)
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
            refusals_beside, self._core_settings, table, self._vaults, self.plugins.classes
        )
        if problems:
            raise NodeStartError(*problems)
        log.info("config_rehearsed hash=%s", declared.stored.config_hash)

    async def would_change(self, settings: NodeSettings) -> bool:
        """Whether anything would be another one by these settings, or by what their files hold now.

        Raises NodeStartError where files cannot be used.
        """
        if settings.values != self._settings.values:
            return True

        def is_other() -> bool:
            if self._core_settings_of(settings) != self._core_settings:
                return True
            return not (self._status.serves(settings) and self._admin.serves(settings))

        return await asyncio.to_thread(is_other)

    async def declare(self, declared: DeclaredConfig) -> None:
        """Serve another declarative configuration. Raises NodeStartError where it is refused; the old one goes on."""
        assert self._keeper is not None
        serve = functools.partial(self._keeper.declare, declared.stored)
        outcome = await asyncio.to_thread(self._admin.replacing, declared.entities, serve)
        if outcome.fault is not None:
            raise NodeStartError(outcome.fault.message)
        self.conditions.clear(DECLARED_REFUSED)

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
        return self._settings

    async def adopt(self, settings: NodeSettings, declared: DeclaredConfig | None) -> None:
        """Serve by other settings. Raises NodeStartError with everything that is wrong; then nothing has changed.

        `declared` is the configuration that comes with them, and is not served yet.
        """
        core = self._core
        assert core is not None
        entities = declared.entities if declared is not None else None
        preparing = asyncio.to_thread(self._prepare, settings, entities)
        core_settings, status, admin = await preparing
        self._core_settings, self._settings = core_settings, settings
        self._status.use(status)
        self._admin.use(settings, admin, entities)
        self._certificates.use_settings(settings)
        before = self.ports
        self._note_listeners(core)
        if self.ports != before:
            log.info("listeners_changed ports=%s before=%s", self.ports, before)

    def _note_listeners(self, core: Core) -> None:
        status = core.status()
        self.ports = [port for _, port, _ in status.listeners]
        before, self._streams = self._streams, frozenset(status.stream_listeners)
        for address, port, tls, udp in sorted(self._streams - before):
            log.info("stream_listening address=%s port=%d tls=%s udp=%s", address, port, tls, udp)
        for address, port, tls, udp in sorted(before - self._streams):
            log.info("stream_listener_closed address=%s port=%d tls=%s udp=%s", address, port, tls, udp)

    def _prepare(
        self, settings: NodeSettings, entities: DeclaredEntities | None
    ) -> tuple[bytes, PortChange, PortChange]:
        """Have the core adopt other settings, with all that they make of the node's own ports at hand."""
        problems: list[str] = []
        changes: list[PortChange] = []
        for prepare in (self._status.prepare, lambda of: self._admin.prepare(of, entities)):
            try:
                changes.append(prepare(settings))
            except NodeStartError as error:
                problems += error.problems
        try:
            if problems:
                raise NodeStartError(*problems)
            core_settings = self._adopted(settings)
        except BaseException:
            for change in changes:
                change.withdraw()
            raise
        status, admin = changes
        return core_settings, status, admin

    def _adopted(self, settings: NodeSettings) -> bytes:
        core = self._core
        assert core is not None
        core_settings = self._core_settings_of(settings)
        try:
            # Files may hold something else where their names are as before.
            if core_settings != self._core_settings:
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

    def _rekey(self, key: SealKey) -> None:
        if self._keeper is not None:
            self._keeper.rekey(key)
        if self._telemetry_sender is not None:
            self._telemetry_sender.rekey(key)

    async def _stop_core(self, core: Core) -> None:
        await asyncio.to_thread(core.stop, PATIENT_GRACE_MS if self.is_patient else GRACE_MS)

    def _start_core(self, audit: NodeAudit) -> tuple[ConfigKeeper, Core, LogDelivery]:
        settings = self._settings
        core_settings = self._core_settings = self._core_settings_of(settings)
        started: list[Core] = []

        def start(table: bytes | None) -> Core:
            # A node without a configuration says so to each request, rather than to say nothing.
            try:
                plain = self._vaults.resolved(table or _EMPTY_TABLE)
            except PayloadRefused as refused:
                raise ApplyError(orjson.dumps(refused.faults).decode()) from refused
            self.plugins.begin()
            core = Core.start(core_settings, self._gate.first_table(plain), self.plugins)
            started.append(core)
            self.plugins.attach(core)
            return core

        def apply_plain(table: bytes) -> Sequence[Issue]:
            self.plugins.begin()
            try:
                applied = started[-1].apply(table)
            except ApplyError as error:
                raise PayloadRefused(_faults(error)) from error
            self.plugins.served()
            return _issues(applied.issues)

        def apply(table: bytes) -> Sequence[Issue]:
            return self._gate.apply(self._vaults.resolved(table), apply_plain)

        def note_served(table: bytes) -> None:
            self._gate.note_served(table)
            delivery.configure(self._vaults.resolved(table))

        def drain(kind: str) -> bytes:
            return started[-1].drain(kind)  # type: ignore[arg-type]

        delivery = LogDelivery(drain, _log_surroundings(settings))
        keeper = ConfigKeeper(
            apply,
            self._declared or self._cache(),
            complete=complete_table,
            bytes_max=settings["cluster_max_payload"],
            on_served=note_served,
            conditions=self.conditions,
            on_outcome=audit.config_outcome,
            takes_deltas=self._declared is None and settings["link_deltas"],
            on_published=self._export.note if self._export else lambda _: None,
        )
        return keeper, self._start_keeper(keeper, start), delivery

    def _start_keeper(self, keeper: ConfigKeeper, start: Callable[[bytes | None], Core]) -> Core:
        """Start the core from what is kept. A configuration that it refuses gives way to the one before.

        A declarative file has none before: there is somebody who can mend it.
        """
        declared = self._declared
        refusals = (ApplyError,) if declared is None else ()
        refused: list[str] = []
        while True:
            try:
                core = keeper.start(
                    start, refusals, issues=lambda core: _issues(core.status().issues), otherwise=self._declared_instead
                )
            except StartError as error:
                raise NodeStartError(*map(str, error.args[0])) from error
            except ApplyError as error:
                problems = [str(fault.get("message", fault)) for fault in _faults(error)]
                if declared is None or not declared.step_back():
                    raise NodeStartError(*problems) from error
                refused += problems
                continue
            if declared is not None:
                declared.settle()
            if refused:
                follows = "the node starts without a configuration" if keeper.is_empty else "one before it is served"
                text = f"what was posted last cannot be served: {'; '.join(refused)}: {follows}"
                log.error("posted_config_refused detail=%s", text)
                self.conditions.note(DECLARED_REFUSED, text)
            return core

    def _cache(self) -> JournaledCache:
        settings = self._settings
        seals = settings["cache_encryption"]
        generations = ConfigCache(self._prefix, self._keyring, seals=seals)
        bytes_max = settings["cluster_max_payload"]
        return JournaledCache(generations, self._prefix, self._keyring, bytes_max=bytes_max, seals=seals)

    def _dialers(self) -> tuple[Dialer | None, Dialer | None]:
        """For configuration and for telemetry; None where the node has no such link."""
        settings = self._settings
        if settings["role"] != "data_plane":
            return None, None
        try:
            tls = read_link_tls(settings)
            proxy = read_forward_proxy(settings)
            config = Dialer(
                read_endpoint(settings["cluster_control_plane"], settings["cluster_server_name"]),
                tls,
                proxy=proxy,
                bytes_max=settings["cluster_max_payload"],
            )
            telemetry = None
            if settings["cluster_telemetry_endpoint"]:
                address = settings["cluster_telemetry_endpoint"]
                endpoint = read_endpoint(address, settings["cluster_telemetry_server_name"])
                telemetry = Dialer(endpoint, tls, proxy=proxy)
            self._certificates.watch_link(tls, [config, *([telemetry] if telemetry else [])], self._rekey)
            return config, telemetry
        except OSError as error:
            raise NodeStartError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except (ssl.SSLError, ValueError) as error:
            raise NodeStartError(f"cluster_cert, cluster_cert_key: cannot be used: {error}") from error

    def _telemetry(self, core: Core, dialers: tuple[Dialer | None, Dialer | None]) -> TelemetrySender:
        settings = self._settings
        times = TelemetryTimes(flush_interval_s=settings["analytics_flush_interval"], first_retry_s=FIRST_RETRY_SECONDS)
        return TelemetrySender(
            core.drain,  # type: ignore[arg-type]
            Backlog(
                self._prefix if dialers[1] is not None else None,
                self._keyring,
                seals=settings["cache_encryption"],
                records_max=settings["analytics_buffer_size_limit"],
            ),
            dialer=dialers[1],
            query=self._query,
            times=times,
            conditions=self.conditions,
        )

    def _link(
        self, keeper: ConfigKeeper, dialers: tuple[Dialer | None, Dialer | None], audit: NodeAudit
    ) -> LinkClient | RpcClient | None:
        if dialers[0] is None:
            return None
        settings, times = self._settings, LinkTimes(first_retry_s=FIRST_RETRY_SECONDS)
        link = LinkClient(
            dialers[0],
            self._query,
            keeper,
            basic_info=self._basic_info,
            reports_faults=settings["konnect_mode"],
            times=times,
            on_audit_key=audit.use_key,
        )
        if not (settings["incremental_sync"] or (settings["cluster_rpc"] and settings["cluster_rpc_sync"])):
            return link
        # Loaded where it is used: most nodes speak version 1 and spare the memory.
        from twinplane.hybrid.rpc.client import RpcClient  # noqa: PLC0415
        from twinplane.hybrid.rpc.hello import SYNC, Hello  # noqa: PLC0415
        from twinplane.node.deltas import DeltaRows  # noqa: PLC0415

        def hello() -> Hello:
            return Hello(self._query, frozenset({SYNC}), settings.labels, settings.masked())

        bytes_max = settings["cluster_max_payload"]
        return RpcClient(dialers[0], hello, DeltaRows(keeper), link, times=times, bytes_max=bytes_max)

    def _fallback_tasks(self, keeper: ConfigKeeper, facts: LinkFacts) -> list[Work]:
        tasks: list[Work] = []
        if self._export is not None:
            tasks.append(self._export.run)
        if self._fallback is not None and self._settings["cluster_fallback_config_import"]:
            importing = functools.partial(
                import_when_alone,
                self._fallback,
                keeper,
                self.conditions,
                is_connected=lambda: facts.is_connected,
            )
            tasks.append(importing)
        return tasks

    def _declared_instead(self) -> Stored | None:
        """What a node of a control plane starts from where it has no cache."""
        settings = self._settings
        if not settings["declarative_config"] and not settings["declarative_config_string"]:
            return None
        return read_declared(
            settings["declarative_config"], settings["declarative_config_string"], settings["router_flavor"]
        ).stored

    def _basic_info(self) -> BasicInfo:
        return BasicInfo(
            plugins={**PLUGINS, **self.plugins.versions()},
            labels=self._settings.labels,
            process_conf=self._settings.masked(),
        )


def _host_limits(settings: NodeSettings) -> HostLimits:
    return HostLimits(
        threads=settings["python_plugin_threads"],
        calls_max=settings["python_plugin_queue"],
        timeout_ms=settings["python_plugin_timeout"],
        fails_open=settings["python_plugin_failure"] == "fail_open",
        log_entries_max=settings["python_plugin_log_queue"],
        response_bytes_max=settings["python_plugin_response"],
        http_connections_max=settings["python_plugin_http_connections"],
        http_response_bytes_max=settings["python_plugin_http_response"],
    )


def _hurry(dialers: Sequence[Dialer | None]) -> None:
    for dialer in dialers:
        if dialer is not None:
            dialer.hurry()


def node_keyring(settings: NodeSettings) -> Keyring | None:
    """The keys that what is on disk may be sealed with; None for a node without a certificate."""
    if not settings["cluster_cert_key"]:
        return None
    try:
        return read_keyring(
            [read_pem(each) for each in (settings["cluster_cert_key"], *(settings["cache_encryption_old_keys"] or ()))]
        )
    except OSError as error:
        raise NodeStartError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NodeStartError(f"cluster_cert_key, cache_encryption_old_keys: cannot be used: {error}") from error


def _fallback_store(settings: NodeSettings) -> FallbackStore | None:
    directory = settings["cluster_fallback_config_storage"]
    if directory is None:
        return None
    return FallbackStore(directory, settings["node_version"], bytes_max=settings["cluster_max_payload"])


def _node_id(settings: NodeSettings, prefix: Path) -> str:
    """The identity of the node: given, or made once and kept in the prefix."""
    if settings["node_id"]:
        return str(settings["node_id"])
    path = prefix / "kong.id"
    with contextlib.suppress(OSError, ValueError):
        return str(uuid.UUID(path.read_text().strip()))
    made = str(uuid.uuid4())
    try:
        write_whole(path, made.encode(), 0o644)
    except OSError as error:
        log.warning("node_id_not_kept detail=%s", error)
    return made


def _issues(told: Sequence[Mapping[str, Any]]) -> list[Issue]:
    return [Issue(one["code"], one["message"], one.get("plugin"), one.get("plugin_id")) for one in told]


def _faults(error: ApplyError) -> list[dict[str, Any]]:
    faults: list[dict[str, Any]] = orjson.loads(error.args[0])
    return faults


def _log_surroundings(settings: NodeSettings) -> Surroundings:
    """What log plugins find on this node."""
    return Surroundings(
        tls=_tls_context(settings),
        verifies_tcp=settings["log_tls_verify"],
        syslog_socket=settings["syslog_socket"],
        entries_max=settings["log_queue_entries"],
        bytes_max=settings["log_queue_bytes"] or None,
        threads_max=settings["log_queue_threads"],
    )


def _tls_context(settings: NodeSettings) -> ssl.SSLContext:
    """Trust of log plugins that deliver over TLS."""
    places = settings["lua_ssl_trusted_certificate"] or ()
    context = ssl.create_default_context() if "system" in places else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for place in places:
        if place != "system":
            context.load_verify_locations(place)
    return context
