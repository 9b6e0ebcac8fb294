"""Every page there is: the folders of this room, and the addresses that each serves. The one list of them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route

from twinplane.web.console.changes import page as changes
from twinplane.web.console.components import page as components
from twinplane.web.console.control_planes import page as control_planes
from twinplane.web.console.entities import page as entities
from twinplane.web.console.network import page as network
from twinplane.web.console.node_certificates import page as node_certificates
from twinplane.web.console.nodes import page as nodes
from twinplane.web.console.traffic import page as traffic

PAGES = (control_planes, traffic, changes, entities, nodes, node_certificates, network, components)


def routes() -> Sequence[Route]:
    """The addresses of all pages, in the order in which they are tried."""
    return [route for page in PAGES for route in page.ROUTES]
