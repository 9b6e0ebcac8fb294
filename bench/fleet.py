"""What do 1,000 nodes cost one control plane: connecting, being there, taking a change, losing their control plane?"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import processes
from twinplane.control import Actor, Control
from twinplane.control.change import Operation
from twinplane.hybrid.hashing import config_hash
from twinplane.node.authority import self_signed

NODES = int(os.environ.get("BENCH_NODES", "1000"))
NODE_PROCESSES = 2
STEADY_S = 60.0
CHANGES = 10
ENTITIES = (1_000, 10_000, 100_000)


def run(directory: Path) -> list[str]:
    """Connect storm, steady state, changes to all, restart; with the aims beside."""
    with Plane(directory) as plane, Fleet(plane, NODES) as fleet:
        plane.load(1_000)
        rows = ["| moment | figure |", "|---|---|"]
        began, cpu = time.time(), plane.cpu()
        fleet.start()
        done = fleet.until_revision(plane.revision(), began)
        rows.append(
            f"| {NODES} nodes connect and run 1,000 entities | {done:.1f} s, {plane.cpu() - cpu:.1f} s of CPU |"
        )
        rows.append(f"| memory of the control plane then | {plane.memory():.0f} MiB |")
        cpu = plane.cpu()
        time.sleep(STEADY_S)
        rows.append(f"| steady: pings of {NODES} nodes | {(plane.cpu() - cpu) / STEADY_S * 100:.1f} % of one core |")
        rows += _changes(plane, fleet)
        rows += _restart(plane, fleet)
        rows.append(f"| memory of the control plane at the end | {plane.memory():.0f} MiB |")
    return rows


def run_sizes(directory: Path) -> list[str]:
    """One node, tables of growing size: a whole configuration, and one change of it."""
    rows = [
        "| entities | full MiB | full s | delta bytes | delta s, median of 5 | memory MiB |",
        "|---|---|---|---|---|---|",
    ]
    for entities in ENTITIES:
        place = directory / str(entities)
        place.mkdir()
        with Plane(place) as plane, Fleet(plane, 1) as fleet:
            plane.load(entities)
            revision, began = plane.revision(), time.time()
            fleet.start()
            fleet.until_revision(revision, began, seconds=300)
            # Joining a control plane that has published nothing yet: export, hashes, compression and the way.
            full = next(event for event in fleet.events if event[0] == "full")
            taken, size = [], 0
            for number in range(5):
                began = time.time()
                revision = plane.change(number)
                taken.append(fleet.until_revision(revision, began, seconds=300))
                size = fleet.events[-1][4]
            rows.append(
                f"| {entities:,} | {full[4] / 2**20:.2f} | {full[2] - fleet.started_at:.2f} | {size:,} "
                f"| {sorted(taken)[2]:.2f} | {plane.memory():.0f} |"
            )
    return rows


def _changes(plane: Plane, fleet: Fleet) -> list[str]:
    reached, acknowledged, bytes_sent = [], [], 0
    cpu = plane.cpu()
    for number in range(CHANGES):
        before = fleet.bytes_received
        began = time.time()
        revision = plane.change(number)
        reached.append(fleet.until_revision(revision, began))
        while plane.in_sync() < NODES:
            time.sleep(0.05)
        acknowledged.append(time.time() - began)
        bytes_sent += fleet.bytes_received - before
    reached.sort()
    acknowledged.sort()
    middle = CHANGES // 2
    return [
        f"| one change reaches all {NODES} | median {reached[middle]:.2f} s, longest {reached[-1]:.2f} s |",
        f"| and all have acknowledged it | median {acknowledged[middle]:.2f} s, longest {acknowledged[-1]:.2f} s |",
        f"| bytes of a change to a node; CPU of a change to all | {bytes_sent / CHANGES / NODES:.0f}; "
        f"{(plane.cpu() - cpu) / CHANGES:.2f} s |",
    ]


def _restart(plane: Plane, fleet: Fleet) -> list[str]:
    fleet.forget()
    plane.kill()
    time.sleep(1)
    began = time.time()
    plane.start()
    back = time.time() - began
    done = fleet.until_connected(NODES, began)
    revision = plane.change(99)
    fleet.until_revision(revision, began)
    seconds = Counter(int(at - began) for kind, _, at, *_ in fleet.events if kind == "connected")
    full = sum(1 for event in fleet.events if event[0] == "full")
    return [
        f"| control plane killed, started again (answers after {back:.1f} s) | all back after {done:.1f} s, "
        f"at most {max(seconds.values()) * 100 / NODES:.0f} % in one second, {full} whole configurations sent |",
    ]


class Plane:
    """A control plane process with one control plane, and its Admin API."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port, self._admin = processes.free_port(), processes.free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Plane:
        self.start()
        self._join()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    def start(self) -> None:
        """Start it and wait until it is well."""
        command = [
            *(sys.executable, "-m", "twinplane", "control-plane", "--data", str(self.data), "--listen", "127.0.0.1"),
            *("--port", str(self.port), "--admin-port", str(self._admin), "--audit-listen", "off"),
        ]
        with (self.directory / "control-plane.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self._call("GET", "/health")[0] == 200:
                    return
            time.sleep(0.05)
        raise TimeoutError("the control plane does not answer")

    def kill(self) -> None:
        """Without warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def pems(self) -> tuple[Path, Path, Path]:
        """Certificate and key of the nodes, and whom they trust."""
        return self.directory / "node.pem", self.directory / "node.key", self.data / "ca.pem"

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        assert self._process is not None
        return processes.cpu_seconds([self._process.pid])

    def memory(self) -> float:
        """Resident MiB."""
        assert self._process is not None
        return processes.resident_mib(self._process.pid)

    def load(self, entities: int) -> None:
        """Services and routes, half of each, by batches of the declarative endpoint's own size."""
        self.kill()
        control = Control.open(self.data, config_hash=config_hash)
        organization = control.organizations.first()
        scope = control.control_planes.default(organization.id, "us").scope
        actor = Actor("system", "bench", "bench")
        operations: list[Operation] = []
        for number in range(entities // 2):
            name = f"s{number}"
            operations.append(Operation("create", "services", body={"name": name, "host": f"{name}.example"}))
            route = {"name": name, "paths": [f"/{name}"], "service": {"name": name}}
            operations.append(Operation("create", "routes", body=route))
        for start in range(0, len(operations), 1000):
            control.changes.apply(scope, actor, operations[start : start + 1000])
        control.close()
        self.start()

    def change(self, number: int) -> int:
        """One accepted write. The answer is its revision."""
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=60)
        body = json.dumps({"retries": number % 100, "tags": [str(time.time_ns())]})
        connection.request("PATCH", "/services/s1", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {data!r}")
        return self.revision()

    def revision(self) -> int:
        """The newest revision, read from the store."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/control.db?mode=ro", uri=True)) as store:
            found: int = store.execute("SELECT revision FROM control_plane WHERE name = 'default'").fetchone()[0]
            return found

    def in_sync(self) -> int:
        """How many nodes have acknowledged what is expected."""
        path = f"/v2/control-planes/{self.id}"
        expected = self._call("GET", f"{path}/expected-config-hash")[1]["expected_hash"]
        found, cursor = 0, ""
        while True:
            nodes = self._call("GET", f"{path}/nodes?page.size=1000&page%5Bsize%5D=1000{cursor}")[1]
            found += sum(node["config_hash"] == expected for node in nodes["items"])
            following = nodes["page"].get("next_cursor")
            if not following:
                return found
            cursor = f"&page.next_cursor={following}&page%5Bafter%5D={following}"

    def _join(self) -> None:
        found = self._call("GET", "/v2/control-planes")[1]["data"][0]
        self.id = found["id"]
        self.server_name = found["config"]["control_plane_endpoint"].removeprefix("https://").partition(":")[0]
        identity = self_signed("bench", days=1, client=True)
        (self.directory / "node.pem").write_text(identity.certificate)
        (self.directory / "node.key").write_text(identity.key)
        self._call("POST", f"/v2/control-planes/{self.id}/dp-client-certificates", {"cert": identity.certificate})

    def _call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        context = (
            ssl.create_default_context(cafile=str(self.data / "ca.pem")) if (self.data / "ca.pem").exists() else None
        )
        if context is None:
            return 0, None
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=60)
        token = (self.data / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data) if data else None


@dataclass
class Fleet:
    """Simulated nodes in a few processes, and everything that they told."""

    plane: Plane
    count: int
    events: list[list[Any]] = field(default_factory=list)
    started_at: float = 0.0

    def __enter__(self) -> Fleet:
        self._queue: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._revisions: dict[int, int] = {}
        self._connected: set[int] = set()
        self.bytes_received = 0
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def start(self) -> None:
        """All nodes, within a second."""
        self.started_at = time.time()
        parts = min(NODE_PROCESSES, self.count)
        for part in range(parts):
            first = self.count * part // parts
            settings = {
                "port": self.plane.port, "server_name": self.plane.server_name, "first": first,
                "count": self.count * (part + 1) // parts - first, "deltas": True,
                "pems": [path.read_text() for path in self.plane.pems],
            }  # fmt: skip
            with (self.plane.directory / f"nodes-{part}.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "bench.fleet_nodes", json.dumps(settings)],
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
            self._processes.append(process)
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def until_revision(self, revision: int, began: float, seconds: float = 120) -> float:
        """Wait until every node has been sent this revision; the seconds from `began` to the last of them."""
        return self._until(lambda: self._at(revision) == self.count, began, seconds)

    def until_connected(self, count: int, began: float, seconds: float = 120) -> float:
        """Wait until so many have connected since `forget`."""
        return self._until(lambda: len(self._connected) == count, began, seconds)

    def forget(self) -> None:
        """Count connections anew."""
        self._take()
        self.events.clear()
        self._connected.clear()

    def _at(self, revision: int) -> int:
        return sum(1 for known in self._revisions.values() if known >= revision)

    def _until(self, is_done: Any, began: float, seconds: float) -> float:
        deadline = time.monotonic() + seconds
        while not is_done():
            if time.monotonic() > deadline:
                told = Counter(event[0] for event in self.events)
                raise TimeoutError(f"not within {seconds} s: {told}")
            time.sleep(0.02)
            self._take()
        return max((event[2] for event in self.events), default=began) - began

    def _take(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._queue.get_nowait()
                kind, number, _, revision, size, _ = event
                self.events.append(event)
                self.bytes_received += size
                if kind == "connected":
                    self._connected.add(number)
                elif kind in ("full", "delta"):
                    self._revisions[number] = revision

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._queue.put(json.loads(line))
