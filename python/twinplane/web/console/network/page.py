"""The hosts and ports of this installation, what a network must let through, and the addresses that it has."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from twinplane.settings.network import HOSTS, PORTS
from twinplane.web.console.visit import Visit


async def show(visit: Visit) -> Response:
    """Everything on one page."""
    settings = visit.control.settings
    visit.section = "network"
    visit.at("Network")
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
    return visit.page("network/network.html", hosts=hosts, ports=PORTS, domain=settings.domain)


ROUTES = (Route("/{region}/network", show, methods=["GET"]),)
