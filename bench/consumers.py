"""Does a request cost more among many consumers, and how much memory does a consumer with a key take?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench import configurations, tables
from bench.core import started_core
from bench.effort import Effort
from bench.load import Load
from bench.processes import resident_mib
from bench.table import Case, side_by_side
from bench.upstream import upstream

COUNTS = (10, 1_000, 100_000, 1_000_000)
LOAD = Load(headers=(f"apikey: {configurations.KEY}",))


def run(directory: Path, effort: Effort) -> list[str]:
    """A core for each size, with key-auth and rate-limiting."""
    cases: list[Case] = []
    with upstream(directory) as up, ExitStack() as stack:
        least = 0.0
        for count in effort.sizes(*COUNTS):
            table = tables.consumers_table(directory / f"{count}.json", up.http, count)
            core, _ = stack.enter_context(started_core([table]))
            memory = resident_mib(core.pids[0])
            least = least or memory
            each = (memory - least) * 1024 / count if memory > least else None
            cases.append(Case("key-auth, rate-limiting", f"{count} consumers", core, LOAD, each))
        return side_by_side(cases, effort, base=f"{COUNTS[0]} consumers", each="consumer")
