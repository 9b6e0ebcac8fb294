"""The page that shows every token and every part, for whoever builds the next page."""

from __future__ import annotations

import re

from starlette.responses import Response
from starlette.routing import Route

from twinplane.web.console.assets import ROOT
from twinplane.web.console.place import Place
from twinplane.web.console.visit import Visit

_TOKEN = re.compile(r"--([a-z0-9-]+):")


async def show(visit: Visit) -> Response:
    """Everything on one page."""
    visit.section = "components"
    visit.at("Components")
    styles = (ROOT / "frame" / "tokens.css").read_text(encoding="utf-8").partition("@media")[0]
    names = list(dict.fromkeys(_TOKEN.findall(styles)))
    colours = [name for name in names if not name.startswith(("font", "mono", "text-", "space-", "radius", "shadow"))]
    places = [Place("One", "/components"), Place("Two", "/components#two")]
    return visit.page("components/gallery.html", colours=colours, places=places)


ROUTES = (Route("/components", show, methods=["GET"]),)
