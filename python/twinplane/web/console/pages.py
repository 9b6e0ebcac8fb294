"""Every page there is: the folders of this room, and the addresses that each serves. The one list of them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route

from twinplane.web.console.components import page as components
from twinplane.web.console.control_planes import page as control_planes
from twinplane.web.console.entities import page as entities

PAGES = (control_planes, entities, components)


def routes() -> Sequence[Route]:
    """The addresses of all pages, in the order in which they are tried."""
    return [route for page in PAGES for route in page.ROUTES]
