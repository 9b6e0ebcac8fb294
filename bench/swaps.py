"""Is a new table of 10,000 routes noticed by those who ask meanwhile?"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench import tables
from bench.core import started_core
from bench.effort import Effort
from bench.load import drive
from bench.routes import LOAD
from bench.table import Case, rendered
from bench.upstream import upstream

COUNT = 10_000
PAUSE_S = 0.4


def run(directory: Path, effort: Effort) -> list[str]:
    """The table is replaced again and again by the core while requests flow."""
    with upstream(directory) as up:
        count = min(COUNT, effort.entities_max)
        flavor = tables.FLAVORS[0]
        paths = [tables.routes_table(directory / f"{each}.json", up.http, count, flavor, each) for each in (0, 1)]
        with started_core(paths) as (proxy, apply):
            quiet, busy = Case("p99", "no swap", proxy), Case("p99", "swaps", proxy)
            taken_ms: list[float] = []
            is_over = threading.Event()

            def swap() -> None:
                while not is_over.wait(PAUSE_S):
                    began = time.perf_counter()
                    apply((len(taken_ms) + 1) % 2)
                    taken_ms.append((time.perf_counter() - began) * 1000)

            quiet.runs.append(drive(proxy, LOAD, effort.seconds))
            swapper = threading.Thread(target=swap)
            swapper.start()
            busy.runs.append(drive(proxy, LOAD, max(effort.seconds, 4), warms=False))
            is_over.set()
            swapper.join()
    busy.name = f"{len(taken_ms)} swaps of {count} routes, {sorted(taken_ms)[len(taken_ms) // 2]:.0f} ms each"
    return rendered([quiet, busy], base="no swap")
