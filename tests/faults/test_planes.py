"""A control plane and a node as processes, traffic running: either is killed, cut off, slowed down, put back in time.

Times are scaled down. No request that a healthy upstream could serve may fail while the node itself is up, and what was
seen must be explained by what was written.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.faults.history import History, Write
from tests.faults.load import Load
from tests.faults.relay import Relay, relay_to
from tests.integration.installation import Client, Upstream, eventually
from tests.integration.planes import Planes

Figure = Callable[[str, float], None]
PATIENCE_S = 150.0
"""The machine may be busy. What is promised, and what was measured, stands in docs/resiliency.md."""


class Stage:
    """Both planes, a relay between them, an upstream, and what was done and seen."""

    def __init__(self, directory: Path, upstream: Upstream, stack: ExitStack) -> None:
        self.planes = Planes(directory)
        stack.callback(self.planes.stop)
        self.planes.start_control_plane(seconds=PATIENCE_S)
        self.relay: Relay = stack.enter_context(relay_to(self.planes.ports.platform))
        self.planes.join()
        self.history = History()
        self.planes.admin("PUT", "/services/flow", {"url": f"http://127.0.0.1:{upstream.port}/"})
        self.planes.admin("PUT", "/services/flow/routes/flow", {"paths": ["/flow"]})
        self.planes.admin("PUT", "/services/flow/routes/version", {"paths": ["/version"]})
        plugin = {"name": "request-termination", "config": {"status_code": 200, "message": "version-0"}}
        begun = time.monotonic()
        answer = self.planes.admin("POST", "/routes/version/plugins", plugin)
        assert answer.status == 201, answer.body
        self._plugin = answer.json()["id"]
        self.history.writes.append(Write(0, begun, time.monotonic()))
        self.start_node()
        self.agree()

    def start_node(self) -> None:
        dial = f"localhost:{self.relay.port}"
        self.planes.start_node(cluster_control_plane=dial, cluster_telemetry_endpoint=dial)

    def write(self) -> int:
        """The next version; the answer is its number."""
        version = max(write.version for write in self.history.writes) + 1
        begun = time.monotonic()
        change = {"config": {"message": f"version-{version}"}}
        answer = self.planes.admin("PATCH", f"/plugins/{self._plugin}", change)
        assert answer.status == 200, answer.body
        self.history.writes.append(Write(version, begun, time.monotonic()))
        return version

    def agree(self, seconds: float = PATIENCE_S) -> float:
        """Wait until the node is said to run what is expected of it; the answer is how long that took."""
        begun, covered = time.monotonic(), len(self.history.writes)
        eventually(self.planes.in_sync, seconds=seconds)
        ended = time.monotonic()
        self.history.agreements.append((ended, covered))
        return ended - begun

    def linked(self) -> bool:
        """Whether the node holds its link."""
        return bool(self.planes.status("GET", "/status").json()["control_plane"]["connected"])

    def load(self) -> Load:
        return Load(self.planes.ports.proxy, self.history)

    def check(self, load: Load) -> None:
        assert load.failures == []
        assert load.answered > 50
        assert self.history.violations() == []

    def footprint(self) -> tuple[int, int, int]:
        """Descriptors, threads and resident kilobytes of both planes."""
        totals = [0, 0, 0]
        for process in (self.planes.control_plane, self.planes.node):
            assert process is not None
            root = Path(f"/proc/{process.pid}")
            status = (root / "status").read_text()
            resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
            for place, value in enumerate(
                (len(os.listdir(root / "fd")), len(os.listdir(root / "task")), int(resident))
            ):
                totals[place] += value
        return totals[0], totals[1], totals[2]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        yield Stage(tmp_path_factory.mktemp("faults"), upstream, stack)


def test_the_control_plane_is_killed(stage: Stage, figure: Figure) -> None:
    with stage.load() as load:
        stage.write()
        stage.planes.kill(stage.planes.control_plane)
        time.sleep(6)
        served = load.answered
        stage.planes.start_control_plane(seconds=PATIENCE_S)
        began = time.monotonic()
        stage.write()
        stage.agree()
        figure("control plane killed: in sync again after its return, s", time.monotonic() - began)
        assert load.answered > served
    stage.check(load)


def test_the_control_plane_cannot_be_reached(stage: Stage, figure: Figure) -> None:
    with stage.load() as load:
        stage.relay.swallow()
        stage.write()
        time.sleep(5)
        stage.write()
        stage.relay.heal()
        figure("partition: in sync again after it ends, s", stage.agree())
    stage.check(load)


def test_the_control_plane_is_slow(stage: Stage, figure: Figure) -> None:
    with stage.load() as load:
        time.sleep(1)
        stage.relay.bytes_per_s, stage.relay.delay_s = 10_000, 3.0
        stage.write()
        took = stage.agree()
        figure("slow control plane (10 kB/s, 3 s for each piece): a change arrives after, s", took)
        stage.relay.bytes_per_s, stage.relay.delay_s = None, 0.0
        # Generous: the machine may be busy. A request that waited for the link would wait for seconds of its delay.
        assert load.slowest_s < 15
    stage.check(load)


def test_the_link_flaps(stage: Stage, figure: Figure) -> None:
    stage.agree()
    before, connections = stage.footprint(), stage.relay.connections_total
    with stage.load() as load:
        for _ in range(5):
            stage.relay.drop()
            stage.write()
            time.sleep(3)
        attempts = stage.relay.connections_total - connections
        figure("flapping every 3 s: in sync again after it ends, s", stage.agree())
    stage.check(load)
    # Two links, each dialled at most once in 5 s and once at its loss.
    assert attempts <= 14
    descriptors, threads, resident = (one - two for one, two in zip(stage.footprint(), before, strict=True))
    figure("flapping: descriptors more than before", descriptors)
    assert descriptors <= 12
    assert threads <= 12
    assert resident <= 48_000


def test_the_node_is_killed_while_the_control_plane_is_away(stage: Stage, figure: Figure) -> None:
    planes = stage.planes
    routes = {f"many-{number}": {"paths": [f"/many/{number}"]} for number in range(200)}
    for name, route in routes.items():
        assert planes.admin("PUT", f"/services/flow/routes/{name}", route).status == 200
    stage.write()
    stage.agree()
    with stage.load() as load:
        time.sleep(0.5)
        planes.kill(planes.control_plane)
        load.expect_failures(are_expected=True)
        planes.kill(planes.node)
        began = time.monotonic()
        stage.start_node()
        eventually(lambda: Client(planes.ports.proxy)("GET", "/many/199").status == 200)
        figure("node killed: serving again, its control plane away, s", time.monotonic() - began)
        load.expect_failures(are_expected=False)
        time.sleep(1)
        planes.start_control_plane(seconds=PATIENCE_S)
        stage.write()
        stage.agree()
    stage.check(load)


def test_the_control_plane_is_restored_from_a_backup(stage: Stage, figure: Figure, tmp_path: Path) -> None:
    planes = stage.planes
    stage.write()
    stage.agree()
    backup = tmp_path / "control.db"
    with closing(sqlite3.connect(planes.data / backup.name)) as source, closing(sqlite3.connect(backup)) as copied:
        source.backup(copied)
    backed_up = stage.history.writes[-1].version
    with stage.load() as load:
        for _ in range(3):
            stage.write()
        stage.agree()
        planes.kill(planes.control_plane)
        for path in planes.data.glob("control.db*"):
            path.unlink()
        shutil.copy2(backup, planes.data / backup.name)
        stage.history.writes.append(Write(backed_up, time.monotonic(), time.monotonic()))
        planes.start_control_plane(seconds=PATIENCE_S)
        began = time.monotonic()
        # What the restored store says of the node is as old as the backup: the node itself is asked.
        wanted = f"version-{backed_up}".encode()
        eventually(lambda: wanted in planes.proxy("GET", "/version").body, seconds=PATIENCE_S)
        figure("restored from a backup: the node runs what it says, s", time.monotonic() - began)
        stage.write()
        stage.agree()
    stage.check(load)
