"""Promise 4: a write that was acknowledged survives `kill -9`; one that was not is there whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twinplane.control import Control
from twinplane.hybrid.hashing import config_hash

BATCH = 20
SEED = 20261121

WRITER = f"""
import sys
from pathlib import Path
from twinplane.control import Actor, Control, Operation

control = Control.open(Path(sys.argv[1]), config_hash=lambda table: "")
scope = control.control_planes.default(control.organizations.first().id, "us").scope
actor = Actor("user", "u", "writer")
start = int(sys.argv[2])
for number in range(start, start + 100_000):
    if number % 3:
        control.changes.create(scope, actor, "services", {{"name": f"one-{{number}}", "host": "h", "tags": ["t"]}})
    else:
        control.changes.apply(scope, actor, [
            Operation("create", "services", body={{"name": f"many-{{number}}-{{part}}", "host": "h"}})
            for part in range({BATCH})
        ])
    print(number, flush=True)
"""


def _write_until_killed(directory: Path, start: int, acknowledged_max: int) -> list[int]:
    """Let a process write until it has acknowledged so many, kill it at once, and tell what it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(start)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    acknowledged = []
    for line in child.stdout:
        acknowledged.append(int(line))
        if len(acknowledged) == acknowledged_max:
            child.send_signal(signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, "the writer ended by itself"
    return acknowledged


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_acknowledged_writes_survive_kill_9_and_batches_are_whole(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    acknowledged: list[int] = []
    start = 1
    for _ in range(3):
        acknowledged += _write_until_killed(tmp_path, start, chance.randint(3, 60))
        control = Control.open(tmp_path, config_hash=config_hash)
        scope = control.control_planes.default(control.organizations.first().id, "us").scope
        rows = control.export.payload(scope.control_plane_id).config_table["services"]
        history = control.history.list(scope, size=1000)
        control.close()

        names = {row["name"] for row in rows}
        kept = {int(name.split("-")[1]) for name in names}
        assert set(acknowledged) <= kept
        # What was under way when the process died may be there, and nothing else.
        assert len(kept - set(acknowledged)) <= 3
        for number in kept:
            parts = {name for name in names if name.startswith(f"many-{number}-")}
            assert len(parts) == (0 if number % 3 else BATCH)
        assert len(names) == len(rows)
        revisions = sorted({change.revision for change in history})
        assert revisions == list(range(revisions[0], revisions[-1] + 1))
        start = max(kept) + 1
