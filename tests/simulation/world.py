"""One run: a control plane, a few nodes, random writes and random faults, then a quiet time in which all must agree.

Everything follows from the seed. Promises are checked at every step and at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import shutil
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.ledger import Ledger, Place, Violation
from tests.simulation.loop import Killed, Process, Stalled, VirtualLoop, current_process
from tests.simulation.network import Network
from tests.simulation.planes import ControlPlaneProcess, EventShelf, Node, NodeProcess
from tests.simulation.stage import memory_directory, scenery, staged
from tests.simulation.stores import Body, Content, ModelShelf, Op, RealShelf, Shelf

from twinplane.control import NodeReport

SETTLE_S_MAX = 120.0
"""Within this time after the last fault all nodes run the newest configuration and all telemetry has arrived."""

_FLUSH_S_MAX = 1.5
_REFUSED = "refused-by-"


@dataclass
class Result:
    """What became of a run."""

    seed: int
    digest: str
    settled_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    violation: str = ""
    trace: list[str] = field(default_factory=list)


def simulate(seed: int, *, is_real: bool = False, keeps_trace: bool = False) -> Result:
    """Run one seed. `is_real`: on the real control room instead of the model."""
    scene = scenery()
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=memory_directory()))
    loop = VirtualLoop(random.Random(seed))
    errors = _Errors()
    logger = logging.getLogger("twinplane")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(errors)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    log_kept = loop.chance.choice([1000, 1000, 3])
    shelf: Shelf = (
        RealShelf(directory, scene.template, scene.plane)
        if is_real
        else ModelShelf(scene.plane, scene.certificate, log_kept)
    )
    world = World(loop, directory, shelf, trace_lines=None if keeps_trace else 40)
    violation = ""
    try:
        with staged(loop, world.on_call):
            try:
                loop.run_until_complete(world.live())
                if errors.found or loop.broken:
                    raise Violation(f"an error that should not be: {[*errors.found, *loop.broken][0]}")
            except (Violation, Stalled) as error:
                violation = f"{type(error).__name__}: {error}"
            finally:
                world.end()
                loop.bury()
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
        logger.propagate = propagates
        shutil.rmtree(directory, ignore_errors=True)
    return Result(seed, world.digest, world.settled_s, world.counts, violation, list(world.trace))


class _Errors(logging.Handler):
    """Keeps exceptions that the product caught and logged: none is expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            self.found.append(self.format(record))


class World:
    """All that there is in one run."""

    def __init__(self, loop: VirtualLoop, directory: Path, shelf: Shelf, *, trace_lines: int | None) -> None:
        self.trace: deque[str] = deque(maxlen=trace_lines)
        self.counts: dict[str, int] = {}
        self.settled_s = 0.0
        self._digest = hashlib.sha256()
        self._loop, self._shelf, self._chance = loop, shelf, loop.chance
        self._network = Network(loop)
        self._ledger = Ledger()
        self._events = EventShelf()
        self._plane: ControlPlaneProcess | None = None
        self._backups: list[tuple[object, dict[tuple[str, str], Body]]] = []
        self._is_quiet = False
        self._slow_until = 0.0
        """Until when a flush may take long."""
        self._failure: Violation | None = None
        scene, chance = scenery(), self._chance
        self._journal_from = chance.choice([0, 500, 1_048_576])
        self._records_max = chance.choice([100_000, 100_000, 40])
        self._has_telemetry = chance.random() < 0.6
        self._nodes = []
        for number in range(chance.choices([1, 2, 3, 4, 5], [40, 30, 16, 8, 6])[0]):
            home = directory / f"node-{number}"
            home.mkdir()
            self._nodes.append(Node(number, home, scene.der, scene.names))
        self._made = 0
        loop.on_killed = self._on_killed
        loop.on_executed = self._on_executed

    @property
    def digest(self) -> str:
        """A hash of everything that happened."""
        return self._digest.hexdigest()

    # --- a run ---

    async def live(self) -> None:
        """From the first start to the last check. Raises Violation."""
        chance, loop = self._chance, self._loop
        self._start_plane()
        for node in self._nodes:
            node.way.latency_s = chance.choice([0.0005, 0.005, 0.05])
            loop.call_later(chance.random() * 3, self._start_node, node)
        end = chance.uniform(10, 100)
        pace = chance.choice([0.3, 1.0, 3.0])
        faults = chance.sample(_FAULTS, k=chance.randint(2, len(_FAULTS)))
        actions = [(World._write, 10.0), (World._measure, 5.0 if self._has_telemetry else 0.0), *faults]
        while loop.time() < end and self._made < 60:
            await asyncio.sleep(chance.expovariate(1 / pace))
            action = chance.choices([one for one, _ in actions], [weight for _, weight in actions])[0]
            action(self)
            self._made += 1
            self._raise_failure()
        await self._settle()

    async def _settle(self) -> None:
        """The faults end; within a bounded time everything is as it should be."""
        self._is_quiet = True
        loop, began = self._loop, self._loop.time()
        self._note("quiet")
        loop.disk_delay_s = 0.002
        for node in self._nodes:
            node.way.heal()
            if node.run is not None:
                node.run.io_left = None
        for end in self._network.ends:
            end.cut_after = None
            end.resume()
        if self._plane is None:
            self._start_plane()
        for node in self._nodes:
            if node.run is None:
                self._start_node(node)
        self._unpoison()
        self._write()
        for node in self._nodes:
            # What was lost is told with the next batch.
            loop.call_later(30.0, node.measure, 1, began)
        why = "?"
        while loop.time() < began + SETTLE_S_MAX:
            await asyncio.sleep(1.0)
            self._raise_failure()
            why = self._unsettled()
            if not why:
                break
            self.settled_s = loop.time() - began
        if why:
            raise Violation(f"C4: after {SETTLE_S_MAX:g} s without a fault: {why}")
        while loop.time() < began + 60.0 or any(self._telemetry_waits(node) for node in self._nodes):
            if loop.time() > began + SETTLE_S_MAX + 60:
                raise Violation("T1: telemetry still waits long after the last fault")
            await asyncio.sleep(1.0)
        self._raise_failure()
        for node in self._nodes:
            self._check_telemetry(node)

    def _unsettled(self) -> str:
        """What is not yet as it should be."""
        assert self._plane is not None
        reported, expected = self._plane.store.node_hashes(), self._plane.store.expected_hash()
        for node in self._nodes:
            run = node.run
            assert run is not None
            if run.broken():
                raise Violation(f"a part of {node.name} ended: {run.broken()!r}")
            if run.core.serving != self._ledger.content(self._ledger.newest):
                return f"{node.name} serves {node.seen}, the newest is {self._ledger.newest}"
            if reported.get(node.id) != expected:
                return f"{node.name} is said to run {reported.get(node.id)}, expected is {expected}"
        return ""

    def _telemetry_waits(self, node: Node) -> bool:
        run = node.run
        return run is not None and run.backlog is not None and bool(len(run.backlog) or run.core.pending)

    def _check_telemetry(self, node: Node) -> None:
        if not self._has_telemetry:
            return
        stored = self._events.requests.get(node.id, [])
        if len(set(stored)) != len(stored):
            raise Violation(f"T4: {node.name} has requests stored twice")
        missing = set(range(1, node.measured + 1)) - set(stored)
        told = sum(count for (node_id, _), count in self._events.lost.items() if node_id == node.id)
        if not len(missing - node.excused) <= told <= len(missing) + node.doubted:
            raise Violation(f"T2: {node.name} told {told} lost, {len(missing)} are missing: {sorted(missing)}")

    def end(self) -> None:
        """Close what a run leaves open."""
        for node in self._nodes:
            if node.run is not None:
                _close_file(node.run)
        if self._plane is not None:
            self._plane.store.close()

    # --- what is watched ---

    def on_call(self, call: str) -> None:
        """A call to the operating system: the process that makes it may be killed here."""
        process = current_process()
        for node in self._nodes:
            run = node.run
            if run is not None and run.process is process and run.io_left is not None:
                run.io_left -= 1
                if run.io_left <= 0:
                    self._note(f"{node.name} is killed in {call}")
                    raise Killed

    def _on_executed(self, process: Process) -> None:
        for node in self._nodes:
            if node.run is not None and node.run.process is process:
                self._guard(self._observe, node)

    def _on_killed(self, process: Process) -> None:
        for node in self._nodes:
            if node.run is not None and node.run.process is process:
                self._kill_node(node)

    def _on_report(self, report: NodeReport) -> None:
        self._guard(self._check_report, report)

    def _guard(self, check: Any, *arguments: Any) -> None:
        """Product code around a check must not swallow what it finds."""
        try:
            check(*arguments)
        except Violation as violation:
            self._failure = self._failure or violation

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _observe(self, node: Node) -> None:
        """C1, C2, C5: what a node serves now."""
        run = node.run
        assert run is not None
        if run.keeper is None:
            return
        applied = run.keeper.applied()
        if applied.revision is None:
            if node.seen is not None:
                raise Violation(f"C2: {node.name} served {node.seen} and now serves nothing")
            return
        claim = (applied.epoch, applied.revision, applied.config_hash)
        if run.observed == (claim, run.core.serving):
            return
        run.observed = (claim, run.core.serving)
        place = self._place(claim, node.seen)
        if run.core.serving != self._ledger.content(place):
            raise Violation(f"C1: {node.name} says {self._at(place)}, and serves {run.core.serving}")
        if node.seen is not None and place < node.seen and run.core.serving != self._ledger.content(node.seen):
            raise Violation(f"C2: {node.name} went from {self._at(node.seen)} back to {self._at(place)}")
        if node.seen is None or place > node.seen:
            self._note(f"{node.name} serves {self._at(place)}")
            node.seen = place

    def _at(self, place: Place) -> str:
        one = self._ledger.published[place]
        return f"{place}:{one.revision}"

    def _place(self, claim: tuple[str | None, int | None, str], since: Place | None) -> Place:
        if not self._ledger.knows(claim):
            self._look()
        return self._ledger.place(claim, since)

    def _look(self) -> None:
        """A control plane may begin a new epoch by itself."""
        if self._plane is not None:
            store, process = self._plane.store, self._plane.process
            self._ledger.found(*store.position(), lambda: process.run(store.expected_hash))

    def _note_applied(self, node: Node, content: Content) -> None:
        """C1, C2: from this moment on requests see this, whatever becomes of the node's next step."""
        place = self._ledger.place_of(content, node.seen)
        if place is None:
            raise Violation(f"C1, C2: {node.name} serves {content}, not published since {node.seen}")
        node.seen = place

    def _check_report(self, report: NodeReport) -> None:
        """C3: a node reports what it serves, and never before it does."""
        node = next(one for one in self._nodes if one.id == report.node_id)
        ping = report.ping
        if ping is None or ping.revision is None:
            return
        place = self._place((ping.epoch, ping.revision, ping.config_hash), None)
        self._note(f"{node.name} is said to run {self._at(place)}")
        if node.seen is None or place > node.seen:
            raise Violation(f"C3: {node.name} reported {self._at(place)}, it served {node.seen} at most")

    # --- what happens ---

    def _start_plane(self) -> None:
        self._plane = ControlPlaneProcess(self._loop, self._shelf, self._events, self._on_report)
        self._look()
        self._note(f"control plane starts at {self._at(self._ledger.newest)}")

    def _start_node(self, node: Node) -> None:
        if node.run is not None:
            return
        node.run = NodeProcess(
            self._loop,
            node,
            self._network,
            records_max=self._records_max,
            journal_from=self._journal_from,
            has_telemetry=self._has_telemetry,
            refuses=lambda content: self._refusal(node, content),
            on_applied=lambda content: self._guard(self._note_applied, node, content),
        )
        self._note(f"{node.name} starts")
        try:
            node.run.start()
        except Killed:
            self._kill_node(node)
            return
        self._guard(self._observe, node)

    def _refusal(self, node: Node, content: Content) -> str | None:
        words = (f"{_REFUSED}{node.number}.", f"{_REFUSED}all.")
        return "refused by this core" if any(word in text for _, _, text in content for word in words) else None

    def _write(self) -> None:
        if self._plane is None:
            return
        for _ in range(self._chance.choice([1, 1, 1, 2, 4])):
            self._commit(self._some_ops())

    def _commit(self, ops: list[Op]) -> None:
        assert self._plane is not None
        store, process = self._plane.store, self._plane.process
        self._look()
        process.run(store.commit, ops)
        epoch, revision = store.position()
        self._note(f"revision {revision} is written")
        self._guard(self._ledger.wrote, ops, epoch, revision, process.run(store.expected_hash))

    def _some_ops(self) -> list[Op]:
        chance, entities = self._chance, dict(self._ledger.entities)
        ops: list[Op] = []
        for _ in range(chance.choice([1, 1, 2, 4])):
            op = self._some_op(entities)
            if op.body is None:
                del entities[op.type_name, op.id]
            else:
                entities[op.type_name, op.id] = op.body
            ops.append(op)
        return ops

    def _some_op(self, entities: dict[tuple[str, str], Body]) -> Op:
        chance = self._chance
        services = [entity_id for type_name, entity_id in entities if type_name == "services"]
        if services and chance.random() < 0.4:
            number = chance.randrange(6)
            body = {
                "name": f"r{number}",
                "paths": [f"/{chance.randrange(4)}"],
                "service": {"id": chance.choice(services)},
            }
            return Op("routes", f"aaaaaaaa-0000-4000-8000-{number:012d}", body)
        deletable = sorted(
            set(entities) - {("services", one["service"]["id"]) for one in entities.values() if "service" in one}
        )
        if deletable and chance.random() < 0.3:
            return Op(*chance.choice(deletable), None)
        number = chance.randrange(6)
        host = f"h{chance.randrange(4)}.example"
        if not self._is_quiet and chance.random() < 0.08:
            host = f"{_REFUSED}{chance.choice(['all', *map(str, range(len(self._nodes)))])}.example"
        return Op("services", f"bbbbbbbb-0000-4000-8000-{number:012d}", {"name": f"s{number}", "host": host})

    def _unpoison(self) -> None:
        poisoned = [(key, body) for key, body in self._ledger.entities.items() if _REFUSED in body.get("host", "")]
        if poisoned:
            self._commit([Op(type_name, one, body | {"host": "good.example"}) for (type_name, one), body in poisoned])

    def _measure(self) -> None:
        self._chance.choice(self._nodes).measure(self._chance.choice([1, 5, 30]), self._loop.time())

    def _kill_plane(self) -> None:
        if self._plane is None:
            return
        self._note("control plane is killed")
        self._loop.kill(self._plane.process)
        self._network.drop_process(self._plane.process)
        self._plane.store.close()
        self._plane = None
        self._loop.call_later(self._chance.uniform(0.1, 30), self._revive_plane)

    def _revive_plane(self) -> None:
        if self._plane is not None or self._is_quiet:
            return
        if self._backups and self._chance.random() < 0.3:
            copied, entities = self._chance.choice(self._backups)
            self._shelf.restore(copied)
            self._ledger.entities = dict(entities)
            self._ledger.is_restored = True
            self._note("a backup is restored")
        self._start_plane()

    def _back_up(self) -> None:
        if self._plane is not None:
            self._note("a backup is made")
            self._backups.append((self._shelf.backup(), dict(self._ledger.entities)))

    def _end_node(self) -> None:
        node = self._chance.choice(self._nodes)
        if node.run is None:
            return
        if self._chance.random() < 0.6:
            # Somewhere in the middle of writing a file.
            node.run.io_left = self._chance.randint(1, 40)
        else:
            self._kill_node(node)

    def _kill_node(self, node: Node) -> None:
        run = node.run
        if run is None:
            return
        self._note(f"{node.name} is killed")
        self._loop.kill(run.process)
        self._network.drop_process(run.process)
        _close_file(run)
        if run.backlog is not None:
            run.backlog.note_doubted()
        node.run = None
        age_s = node.note_killed(self._loop.time())
        if age_s > _FLUSH_S_MAX and self._loop.time() > self._slow_until:
            self._failure = self._failure or Violation(
                f"T3: a kill of {node.name} cost requests of {age_s:.1f} s before"
            )
        self._loop.call_later(self._chance.uniform(0.05, 20), self._restart_node, node)

    def _restart_node(self, node: Node) -> None:
        self._start_node(node)

    def _partition(self) -> None:
        chance = self._chance
        nodes = self._nodes if chance.random() < 0.3 else [chance.choice(self._nodes)]
        direction = chance.choice(["both", "both", "up", "down"])
        length_s = chance.choice([0.5, 5.0, 20.0, 60.0, 100.0])
        for node in nodes:
            self._note(f"{node.name} is cut off {direction}")
            node.way.is_blocked_up |= direction != "down"
            node.way.is_blocked_down |= direction != "up"
            self._loop.call_later(length_s, self._reconnect, node)

    def _reconnect(self, node: Node) -> None:
        node.way.is_blocked_up = node.way.is_blocked_down = False
        self._note(f"{node.name} can be reached")
        for end in self._network.ends:
            if end.way is node.way:
                end.resume()

    def _slow_down(self) -> None:
        chance, node = self._chance, self._chance.choice(self._nodes)
        node.way.bytes_per_s = chance.choice([None, 200.0, 10_000.0])
        node.way.latency_s = chance.choice([0.5, 2.0, 5.0])
        node.way.window = chance.choice([100, 2000, 65_536])
        self._note(f"{node.name} is far away")

    def _speed_up(self) -> None:
        node = self._chance.choice(self._nodes)
        node.way.bytes_per_s, node.way.latency_s, node.way.window = None, 0.002, 65_536

    def _cut(self) -> None:
        ends = [end for end in self._network.ends if not end.is_gone]
        if not ends:
            return
        end = self._chance.choice(ends)
        end.cut_after = self._chance.choice([0, self._chance.randrange(400), self._chance.randrange(4000)])
        self._note(f"a connection of {end.process.name} breaks after {end.cut_after} bytes")

    def _jump_clock(self) -> None:
        processes = [one.run.process for one in self._nodes if one.run] + ([self._plane.process] if self._plane else [])
        if processes:
            process = self._chance.choice(processes)
            process.clock_offset_s = self._chance.choice([-86_400.0, -3600.0, 0.0, 3600.0, 86_400.0, 250_000_000.0])
            self._note(f"the clock of {process.name} jumps to {process.clock_offset_s:+g}")

    def _slow_disks(self) -> None:
        self._slow_until = self._loop.time() + (20.0 if self._loop.disk_delay_s > 0.01 else 0.0)
        self._loop.disk_delay_s = self._chance.choice([0.0, 0.002, 0.05, 1.0])
        if self._loop.disk_delay_s > 0.01:
            self._slow_until = float("inf")

    def _note(self, text: str) -> None:
        line = f"{self._loop.time():10.4f} {text}"
        self._digest.update(line.encode() + b"\n")
        self.trace.append(line)
        kind = " ".join(word for word in text.split()[-2:] if not any(map(str.isdigit, word)))
        self.counts[kind] = self.counts.get(kind, 0) + 1


def _close_file(run: NodeProcess) -> None:
    """What the operating system does for a process that was killed."""
    backlog = run.backlog
    if backlog is not None and backlog._file >= 0:
        with contextlib.suppress(OSError):
            os.close(backlog._file)


_FAULTS = [
    (World._kill_plane, 2.0),
    (World._back_up, 1.0),
    (World._end_node, 3.0),
    (World._partition, 2.0),
    (World._slow_down, 1.5),
    (World._speed_up, 1.0),
    (World._cut, 4.0),
    (World._jump_clock, 1.0),
    (World._slow_disks, 1.0),
]
