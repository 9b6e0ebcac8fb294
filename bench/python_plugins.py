"""What does a plugin in Python cost a request: phases that read a header and set one, as `def` and `async def`?"""

from __future__ import annotations

import os
from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load
from bench.table import Case, side_by_side
from bench.upstream import upstream

BASE = "no plugin"

CODE = '''
from twinplane.pdk import Config, Context, Plugin, Request, Response


class Marks(Plugin[Config]):
    """One phase."""

    name = "marks"

    def access(self, request: Request, ctx: Context, config: Config) -> None:
        request.headers["X-Marked"] = request.headers.get("User-Agent", "none")


class MarksTwice(Plugin[Config]):
    """Two phases."""

    name = "marks-twice"

    def access(self, request: Request, ctx: Context, config: Config) -> None:
        request.headers["X-Marked"] = request.headers.get("User-Agent", "none")

    def header_filter(self, response: Response, ctx: Context, config: Config) -> None:
        response.headers["X-Marked"] = str(response.status)


class MarksAsync(Plugin[Config]):
    """One phase that is a coroutine."""

    name = "marks-async"

    async def access(self, request: Request, ctx: Context, config: Config) -> None:
        request.headers["X-Marked"] = request.headers.get("User-Agent", "none")
'''
CLASSES = {"marks": "Marks", "marks-twice": "MarksTwice", "marks-async": "MarksAsync"}


def run(directory: Path, effort: Effort) -> list[str]:
    """One node with a route for each; a plugin in Rust beside them."""
    asked = {
        BASE: [],
        "in Rust (correlation-id)": ["correlation-id"],
        "in Python, one phase": ["marks"],
        "in Python, two phases": ["marks-twice"],
        "in Python, one phase, `async`": ["marks-async"],
    }
    routes: dict[str, list[dict[str, object]]] = {
        name: [{"name": plugin} for plugin in listed] for name, listed in asked.items()
    }
    settings = f"plugins = bundled, {', '.join(CLASSES)}\n"
    environ = _installed(directory / "site")
    with (
        upstream(directory) as up,
        processes.node(
            directory, configurations.routes_with_plugins(up.http, routes), settings=settings, environ=environ
        ) as ours,
    ):
        cases = [
            Case(name, BASE if name == BASE else "twinplane", ours, Load(path=f"/{configurations.path_of(name)}"))
            for name in asked
        ]
        return side_by_side(cases, effort, base=BASE)


def _installed(site: Path) -> dict[str, str]:
    """A distribution of its own on the path of the nodes."""
    facts = site / "marks-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: marks\nVersion: 1.0\n")
    entries = "".join(f"{name} = marks:{title}\n" for name, title in CLASSES.items())
    (facts / "entry_points.txt").write_text(f"[twinplane.plugins]\n{entries}")
    (site / "marks.py").write_text(CODE)
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "python")])}
