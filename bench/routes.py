"""Does a request cost more in a large table of routes, in either flavour, and how much memory does a route take?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench import tables
from bench.core import started_core
from bench.effort import Effort
from bench.load import Load
from bench.processes import resident_mib
from bench.table import Case, side_by_side
from bench.upstream import upstream

COUNTS = (10, 1_000, 10_000, 100_000)
LOAD = Load(path="/bench", headers=("Host: bench.example",))


def run(directory: Path, effort: Effort) -> list[str]:
    """A core for each flavour and size; memory is what its process has more than with the smallest table."""
    cases: list[Case] = []
    with upstream(directory) as up, ExitStack() as stack:
        for flavor in tables.FLAVORS:
            least = 0.0
            for count in effort.sizes(*COUNTS):
                table = tables.routes_table(directory / f"{flavor}-{count}.json", up.http, count, flavor)
                core, _ = stack.enter_context(started_core([table], flavor))
                memory = resident_mib(core.pids[0])
                least = least or memory
                each = (memory - least) * 1024 / count if memory > least else None
                cases.append(Case(flavor, f"{count} routes", core, LOAD, each))
        return side_by_side(cases, effort, base=f"{COUNTS[0]} routes", each="route")
