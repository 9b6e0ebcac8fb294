"""What does a request cost, plain and with authentication, rate limit, headers and telemetry?"""

from __future__ import annotations

from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load
from bench.peers import nginx_proxy, peers
from bench.table import Case, side_by_side
from bench.upstream import upstream


def run(directory: Path, effort: Effort) -> list[str]:
    """1 KiB over HTTP/1.1. Both sets are related to plain nginx."""
    keyed = Load(headers=(f"apikey: {configurations.KEY}",))
    with (
        upstream(directory) as up,
        peers(directory, up) as others,
        nginx_proxy(directory, up, full_with_key=configurations.KEY) as nginx_full,
        processes.node(directory, configurations.plain(up.http), "plain") as plain,
        processes.node(directory, configurations.full(up.http), "full") as full,
    ):
        cases = [Case("plain", name, proxy) for name, proxy in [*others.items(), ("twinplane", plain)]]
        cases += [Case("full", "nginx, nearest to it", nginx_full, keyed), Case("full", "twinplane", full, keyed)]
        return side_by_side(cases, effort)
