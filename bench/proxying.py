"""What does a proxied request cost beside nginx, plain and with authentication, rate limit, headers and telemetry?"""

from __future__ import annotations

from pathlib import Path

from bench import configurations, processes
from bench.load import Measured, drive, median

ROUNDS = 3


def run(directory: Path) -> list[str]:
    """Rows of a Markdown table; the three proxies take turns, so that a drift of the machine meets all of them."""
    with (
        processes.upstream(directory) as upstream,
        processes.nginx_proxy(directory, upstream) as nginx,
        processes.node(directory, configurations.plain(upstream), "plain") as plain,
        processes.node(directory, configurations.full(upstream), "full") as full,
    ):
        runs: dict[str, list[Measured]] = {"nginx, plain": [], "twinplane, plain": [], "twinplane, full": []}
        for _ in range(ROUNDS):
            runs["nginx, plain"].append(drive(nginx))
            runs["twinplane, plain"].append(drive(plain))
            runs["twinplane, full"].append(drive(full, headers=(f"apikey: {configurations.KEY}",)))
    peer = median(runs["nginx, plain"])
    rows = ["| proxy | CPU us a request | x nginx | requests/s | p99 ms | failed |", "|---|---|---|---|---|---|"]
    for name, measured in runs.items():
        middle = median(measured)
        rows.append(
            f"| {name} | {middle.cpu_us:.1f} | {middle.cpu_us / peer.cpu_us:.2f} "
            f"| {middle.rate:.0f} | {middle.p99_ms:.1f} | {middle.failed} |"
        )
    return rows
