"""What does one change cost in a large table, sent as a delta and sent whole, and how long until it is served?"""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench import processes, propagation
from bench.upstream import upstream
from twinplane.control import Actor, Control, Operation, Scope
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.wire import Issue
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.journal import JournaledCache

SIZES = tuple(int(size) for size in os.environ.get("BENCH_ENTITIES", "1000,10000,100000").split(","))
CHANGES = 10
_BATCH = 10_000
_PAYLOAD_MAX = 2**26
_T = TypeVar("_T")
_ACTOR = Actor("system", "bench", "bench")


def run(directory: Path) -> list[str]:
    """For each size: the steps of one change by delta, the same sent whole, and changes through an installation."""
    rows = [
        "| entities | | bytes | make, CPU ms | node without core, CPU ms | accepted to served, ms (median of "
        f"{CHANGES}) |",
        "|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        place = directory / str(size)
        place.mkdir()
        rows += _steps(place, size)
    return rows


def fill(directory: Path, size: int) -> tuple[Control, Scope]:
    """A control plane with a service and so many routes."""
    control = Control.open(directory, config_hash=config_hash)
    scope = control.control_planes.default(control.organizations.first().id, "us").scope
    control.changes.create(scope, _ACTOR, "services", {"name": "bench", "host": "127.0.0.1", "port": 9})
    for start in range(0, size, _BATCH):
        bodies = [
            {"name": f"r{number}", "paths": [f"/r{number}"], "service": {"name": "bench"}}
            for number in range(start, min(size, start + _BATCH))
        ]
        control.changes.apply(scope, _ACTOR, [Operation("create", "routes", body=body) for body in bodies])
    return control, scope


def _steps(directory: Path, size: int) -> list[str]:
    store = directory / "installation"
    control, scope = fill(store, size)
    plane = scope.control_plane_id
    wholes, first = _cpu_ms(lambda: Publication.of(control.export.payload(plane), now=1.0))
    whole_made, whole = _cpu_ms(lambda: first.shipment(None))
    keeper = _keeper(directory)
    whole_taken, _ = _cpu_ms(lambda: asyncio.run(keeper.receive(_payload(whole.frame), is_twin=True)))
    made, taken, sizes = [], [], []
    publication = first
    for number in range(CHANGES):
        control.changes.update(scope, _ACTOR, "routes", f"r{number * size // CHANGES}", {"paths": [f"/n{number}"]})
        before = publication

        def make(before: Publication = before) -> Publication:
            delta = control.export.delta(plane, before.epoch, before.revision)
            if delta is None:
                raise RuntimeError("no delta was made")
            return before.after(delta, now=1.0)

        spent, publication = _cpu_ms(make)
        shipment = publication.delta(before.revision, lambda *_: None)
        if shipment is None:
            raise RuntimeError("no delta was made")
        frame = _payload(shipment.frame)
        made.append(spent)
        sizes.append(shipment.payload_bytes)
        taken.append(_cpu_ms(lambda frame=frame: asyncio.run(keeper.receive(frame, is_twin=True)))[0])  # type: ignore[misc]
    if keeper.deltas_total != CHANGES or keeper.config_hash != publication.config_hash:
        raise RuntimeError("the node is not where it should be")
    control.close()
    served = _served(directory)
    return [
        f"| {size:,} | whole | {whole.payload_bytes:,} | {wholes + whole_made:.0f} | {whole_taken:.0f} | |",
        f"| | delta | {_median(sizes):,.0f} | {_median(made):.1f} | {_median(taken):.1f} | {_median(served):.0f} |",
    ]


def _served(directory: Path) -> list[float]:
    """Milliseconds from accepted changes to the node that serves them, through an installation on the filled store."""
    with upstream(directory) as up, processes.installation(directory) as ports:
        proxy = http.client.HTTPConnection("127.0.0.1", int(str(ports["proxy_port"])), timeout=120)

        def admin() -> http.client.HTTPConnection:
            # A kept one would be closed while the first configuration, which is large, is under way.
            return http.client.HTTPConnection("127.0.0.1", int(str(ports["admin_port"])), timeout=120)

        propagation.put(admin(), "/services/bench", {"url": f"http://127.0.0.1:{up.http}/"})
        propagation.change(admin(), proxy, CHANGES)
        return [propagation.change(admin(), proxy, number) for number in range(CHANGES)]


def _keeper(directory: Path) -> ConfigKeeper:
    """A node's end, with a core that takes everything at once."""

    def apply(_table: bytes) -> Sequence[Issue]:
        return ()

    prefix = directory / "prefix"
    prefix.mkdir()
    cache = JournaledCache(ConfigCache(prefix), prefix, bytes_max=_PAYLOAD_MAX)
    return ConfigKeeper(
        apply, cache, complete=lambda table: table, bytes_max=_PAYLOAD_MAX, on_served=lambda _table: None
    )


def _payload(frame: bytes) -> bytes:
    """What a server's frame carries."""
    length = frame[1] & 0x7F
    return frame[2 + {126: 2, 127: 8}.get(length, 0) :]


def _cpu_ms(work: Callable[[], _T]) -> tuple[float, _T]:
    """Milliseconds of processor time that something took, and what it gave."""
    began = time.process_time()
    found = work()
    return (time.process_time() - began) * 1000, found


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
