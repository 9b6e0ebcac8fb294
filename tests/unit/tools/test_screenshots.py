"""The list of pages that are looked at: every page of the console is on it, each once."""

from __future__ import annotations

import re
from collections import Counter

from starlette.routing import Match
from tools.screenshots.views import View, every_plugin, views

from twinplane.registry import plugin_types
from twinplane.web.console import pages
from twinplane.web.console.sign_in.page import SignIn

NO_PAGE = re.compile(r"(/(events|waiting|lookup)|\.json)$")


def _path(view: View) -> str:
    """A path of the shape that the view asks for."""
    path = re.sub(r"^\{[a-z]+\}", "/us/control-planes/x", view.path.partition("?")[0])
    return re.sub(r"\{[^}]+\}", "x", path)


def test_every_page_is_looked_at() -> None:
    seen = {_path(view) for view in views()}
    for route in (*pages.routes(), *SignIn().routes):
        if "GET" not in (route.methods or ()) or NO_PAGE.search(route.path) or route.path == "/":
            continue
        scopes = [{"type": "http", "method": "GET", "path": path} for path in seen]
        assert any(route.matches(scope)[0] is Match.FULL for scope in scopes), route.path


def test_names_are_given_once() -> None:
    assert [name for name, times in Counter(view.name for view in views()).items() if times > 1] == []
    assert {view.name for view in every_plugin()} == {f"plugin-new-{name}" for name in plugin_types()}
