"""What do an accepted write, a page and an export cost on this disk, and how many entities may there be?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from twinplane.control import Actor, Control, Operation, Scope
from twinplane.hybrid.hashing import config_hash

WRITES = 300
ROUTES = 10_000
PAGE = 1000


def run(directory: Path) -> list[str]:
    """Single writes, each on disk when it returns; one batch of 10 k routes; then reading them in two ways."""
    control = Control.open(directory / "control", config_hash=config_hash)
    scope = control.control_planes.default(control.organizations.first().id, "us").scope
    actor = Actor("system", "bench", "bench")
    rows = ["| what | wall ms | CPU ms |", "|---|---|---|"]

    def ask(what: str, work: Callable[[], object], times: int = 1) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            work()
        wall, cpu = (time.perf_counter() - wall) * 1000 / times, (time.process_time() - cpu) * 1000 / times
        rows.append(f"| {what} | {wall:.2f} | {cpu:.2f} |")

    ask("fsync of 4 KiB on this disk", lambda: _fsync(directory / "probe"), WRITES)
    numbers = iter(range(WRITES))
    ask(
        "create a service",
        lambda: control.changes.create(scope, actor, "services", {"name": f"s{next(numbers)}", "host": "h"}),
        WRITES,
    )
    numbers = iter(range(WRITES))
    ask(
        "change a service",
        lambda: control.changes.update(scope, actor, "services", f"s{next(numbers)}", {"retries": 1}),
        WRITES,
    )
    ask(f"create {ROUTES:,} routes in one batch", lambda: _fill(control, scope, actor))
    ask(f"a page of {PAGE:,} routes", lambda: control.changes.page(scope, "routes", size=PAGE), 10)
    export = control.export.payload(scope.control_plane_id)
    ask("export of all of it", lambda: control.export.payload(scope.control_plane_id).json(), 5)
    ask("its hash", lambda: config_hash(export.config_table), 5)
    rows += ["", f"The payload has {len(export.json()) / 1e6:.1f} MB."]
    control.close()
    return rows


def _fill(control: Control, scope: Scope, actor: Actor) -> None:
    service = control.changes.get(scope, "services", "s0")
    control.changes.apply(
        scope,
        actor,
        [
            Operation(
                "create",
                "routes",
                body={"name": f"r{number}", "paths": [f"/r{number}"], "service": {"id": service["id"]}},
            )
            for number in range(ROUTES)
        ],
    )


def _fsync(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
