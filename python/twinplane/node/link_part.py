"""What a node has of its control plane: dialers, the link, telemetry, and the configuration for when nobody answers."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twinplane._dataplane import Core  # noqa: TID251 - telemetry is drained from the core
from twinplane.hybrid.client import LinkClient, LinkFacts, LinkTimes
from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.wire import BasicInfo, NodeQuery
from twinplane.node.audit_part import NodeAudit
from twinplane.node.backlog import Backlog
from twinplane.node.certificates import NodeCertificates
from twinplane.node.conditions import Conditions
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import NodeStartError
from twinplane.node.fallback import FallbackExport, FallbackStore, import_when_alone
from twinplane.node.link_settings import read_endpoint, read_forward_proxy, read_link_tls
from twinplane.node.seal import Keyring, SealKey
from twinplane.node.tasks import Work
from twinplane.node.telemetry import TelemetrySender, TelemetryTimes
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.hybrid.rpc.client import RpcClient

# Before a control plane has answered for the first time it may just be starting.
FIRST_RETRY_SECONDS = 1.0


class LinkPart:
    """All of that for one node; for one without control plane, nothing of it."""

    def __init__(self, settings: NodeSettings, query: NodeQuery, conditions: Conditions) -> None:
        """Nothing is dialled yet."""
        self._settings = settings
        self._query = query
        self._conditions = conditions
        self._fallback = _fallback_store(settings)
        self.export = (
            FallbackExport(
                self._fallback,
                conditions,
                delay_s=settings["cluster_fallback_config_export_delay"],
                writer=query.node_id,
            )
            if self._fallback is not None and settings["cluster_fallback_config_export"]
            else None
        )
        """Keeps what is published for others to fall back on, where that is asked for."""
        self.config: Dialer | None = None
        """Dials for configuration."""
        self.telemetry: Dialer | None = None
        """Dials for telemetry."""

    def open(self, certificates: NodeCertificates, rekey: Callable[[SealKey], None]) -> None:
        """Read what it takes to dial. Raises NodeStartError."""
        settings = self._settings
        if settings["role"] != "data_plane":
            return
        try:
            tls = read_link_tls(settings)
            proxy = read_forward_proxy(settings)
            self.config = Dialer(
                read_endpoint(settings["cluster_control_plane"], settings["cluster_server_name"]),
                tls,
                proxy=proxy,
                bytes_max=settings["cluster_max_payload"],
            )
            if settings["cluster_telemetry_endpoint"]:
                address = settings["cluster_telemetry_endpoint"]
                endpoint = read_endpoint(address, settings["cluster_telemetry_server_name"])
                self.telemetry = Dialer(endpoint, tls, proxy=proxy)
            certificates.watch_link(tls, self._dialers(), rekey)
        except OSError as error:
            raise NodeStartError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except (ssl.SSLError, ValueError) as error:
            raise NodeStartError(f"cluster_cert, cluster_cert_key: cannot be used: {error}") from error

    def sender(self, core: Core, prefix: Path, keyring: Keyring | None) -> TelemetrySender:
        """What sends telemetry, or counts it where there is nobody to send it to."""
        settings = self._settings
        times = TelemetryTimes(flush_interval_s=settings["analytics_flush_interval"], first_retry_s=FIRST_RETRY_SECONDS)
        return TelemetrySender(
            core.drain,  # type: ignore[arg-type]
            Backlog(
                prefix if self.telemetry is not None else None,
                keyring,
                seals=settings["cache_encryption"],
                records_max=settings["analytics_buffer_size_limit"],
            ),
            dialer=self.telemetry,
            query=self._query,
            times=times,
            conditions=self._conditions,
        )

    def client(
        self, keeper: ConfigKeeper, audit: NodeAudit, basic_info: Callable[[], BasicInfo]
    ) -> LinkClient | RpcClient | None:
        """The link, in the version that the settings ask for."""
        if self.config is None:
            return None
        settings, times = self._settings, LinkTimes(first_retry_s=FIRST_RETRY_SECONDS)
        link = LinkClient(
            self.config,
            self._query,
            keeper,
            basic_info=basic_info,
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
        return RpcClient(self.config, hello, DeltaRows(keeper), link, times=times, bytes_max=bytes_max)

    def fallback_tasks(self, keeper: ConfigKeeper, facts: LinkFacts) -> list[Work]:
        """What keeps the configuration for when nobody answers, and takes it then."""
        tasks: list[Work] = []
        if self.export is not None:
            tasks.append(self.export.run)
        if self._fallback is not None and self._settings["cluster_fallback_config_import"]:
            importing = functools.partial(
                import_when_alone,
                self._fallback,
                keeper,
                self._conditions,
                is_connected=lambda: facts.is_connected,
            )
            tasks.append(importing)
        return tasks

    def hurry(self) -> None:
        """Dial again without delay."""
        for dialer in self._dialers():
            dialer.hurry()

    def _dialers(self) -> list[Dialer]:
        return [dialer for dialer in (self.config, self.telemetry) if dialer is not None]


def _fallback_store(settings: NodeSettings) -> FallbackStore | None:
    directory = settings["cluster_fallback_config_storage"]
    if directory is None:
        return None
    return FallbackStore(directory, settings["node_version"], bytes_max=settings["cluster_max_payload"])
