"""Does a request cost more in a large table of routes, how much memory does a route take, and is a swap noticed?"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench import configurations, processes
from bench.load import drive, median

COUNTS = (10, 1_000, 10_000, 100_000)
ROUNDS = 3
HEADERS = ("Host: bench.example",)


def run(directory: Path) -> list[str]:
    """A row for each size of the table."""
    rows = ["| routes | CPU us a request | x 10 routes | node RSS MiB | KiB a route |", "|---|---|---|---|---|"]
    base_cpu = base_memory = 0.0
    with processes.upstream(directory) as upstream:
        for count in COUNTS:
            table = configurations.many_routes(upstream, count)
            with processes.node(directory, table, f"routes-{count}") as proxy:
                measured = median([drive(proxy, "/bench", 4, HEADERS) for _ in range(ROUNDS)])
                memory = processes.resident_mib(proxy.pids[0])
            base_cpu, base_memory = base_cpu or measured.cpu_us, base_memory or memory
            each = (memory - base_memory) * 1024 / count
            rows.append(
                f"| {count} | {measured.cpu_us:.1f} | {measured.cpu_us / base_cpu:.2f} | {memory:.0f} | {each:.2f} |"
            )
    return rows


def run_swaps(directory: Path) -> list[str]:
    """10 000 routes replaced again and again by the node's core while requests flow."""
    from bench.core import started_core  # noqa: PLC0415 - the core is built for this question only

    count, swaps = 10_000, 10
    with processes.upstream(directory) as upstream:
        payloads = [configurations.many_routes(upstream, count, generation=each) for each in (0, 1)]
        with started_core(payloads) as (proxy, apply):
            quiet = drive(proxy, "/bench", 6, HEADERS)
            taken: list[float] = []

            def swap() -> None:
                for number in range(swaps):
                    time.sleep(0.4)
                    began = time.perf_counter()
                    apply(number % 2)
                    taken.append(time.perf_counter() - began)

            swapper = threading.Thread(target=swap)
            swapper.start()
            busy = drive(proxy, "/bench", 8, HEADERS)
            swapper.join()
    return [
        "| 10 k routes | p99 ms | failed | apply ms, median |",
        "|---|---|---|---|",
        f"| no swap | {quiet.p99_ms:.1f} | {quiet.failed} | |",
        f"| {swaps} swaps in 8 s | {busy.p99_ms:.1f} | {busy.failed} | {sorted(taken)[len(taken) // 2] * 1000:.0f} |",
    ]
