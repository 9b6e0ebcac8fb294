"""What do bodies cost, in answers and in requests, from 64 bytes to 1 MiB?"""

from __future__ import annotations

from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load
from bench.peers import peers
from bench.table import Case, side_by_side
from bench.upstream import SIZES, upstream


def run(directory: Path, effort: Effort) -> list[str]:
    """Each size down and up, over HTTP/1.1; the route passes bodies on as they come, as the peers do."""
    loads = {f"{size} down": Load(path=f"/bytes/{count}") for size, count in SIZES.items()}
    loads |= {f"{size} up": Load(path="/drop", body_bytes=count) for size, count in SIZES.items()}
    with (
        upstream(directory) as up,
        peers(directory, up) as others,
        processes.node(directory, configurations.streamed(up.http)) as ours,
    ):
        cases = [
            Case(asked, name, proxy, load)
            for asked, load in loads.items()
            for name, proxy in [*others.items(), ("twinplane", ours)]
        ]
        return side_by_side(cases, effort)
