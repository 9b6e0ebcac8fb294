"""What does a plugin in Python cost a request: phases that read a header and set one, as `def` and `async def`?"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from bench import configurations, processes
from bench.load import Measured, drive, median

ROUNDS = 3

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


def run(directory: Path) -> list[str]:
    """Rows of a Markdown table; the nodes take turns, so that a drift of the machine meets all of them."""
    environ = _installed(directory / "site")
    settings = f"plugins = bundled, {', '.join(CLASSES)}\n"

    def with_plugin(upstream: int, name: str) -> dict[str, object]:
        return {**configurations.plain(upstream), "plugins": [{"name": name}]}

    def node(upstream: int, name: str) -> AbstractContextManager[processes.Proxy]:
        return processes.node(directory, with_plugin(upstream, name), name, settings=settings, environ=environ)

    with (
        processes.upstream(directory) as upstream,
        processes.node(directory, configurations.plain(upstream), "plain") as plain,
        processes.node(directory, with_plugin(upstream, "correlation-id"), "rust") as rust,
        node(upstream, "marks") as one,
        node(upstream, "marks-twice") as two,
        node(upstream, "marks-async") as coroutine,
    ):
        asked = {
            "no plugin": plain,
            "one in Rust (correlation-id)": rust,
            "one in Python, one phase": one,
            "one in Python, two phases": two,
            "one in Python, one phase, `async`": coroutine,
        }
        runs: dict[str, list[Measured]] = {name: [] for name in asked}
        for _ in range(ROUNDS):
            for name, proxy in asked.items():
                runs[name].append(drive(proxy))
    base = median(runs["no plugin"])
    rows = [
        "| route with | CPU us a request | more than none | requests/s | p99 ms | failed |",
        "|---|---|---|---|---|---|",
    ]
    for name, measured in runs.items():
        middle = median(measured)
        rows.append(
            f"| {name} | {middle.cpu_us:.1f} | {middle.cpu_us - base.cpu_us:.1f} "
            f"| {middle.rate:.0f} | {middle.p99_ms:.1f} | {middle.failed} |"
        )
    return rows


def _installed(site: Path) -> dict[str, str]:
    """A distribution of its own on the path of the nodes."""
    facts = site / "marks-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: marks\nVersion: 1.0\n")
    entries = "".join(f"{name} = marks:{title}\n" for name, title in CLASSES.items())
    (facts / "entry_points.txt").write_text(f"[twinplane.plugins]\n{entries}")
    (site / "marks.py").write_text(CODE)
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "python")])}
