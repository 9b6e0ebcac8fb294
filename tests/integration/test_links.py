"""Node and control plane joined over TLS, through both ends of the product: configuration down, telemetry up."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.certificates import Authority, Leaf
from tests.control_room import open_platform
from tests.integration.front_door import FrontDoor
from tests.integration.link_peer import eventually

from twinplane.control import Actor
from twinplane.control.analytics import Analytics, MetricsQuery, Period, RecordsQuery, Reporter, Retention
from twinplane.hybrid.client import LinkClient, LinkTimes
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.hybrid.wire import BasicInfo, Issue, NodeQuery
from twinplane.node.backlog import Backlog
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.telemetry import TelemetrySender, TelemetryTimes
from twinplane.store.events import EventStore, EventStoreSettings
from twinplane.telemetry.ingest import Ingest

ACTOR = Actor("user", "u", "tester")
NODE = "7bd5e9b4-1111-4222-8333-444455556666"
TIMES = TelemetryTimes(flush_interval_s=0.05, reconnect_min_s=0.05, reconnect_max_s=0.1)


class Core:
    """Stands for the core: hands out what tests measured."""

    def __init__(self) -> None:
        self.pending: dict[str, bytes] = {"records": b"", "usage": b""}
        self.lost = 0
        self.served: list[Any] = []
        self._number = 0

    def measure(self, count: int) -> None:
        """Have `count` requests happen."""
        started = int(time.time() * 1_000_000)
        for _ in range(count):
            self._number += 1
            row = [started, f"{self._number:032x}", None, None, None, None, None, "GET", "/", None, "http", "1.1"]
            row += [404, None, "kong", 10, None, 10, 100, 200, 0]
            self.pending["records"] += json.dumps(row).encode() + b"\n"
        self.pending["usage"] += json.dumps([1_764_000_000, None, None, None, None, 404, count, 1, 2]).encode() + b"\n"

    def drain(self, kind: str) -> bytes:
        if kind == "metrics":
            return json.dumps({"lost": {"records": self.lost}}).encode()
        data, self.pending[kind] = self.pending[kind], b""
        return data

    def apply(self, table: bytes) -> Sequence[Issue]:
        self.served.append(json.loads(table))
        return []


class FlakySink:
    """Telemetry that stores a batch but loses the answer, as often as asked."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self.answers_to_lose = 0

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        answer = self.ingest.take(reporter, frame)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise RuntimeError("the answer is lost")
        return answer


class Joined:
    """A control plane with a front door, and what a node needs to join it."""

    def __init__(self, directory: Path, platform: Any) -> None:
        self.directory = directory
        self.control = platform.control
        self.plane = platform.default
        self.client = Leaf.self_signed("node")
        self.control.certificates.create(self.plane.scope, ACTOR, self.client.certificate, title="node")
        self.analytics = Analytics(EventStore(directory / "events.duckdb", EventStoreSettings()), Retention())
        self.ingest = Ingest(self.analytics)
        self.sink = FlakySink(self.ingest)
        self.server = self.new_server()
        domain = self.control.settings.domain
        self.names = {kind: f"{self.plane.prefix}.us.{kind}.{domain}" for kind in ("cp0", "tp0")}
        self.authority = Authority("platform")
        leaf = self.authority.leaf("cp", is_client=False, names=tuple(self.names.values()))
        self.door = FrontDoor(directory, leaf, directory / "link.sock", clients=[self.client.certificate])
        self.core = Core()
        self.senders: list[tuple[TelemetrySender, asyncio.Task[None]]] = []

    def new_server(self) -> LinkServer:
        return LinkServer(self.control, self.sink, LinkServerSettings(self.directory / "link.sock"))

    def dialer(self, kind: str) -> Dialer:
        tls = LinkTls("pki", self.client.certificate, self.client.key, trusted=self.authority.certificate)
        return Dialer(Endpoint("127.0.0.1", self.door.port, self.names[kind]), tls, timeout_s=2)

    def send(self, *, records_max: int = 100_000) -> TelemetrySender:
        """Start a node's telemetry in the one prefix."""
        sender = TelemetrySender(
            self.core.drain,
            Backlog(self.directory, records_max=records_max),
            dialer=self.dialer("tp0"),
            query=NodeQuery(NODE, "dp-1", "3.9.3"),
            times=TIMES,
        )
        self.senders.append((sender, asyncio.create_task(sender.run())))
        return sender

    async def end(self, sender: TelemetrySender, grace_s: float = 0.0) -> None:
        for one, task in self.senders:
            if one is sender:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await sender.close(grace_s)

    async def kill(self, sender: TelemetrySender) -> None:
        """End a sender as if its process were killed: nothing is flushed."""
        for one, task in self.senders:
            if one is sender:
                one.flush = _nothing  # type: ignore[method-assign]
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def request_ids(self) -> list[int]:
        """Numbers of the stored requests, with repetitions if there were any."""
        now = int(time.time() * 1_000_000)
        period = Period(now - 3_600_000_000, now + 3_600_000_000, ZoneInfo("UTC"))
        found: list[int] = []
        while True:
            query = RecordsQuery([self.plane.id], period, is_ascending=True, size=1000, offset=len(found))
            page = self.analytics.records(query)
            found += [int(str(row["request_id"]), 16) for row in page]
            if len(page) < 1000:
                return found

    def count(self) -> int:
        now = int(time.time() * 1_000_000)
        period = Period(now - 3_600_000_000, now + 3_600_000_000, ZoneInfo("UTC"))
        rows = self.analytics.metrics(MetricsQuery([self.plane.id], period)).rows
        return int(rows[0].values[0] or 0) if rows else 0


async def _nothing() -> None:
    pass


@pytest.fixture
async def joined(tmp_path: Path) -> AsyncIterator[Joined]:
    with open_platform(tmp_path / "data") as platform:
        made = Joined(tmp_path, platform)
        await made.server.start()
        await made.door.open()
        yield made
        for sender, _ in made.senders:
            await made.end(sender)
        await made.door.shut()
        await made.server.stop()
        made.analytics.close()


async def test_every_request_is_stored_with_its_node(joined: Joined) -> None:
    sender = joined.send()
    joined.core.measure(3000)
    await eventually(lambda: joined.count() == 3000)
    joined.core.measure(2)
    await eventually(lambda: joined.count() == 3002)
    await eventually(lambda: sender.facts.backlog_records == 0)
    assert sender.facts.is_connected
    assert sender.facts.is_durable
    now = int(time.time() * 1_000_000)
    period = Period(now - 3_600_000_000, now + 3_600_000_000, ZoneInfo("UTC"))
    row = joined.analytics.records(RecordsQuery([joined.plane.id], period, size=1))[0]
    assert (row["control_plane_id"], row["node_id"], row["node_version"]) == (joined.plane.id, NODE, "3.9.3")


async def test_what_is_measured_while_the_control_plane_is_away_arrives_later(joined: Joined) -> None:
    sender = joined.send()
    joined.core.measure(10)
    await eventually(lambda: joined.count() == 10)
    await joined.door.shut()
    for _ in range(5):
        joined.core.measure(10)
        await asyncio.sleep(0.06)
    await eventually(lambda: sender.facts.backlog_records >= 50)
    assert joined.count() == 10
    await joined.door.open()
    await eventually(lambda: joined.count() == 60)
    assert joined.request_ids() == list(range(1, 61))


async def test_exactly_the_overflow_is_lost_and_told(joined: Joined) -> None:
    await joined.door.shut()
    sender = joined.send(records_max=100)
    for _ in range(7):
        joined.core.measure(50)
        await sender.flush()
    assert (sender.facts.backlog_records, sender.facts.lost_records) == (100, 250)
    await joined.door.open()
    await eventually(lambda: joined.count() == 100)
    assert joined.request_ids() == list(range(251, 351))
    assert [loss.lost_records for loss in joined.analytics.losses([joined.plane.id])] == [250]


async def test_what_the_core_had_to_drop_is_told_too(joined: Joined) -> None:
    joined.core.lost = 33
    sender = joined.send()
    joined.core.measure(1)
    await eventually(lambda: joined.count() == 1)
    assert sender.facts.lost_records == 33
    assert [loss.lost_records for loss in joined.analytics.losses([joined.plane.id])] == [33]


async def test_the_backlog_outlives_the_node(joined: Joined) -> None:
    await joined.door.shut()
    first = joined.send()
    joined.core.measure(20)
    await first.flush()
    await joined.kill(first)
    second = joined.send()
    joined.core.measure(5)
    await second.flush()
    await joined.door.open()
    await eventually(lambda: joined.count() == 25)
    assert sorted(joined.request_ids()) == list(range(1, 26))


async def test_a_lost_acknowledgement_stores_nothing_twice(joined: Joined) -> None:
    joined.sink.answers_to_lose = 3
    sender = joined.send()
    joined.core.measure(40)
    await eventually(lambda: sender.facts.batches_acknowledged_total >= 2)
    await eventually(lambda: sender.facts.backlog_records == 0)
    assert joined.request_ids() == list(range(1, 41))
    assert joined.ingest.facts.batches_repeated_total >= 1


async def test_a_stopping_node_delivers_what_it_measured_last(joined: Joined) -> None:
    sender = joined.send()
    joined.core.measure(1)
    await eventually(lambda: joined.count() == 1)
    joined.core.measure(9)
    await joined.end(sender, 5.0)
    assert joined.count() == 10
    joined.senders.clear()


async def test_a_batch_that_is_refused_is_not_sent_for_ever(joined: Joined) -> None:
    joined.core.pending["records"] = b"this is no JSON\n"
    sender = joined.send()
    await eventually(lambda: sender.facts.batches_refused_total == 1)
    joined.core.measure(1)
    await eventually(lambda: joined.count() == 1)
    assert sender.facts.lost_records == 1


# --- configuration, both ends ---


async def test_a_change_reaches_the_node_and_comes_back_as_its_hash(joined: Joined) -> None:
    keeper = ConfigKeeper(
        joined.core.apply,
        ConfigCache(joined.directory),
        complete=lambda table: table,
        bytes_max=1_048_576,
        on_served=lambda _table: None,
    )
    times = LinkTimes(ping_interval_s=0.5, reconnect_min_s=0.05, reconnect_max_s=0.1)
    client = LinkClient(
        joined.dialer("cp0"),
        NodeQuery(NODE, "dp-1", "3.9.3"),
        keeper,
        basic_info=lambda: BasicInfo({}),
        reports_faults=False,
        times=times,
    )
    running = asyncio.create_task(client.run())
    control, scope = joined.control, joined.plane.scope

    def in_sync() -> Any:
        nodes = control.nodes.list(scope)
        return nodes and nodes[0].config_hash == control.nodes.expected_hash(scope).hash and nodes[0]

    node = await eventually(in_sync)
    assert (node.id, node.ip, node.sync_status) == (NODE, "127.0.0.1", "normal")
    name = f"s-{uuid.uuid4()}"
    await asyncio.to_thread(control.changes.create, scope, ACTOR, "services", {"name": name, "host": "a.example"})
    await eventually(lambda: joined.core.served[-1].get("services", [{}])[0].get("name") == name)
    node = await eventually(in_sync)
    assert node.revision == control.export.payload(joined.plane.id).revision
    assert node.epoch == control.epoch

    # The control plane goes and comes back: only the newest of what changed meanwhile is sent.
    await joined.door.shut()
    await joined.server.stop()
    for number in range(3):
        control.changes.create(scope, ACTOR, "services", {"name": f"later-{number}", "host": "a.example"})
    served = len(joined.core.served)
    joined.server = joined.new_server()
    await joined.server.start()
    await joined.door.open()
    await eventually(in_sync)
    assert len(joined.core.served) == served + 1
    assert len(joined.core.served[-1]["services"]) == 4
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
