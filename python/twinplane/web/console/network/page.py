"""The hosts and ports of this installation, what a network must let through, and the addresses that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from twinplane.control.addresses import PublishedAddresses
from twinplane.settings.allowlist import Rule, Wanted, any_plane, as_text, rules_for
from twinplane.settings.network import (
    ADDRESSES,
    AUDIT_PORT,
    CONTROL_PLANE_PORT,
    HOSTS,
    PORTS,
    ControlPlaneType,
    Port,
)
from twinplane.web.console.visit import AuditPort, Visit

_NOTHING = PublishedAddresses({}, {}, (), None)


@dataclass(frozen=True, slots=True)
class ShownPort:
    """A port of the platform as it is here: its number, and whether it is open where this process opens it."""

    port: Port
    number: int
    state: tuple[str, str]


async def show(visit: Visit) -> Response:
    """Everything on one page."""
    settings = visit.control.settings
    visit.section = "network"
    audit = visit.room.audit_port()
    hosts = [
        (
            kind,
            [
                name
                for region in (visit.regions if kind.is_regional else ("",))
                for name in kind.hosts(domain=settings.domain, region=region, prefix="*")
            ],
        )
        for kind in HOSTS
    ]
    published = await visit.run(visit.console.published) if visit.console.published is not None else _NOTHING
    rules = _rules(visit)
    visit.at("Network")
    return visit.page(
        "network/network.html",
        hosts=hosts,
        ports=_ports(visit, audit),
        audit=audit,
        rules=rules,
        allow_list=as_text(rules),
        published=published,
        addresses_url=_feed_url(visit),
        domain=settings.domain,
    )


async def show_allow_list(visit: Visit) -> Response:
    """The allow list for programs."""
    return JSONResponse({"rules": [asdict(rule) for rule in _rules(visit)]})


def _ports(visit: Visit, audit: AuditPort | None) -> Sequence[ShownPort]:
    shown = []
    for port in PORTS:
        number, state = port.number, ("Where nodes run", "") if port.side == "data plane" else ("By setting", "")
        if port is CONTROL_PLANE_PORT:
            number, state = visit.control.control_planes.advertised_port, ("Open", "good")
        elif port is AUDIT_PORT:
            number, state = (audit.port, ("Open", "good")) if audit is not None else (number, ("Off", "warn"))
        shown.append(ShownPort(port, number, state))
    return shown


def _rules(visit: Visit) -> Sequence[Rule]:
    """For control planes of either type in every region that is served here."""
    domain, regions = visit.control.settings.domain, visit.regions
    planes = [any_plane(domain, region, kind) for region in regions for kind in ControlPlaneType]
    audit = visit.room.audit_port()
    wanted = Wanted(
        domain,
        regions,
        planes,
        port=visit.control.control_planes.advertised_port,
        audit_port=None if audit is None else audit.port,
    )
    return rules_for(wanted)


def _feed_url(visit: Visit) -> str:
    port = visit.control.control_planes.advertised_port
    host = ADDRESSES.host(domain=visit.control.settings.domain)
    return f"https://{host}{'' if port == 443 else f':{port}'}"


ROUTES = (
    Route("/{region}/network", show, methods=["GET"]),
    Route("/{region}/network/allowlist.json", show_allow_list, methods=["GET"]),
)
