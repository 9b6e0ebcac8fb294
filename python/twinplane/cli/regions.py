"""Opens what a control plane process serves: each region's store, analytics and links, and what is global."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twinplane.api import kic, konnect
from twinplane.api.konnect.front import Application
from twinplane.cli.addresses import AddressKeeper
from twinplane.cli.audit_part import AuditPart, keeping_records, make_part
from twinplane.cli.errors import StartError
from twinplane.cli.global_identity import GlobalIdentity
from twinplane.control import Control, ControlSettings
from twinplane.control.analytics import Analytics, Retention
from twinplane.control.global_data import Ask
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.ocsp import OcspSettings
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.node.edge import LinkDoor
from twinplane.settings import ProcessSettings
from twinplane.settings.host_names import HostNames
from twinplane.settings.network import ADDRESSES, GLOBAL, server_name_patterns
from twinplane.settings.regions import Layout
from twinplane.store.errors import StoreError
from twinplane.store.events import EventStore, EventStoreSettings, EventStoreUnusable
from twinplane.telemetry.ingest import Ingest
from twinplane.web import console


@dataclass(frozen=True, slots=True)
class Region:
    """One open region: its own store, its own links."""

    name: str
    control: Control
    analytics: Analytics
    link: LinkServer
    audit: AuditPart
    door: LinkDoor
    konnect: konnect.App
    application: Application


@dataclass(frozen=True, slots=True)
class Premises:
    """Everything that one process serves. `shared` holds what is global, where that has a store of its own here.

    `asks` says that organizations, users and tokens are asked for elsewhere.
    """

    regions: tuple[Region, ...]
    shared: Control | None
    application: Application
    shared_audit: AuditPart | None = None
    console: console.App | None = None
    asks: bool = False

    @property
    def aging(self) -> tuple[Analytics | AuditPart, ...]:
        """Whatever has records that are forgotten in time."""
        audits = [*(region.audit for region in self.regions), *([self.shared_audit] if self.shared_audit else [])]
        return (*(region.analytics for region in self.regions), *audits)

    @property
    def controls(self) -> tuple[Control, ...]:
        """Every open control room."""
        return (*(region.control for region in self.regions), *([self.shared] if self.shared else []))

    def advertise(self, port: int) -> None:
        """Word every endpoint with this port: it is known only once the listener is open."""
        for control in self.controls:
            control.control_planes.advertise(port)

    @property
    def token_keeper(self) -> Control | None:
        """Where the first token is made; None where global data lies elsewhere."""
        if self.asks:
            return None
        return self.shared or (self.regions[0].control if len(self.regions) == 1 else None)


async def open_premises(
    stack: contextlib.AsyncExitStack, settings: ProcessSettings, layout: Layout, sockets: Path
) -> Premises:
    """Open all; `stack` closes it. Raises StartError."""
    shared: Control | None = None
    ask: Ask | None = None
    if layout.global_url is not None:
        ask = GlobalIdentity(layout.global_url, settings["global-ca"]).ask
    elif layout.serves_global and not layout.is_single:
        assert layout.global_store is not None
        shared = _open_control(settings, layout, layout.global_store, (), None)
        stack.callback(shared.close)
    regions = []
    for name in layout.served:
        control = _open_control(settings, layout, layout.stores[name], (name,), ask)
        stack.callback(control.close)
        regions.append(await _open_region(stack, settings, layout, control, sockets))
    if layout.is_single:
        premises = Premises(tuple(regions), shared, regions[0].application)
        return _with_addresses(stack, settings, layout, _with_console(stack, settings, premises))
    applications = {region.name: region.application for region in regions}
    faces = [region.konnect for region in regions]
    shared_audit = None
    if shared is not None:
        shared_audit = make_part(shared, settings)
        await stack.enter_async_context(keeping_records(shared_audit, settings))
        face = _konnect(stack, settings, shared_audit, None)
        applications[GLOBAL] = face
        faces.append(face)
    front = konnect.Front(applications, faces, host_names(settings))
    premises = Premises(tuple(regions), shared, front, shared_audit, asks=ask is not None)
    premises = _with_console(stack, settings, premises)
    return _with_addresses(stack, settings, layout, premises)


def _with_console(stack: contextlib.AsyncExitStack, settings: ProcessSettings, premises: Premises) -> Premises:
    """Put the console before the rest, where this process keeps who may sign in."""
    keeper = premises.token_keeper
    if keeper is None or not premises.regions:
        return premises
    rooms = {
        region.name: console.Room(region.control, region.analytics, partial(_audit_port, region.audit))
        for region in premises.regions
    }
    app = console.create_app(
        rooms,
        keeper.sessions,
        host_names(settings),
        premises.application,
        authority=lambda: _authority(settings),
        accesses=(premises.shared_audit or premises.regions[0].audit).accesses,
        published=(premises.shared or premises.regions[0].control).addresses.published,
        threads=settings["api-threads"],
    )
    stack.callback(app.close)
    return replace(premises, application=app, console=app)


def _audit_port(part: AuditPart) -> console.AuditPort | None:
    """How the audit port fares, for people; None where it is off."""
    receiver = part.receiver
    if receiver is None:
        return None
    facts = receiver.facts
    dropped = sum(facts.dropped.values())
    return console.AuditPort(
        receiver.advertised_port, facts.connections, facts.received_total, dropped, facts.lost_total
    )


def _with_addresses(
    stack: contextlib.AsyncExitStack, settings: ProcessSettings, layout: Layout, premises: Premises
) -> Premises:
    """Put the list of published addresses before the rest, and keep it up to date."""
    control = premises.shared or premises.regions[0].control
    addresses = control.addresses
    regions = (*layout.served, *([GLOBAL] if layout.serves_global else []))
    keeping = asyncio.create_task(AddressKeeper(settings, addresses, regions).run())
    stack.callback(keeping.cancel)
    host = ADDRESSES.host(domain=settings["domain"])

    def url() -> str:
        port = control.control_planes.advertised_port
        return f"https://{host}" if port == 443 else f"https://{host}:{port}"

    feed = konnect.AddressFeed(premises.application, addresses.published, host_names(settings), url)
    return replace(premises, application=feed)


def _authority(settings: ProcessSettings) -> str:
    """The built-in authority, where it is what made the certificate of the front door."""
    path: Path = settings["data"] / "ca.pem"
    return path.read_text(encoding="utf-8") if settings["tls-certificate"] is None and path.exists() else ""


def host_names(settings: ProcessSettings) -> HostNames:
    """The host names that requests may carry."""
    return HostNames(domains(settings), bare=settings["bare-hosts"] or ())


def domains(settings: ProcessSettings) -> tuple[str, ...]:
    """Every base domain, the one that is shown first."""
    return (settings["domain"], *(settings["other-domains"] or ()))


async def _open_region(
    stack: contextlib.AsyncExitStack, settings: ProcessSettings, layout: Layout, control: Control, sockets: Path
) -> Region:
    (name,) = control.settings.regions
    analytics = _open_analytics(settings, layout.stores[name])
    stack.callback(analytics.close)
    socket = sockets / f"link-{name}.sock"
    place = layout.served.index(name)
    audit = make_part(control, settings, place=place, admit=lambda presented: link.gatekeeper.admit(presented, "cp0"))
    link = LinkServer(
        control,
        Ingest(analytics),
        _link_settings(settings, socket),
        key_office=audit.receiver,
        witness=audit.accesses,
    )
    await stack.enter_async_context(keeping_records(audit, settings))
    await link.start()
    stack.push_async_callback(link.stop)
    # Where one region is all there is, links are known by their path alone, so that a bare address can be dialled.
    patterns: list[str] = []
    if len(layout.served) > 1:
        patterns = [each for domain in domains(settings) for each in server_name_patterns(domain, name)]
    face = _konnect(stack, settings, audit, analytics)
    application = kic.create_app(
        audit.control,
        face,
        link.gatekeeper.admit_controller,
        accesses=audit.accesses,
        threads=settings["api-threads"],
        body_bytes_max=settings["body-limit"],
    )
    stack.callback(application.close)
    door = LinkDoor(f"link-{name}", socket, patterns)
    return Region(name, control, analytics, link, audit, door, face, application)


def _konnect(
    stack: contextlib.AsyncExitStack, settings: ProcessSettings, audit: AuditPart, analytics: Analytics | None
) -> konnect.App:
    face = konnect.create_app(
        audit.control,
        analytics=analytics,
        threads=settings["api-threads"],
        body_bytes_max=settings["body-limit"],
        accesses=audit.accesses,
        audit_counters=audit.counters,
    )
    stack.callback(face.close)
    return face


def _open_control(
    settings: ProcessSettings, layout: Layout, directory: Path, regions: tuple[str, ...], ask: Ask | None
) -> Control:
    chosen = ControlSettings(
        domain=settings["domain"],
        other_domains=tuple(settings["other-domains"] or ()),
        bare_hosts=tuple(settings["bare-hosts"] or ()),
        advertised_port=settings["advertised-port"] or settings["port"],
        regions=regions,
        delta_changes_max=settings["delta-changes-max"],
        change_retention_days=settings["change-retention-days"],
    )
    if not layout.is_single:
        chosen = replace(chosen, installation_regions=layout.regions, store_regions=layout.regions_at(directory))
    try:
        return Control.open(
            directory, settings=chosen, config_hash=config_hash, global_directory=layout.global_store, ask=ask
        )
    except StoreError as error:
        raise StartError(str(error)) from error


def _link_settings(settings: ProcessSettings, socket: Path) -> LinkServerSettings:
    return LinkServerSettings(
        socket,
        payload_bytes_max=settings["max-payload"],
        frames_per_second=settings["link-frame-rate"],
        connections_max=settings["links-max"],
        certificate_share=settings["link-share"],
        rpc=settings["cluster-rpc"] or settings["cluster-rpc-sync"],
        rpc_sync=settings["cluster-rpc-sync"],
        ocsp=_ocsp_settings(settings),
    )


def _ocsp_settings(settings: ProcessSettings) -> OcspSettings | None:
    """Whether, and how, it is asked if certificates of nodes are revoked."""
    if settings["ocsp"] == "off":
        return None
    return OcspSettings(
        settings["ocsp"], allows_loopback=settings["ocsp-loopback"], believed_s=settings["ocsp-believed"]
    )


def _open_analytics(settings: ProcessSettings, directory: Path) -> Analytics:
    retention = Retention(settings["retention-days"], settings["usage-retention-days"])
    try:
        return Analytics(EventStore(directory / "events.duckdb", EventStoreSettings()), retention)
    except EventStoreUnusable as error:
        raise StartError(str(error)) from error
