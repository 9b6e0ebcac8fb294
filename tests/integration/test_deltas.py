"""Changes between two twinplanes, over real sockets: what is sent, to whom, and what a node serves afterwards."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import gzip
import json
import shutil
import sqlite3
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.certificates import Authority, Leaf
from tests.integration.front_door import FrontDoor
from tests.integration.link_peer import BINARY, Node, connect_node, eventually

from twinplane.control import Actor, Control, Operation
from twinplane.control.analytics import Reporter
from twinplane.hybrid.client import LinkClient, LinkTimes
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.hybrid.wire import BasicInfo, Issue, NodeQuery
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import PayloadRefused
from twinplane.node.journal import JournaledCache

ACTOR = Actor("user", "u", "tester")
NODE = "7bd5e9b4-1111-4222-8333-444455556666"
TIMES = LinkTimes(ping_interval_s=5.0, reconnect_min_s=0.05, reconnect_max_s=0.1)
WITHIN = 20.0
MIB = 1_048_576


class NoTelemetry:
    """Nothing measures here."""

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        raise AssertionError("no telemetry is sent in these tests")


class ServingNode:
    """The product's node around a core that only remembers; started and ended like a process."""

    def __init__(self, place: Place, prefix: Path) -> None:
        self.place, self.prefix = place, prefix
        self.served: list[bytes] = []
        self.poison = b"no such text"
        self.keeper = self._keeper()
        self._task: asyncio.Task[None] | None = None

    def apply(self, table: bytes) -> Sequence[Issue]:
        if self.poison in table:
            raise PayloadRefused([{"message": "poison"}])
        self.served.append(table)
        return []

    def start(self) -> None:
        """Start, from what the cache holds."""
        self.keeper = self._keeper()
        tls = LinkTls(
            "pki", self.place.client.certificate, self.place.client.key, trusted=self.place.authority.certificate
        )
        self._task = asyncio.create_task(
            LinkClient(
                Dialer(Endpoint("127.0.0.1", self.place.door.port, self.place.name), tls, timeout_s=5),
                NodeQuery(NODE, "dp-1", "3.9.3"),
                self.keeper,
                basic_info=lambda: BasicInfo({}),
                reports_faults=False,
                times=TIMES,
            ).run()
        )

    async def end(self) -> None:
        """End as at once as a killed process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def in_sync(self) -> None:
        """Wait until it serves what the control plane would export, and its row says so."""

        def test() -> bool:
            export = self.place.control.export.payload(self.place.plane.id)
            applied = self.keeper.applied()
            rows = self.place.control.nodes.list(self.place.plane.scope)
            return (
                (applied.epoch, applied.revision) == (export.epoch, export.revision)
                and self.served[-1] == export.json()
                and bool(rows)
                and (rows[0].epoch, rows[0].revision) == (export.epoch, export.revision)
                and rows[0].config_hash == config_hash(export.config_table)
            )

        await eventually(test, WITHIN)

    def _keeper(self) -> ConfigKeeper:
        keeper = ConfigKeeper(
            self.apply,
            JournaledCache(ConfigCache(self.prefix), self.prefix, bytes_max=MIB, table_bytes_min=1),
            complete=lambda table: table,
            bytes_max=MIB,
            on_served=lambda _table: None,
        )
        keeper.start(lambda table: self.served.append(table) if table else None, (), issues=lambda _core: ())
        return keeper


class Place:
    """A control plane with its store, its link server and a front door; all of it can go and come back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client = Leaf.self_signed("node")
        self.authority = Authority("platform")
        self.control = self.opened()
        organization = self.control.organizations.first()
        self.plane = self.control.control_planes.default(organization.id, "us")
        self.control.certificates.create(self.plane.scope, ACTOR, self.client.certificate, title="node")
        self.name = f"{self.plane.prefix}.us.cp0.{self.control.settings.domain}"
        self.server = self.new_server(self.control)
        leaf = self.authority.leaf("cp", is_client=False, names=(self.name,))
        self.door = FrontDoor(directory, leaf, directory / "link.sock", clients=[self.client.certificate])
        self.nodes: list[Node] = []

    def opened(self) -> Control:
        return Control.open(self.directory / "data", config_hash=config_hash)

    def new_server(self, control: Control, name: str = "link.sock") -> LinkServer:
        settings = LinkServerSettings(self.directory / name, look_interval_s=0.1)
        return LinkServer(control, NoTelemetry(), settings)

    async def stop(self) -> None:
        """The control plane goes: door, links and store."""
        await self.door.shut()
        await self.server.stop()
        self.control.close()

    async def come_back(self) -> None:
        """It starts on the store that is there."""
        self.control = self.opened()
        self.server = self.new_server(self.control)
        await self.server.start()
        await self.door.open()

    async def change(self, *operations: Operation) -> None:
        await asyncio.to_thread(self.control.changes.apply, self.plane.scope, ACTOR, operations)

    async def twin(self, name: str = "link.sock", **applied: Any) -> Node:
        """A scripted twinplane node that says what it has."""
        reader, writer = await asyncio.open_unix_connection(self.directory / name)
        headers = {"Twinplane-Link": "1", **self.identity()}
        node, answered = await connect_node(reader, writer, node_id=NODE, headers=headers)
        assert answered["twinplane-link"] == "1"
        self.nodes.append(node)
        await node.hello()
        await report(node, **applied)
        return node

    def identity(self) -> dict[str, str]:
        """What the front door says of the node."""
        der = x509.load_pem_x509_certificate(self.client.certificate.encode()).public_bytes(Encoding.DER)
        certificate = f":{base64.b64encode(der).decode()}:"
        return {"Twinplane-Sni": self.name, "Twinplane-Peer": "10.1.2.3:4567", "Client-Cert": certificate}


async def report(node: Node, **applied: Any) -> None:
    """What a twinplane node says of what it serves."""
    said = {"config_hash": "0" * 32, "revision": None, "epoch": None, "issues": []} | applied
    await node.send(BINARY, json.dumps({"type": "applied", **said}).encode())
    await node.ping(said["config_hash"])


async def quiet(node: Node, seconds: float) -> None:
    """Assert that no configuration comes."""
    with contextlib.suppress(TimeoutError):
        head, _ = await arrived(node, seconds)
        raise AssertionError(f"unexpected {head['type']}")


async def arrived(node: Node, within: float = WITHIN) -> tuple[dict[str, Any], list[str]]:
    """The head and the lines of the next configuration frame; a whole one has a table in its head."""
    frame = await node.receive_kind(BINARY, within)
    text = gzip.decompress(frame.data).decode()
    if text.startswith('{"type":"delta"'):
        head, _, rest = text.partition("\n")
        return json.loads(head), rest.split("\n") if rest else []
    return json.loads(text), []


def back_up(store: Path, copy: Path) -> None:
    """A copy of a store, as an operator's tool makes it."""
    with contextlib.closing(sqlite3.connect(store)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def service(number: int, **fields: Any) -> Operation:
    """A service that is made, or replaced."""
    body = {"name": f"s{number}", "host": "a.example"} | fields
    return Operation("upsert", "services", f"00000000-0000-4000-8000-{number:012d}", body)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.server.start()
    await made.door.open()
    yield made
    for node in made.nodes:
        node.close()
    with contextlib.suppress(Exception):
        await made.stop()


@pytest.fixture
async def serving(place: Place, tmp_path: Path) -> AsyncIterator[ServingNode]:
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    made = ServingNode(place, prefix)
    yield made
    await made.end()


# --- both ends of the product ---


async def test_the_first_is_whole_and_what_follows_are_changes(place: Place, serving: ServingNode) -> None:
    await place.change(*[service(number) for number in range(50)])
    serving.start()
    await serving.in_sync()
    for number in range(50, 55):
        await place.change(service(number))
        await serving.in_sync()
    pushes = place.server.facts.pushes
    assert (pushes.wholes_total, pushes.deltas_total, pushes.resyncs_total) == (1, 5, 0)
    assert pushes.delta_bytes_total / 5 < pushes.whole_bytes_total
    assert serving.keeper.deltas_total == 5


async def test_cascades_and_switches_arrive(place: Place, serving: ServingNode) -> None:
    route = {"name": "r", "paths": ["/"], "service": {"id": "00000000-0000-4000-8000-000000000001"}}
    await place.change(service(1), service(2), Operation("create", "routes", body=route))
    await place.change(Operation("create", "plugins", body={"name": "cors", "route": {"name": "r"}}))
    serving.start()
    await serving.in_sync()
    for operation in (
        service(1, enabled=False),
        service(1, enabled=True),
        Operation("update", "routes", "r", {"service": {"name": "s2"}}),
        Operation("delete", "routes", "r"),
        Operation("delete", "services", "s1"),
        Operation("delete", "services", "s2"),
    ):
        await place.change(operation)
        await serving.in_sync()
    assert place.server.facts.pushes.wholes_total == 1
    assert serving.keeper.resyncs_total == 0


async def test_two_thousand_missed_changes_are_one_delta(place: Place, serving: ServingNode) -> None:
    await place.change(*[service(number) for number in range(200)])
    serving.start()
    await serving.in_sync()
    await serving.end()
    for batch in range(40):
        await place.change(*[service(number % 100, tags=[f"t{batch}-{number}"]) for number in range(50)])
    await place.change(Operation("delete", "services", "s199"))
    serving.start()
    await serving.in_sync()
    pushes = place.server.facts.pushes
    assert (pushes.wholes_total, pushes.deltas_total) == (1, 1)


async def test_a_node_that_restarts_is_sent_nothing_that_it_has(place: Place, serving: ServingNode) -> None:
    await place.change(*[service(number) for number in range(20)])
    serving.start()
    await serving.in_sync()
    for round_ in range(3):
        await serving.end()
        if round_:
            await place.change(service(20 + round_))
        serving.start()
        await serving.in_sync()
    pushes = place.server.facts.pushes
    assert (pushes.wholes_total, pushes.deltas_total) == (1, 2)


async def test_changes_outlive_a_start_of_the_control_plane(place: Place, serving: ServingNode) -> None:
    await place.change(*[service(number) for number in range(20)])
    serving.start()
    await serving.in_sync()
    await place.stop()
    await place.come_back()
    await place.change(service(21), service(3, enabled=False))
    await serving.in_sync()
    pushes = place.server.facts.pushes
    assert (pushes.wholes_total, pushes.deltas_total) == (0, 1)


async def test_a_restored_store_is_a_newer_publication(place: Place, serving: ServingNode, tmp_path: Path) -> None:
    await place.change(*[service(number) for number in range(5)])
    serving.start()
    await serving.in_sync()
    back_up(place.directory / "data" / "control.db", tmp_path / "backup.db")
    await place.change(*[service(number) for number in range(5, 9)])
    await serving.in_sync()
    newer = serving.served[-1]
    await place.stop()
    for leftover in (place.directory / "data").glob("control.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.db", place.directory / "data" / "control.db")
    await place.come_back()
    await serving.in_sync()
    assert serving.served[-1] != newer
    assert b'"s5"' not in serving.served[-1]
    assert place.control.publishing.renewed_total == 1
    # And from there on by changes again, through another start of the node.
    await place.change(service(6))
    await serving.in_sync()
    await serving.end()
    await place.change(service(7))
    serving.start()
    await serving.in_sync()
    assert place.server.facts.pushes.wholes_total == 1
    assert place.control.publishing.renewed_total == 1


async def test_a_store_with_another_history_at_the_same_revision_is_noticed(
    place: Place, serving: ServingNode, tmp_path: Path
) -> None:
    await place.change(service(1))
    serving.start()
    await serving.in_sync()
    await serving.end()
    back_up(place.directory / "data" / "control.db", tmp_path / "backup.db")
    # The node sees one future of the backup, and comes back in another one that has gone further.
    await place.change(service(2))
    serving.start()
    await serving.in_sync()
    await serving.end()
    await place.stop()
    for leftover in (place.directory / "data").glob("control.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.db", place.directory / "data" / "control.db")
    await place.come_back()
    await place.change(service(3))
    await place.change(service(4))
    serving.start()
    await serving.in_sync()
    pushes = place.server.facts.pushes
    assert (pushes.resyncs_total, pushes.wholes_total) == (1, 1)


async def test_a_refused_change_is_told_and_the_next_one_leads_on(place: Place, serving: ServingNode) -> None:
    await place.change(service(1))
    serving.start()
    await serving.in_sync()
    serving.poison = b"poison"
    await place.change(service(2, host="poison.example"))
    await eventually(lambda: serving.keeper.refused_total == 1, WITHIN)
    await eventually(
        lambda: any(issue.code == "config_refused" for issue in place.control.nodes.list(place.plane.scope)[0].issues),
        WITHIN,
    )
    assert b"poison" not in serving.served[-1]
    await place.change(service(2, host="good.example"))
    await serving.in_sync()
    assert place.server.facts.pushes.wholes_total == 1


async def test_a_node_on_one_replica_hears_of_changes_on_another(place: Place, serving: ServingNode) -> None:
    await place.change(service(1))
    serving.start()
    await serving.in_sync()
    other = place.opened()
    try:
        await asyncio.to_thread(other.changes.apply, place.plane.scope, ACTOR, [service(2)])
        await serving.in_sync()
    finally:
        other.close()
    assert place.server.facts.pushes.wholes_total == 1


# --- the control plane, with a scripted node ---


async def test_what_is_on_the_wire(place: Place) -> None:
    await place.change(service(1), service(2))
    node = await place.twin()
    whole, _ = await arrived(node)
    assert whole["type"] == "reconfigure"
    at = {key: whole[key] for key in ("epoch", "revision", "config_hash")}
    await report(node, **at, digest="0" * 64)
    await place.change(service(2, host="b.example"), Operation("delete", "services", "s1"), service(3))
    head, lines = await arrived(node)
    assert {key: head[key] for key in ("epoch", "base", "operations")} == {
        "epoch": at["epoch"],
        "base": at["revision"],
        "operations": 3,
    }
    assert head["revision"] > head["base"]
    export = place.control.export.payload(place.plane.id)
    assert head["config_hash"] == config_hash(export.config_table)
    assert head["collections"] == list(export.rows)
    assert len(head["digest"]) == 64
    assert lines[0] == "-services 00000000-0000-4000-8000-000000000001"
    for line, row in zip(lines[1:], export.rows["services"], strict=True):
        assert line == f"+services {row.id} {row.body.decode()}"


async def test_one_frame_is_on_its_way_at_a_time(place: Place) -> None:
    await place.change(service(1))
    node = await place.twin()
    whole, _ = await arrived(node)
    await place.change(service(2))
    await place.change(service(3))
    await quiet(node, 0.4)
    # What is no answer to it changes nothing.
    await report(node)
    await quiet(node, 0.2)
    await report(node, **{key: whole[key] for key in ("epoch", "revision", "config_hash")}, digest="0" * 64)
    head, lines = await arrived(node)
    assert head["base"] == whole["revision"]
    assert [line.split(" ")[0] for line in lines] == ["+services"] * 2


async def test_a_node_that_cannot_use_a_change_is_sent_the_whole_a_few_times(place: Place) -> None:
    await place.change(service(1))
    node = await place.twin()
    whole, _ = await arrived(node)
    at = {key: whole[key] for key in ("epoch", "revision", "config_hash")}
    await report(node, **at, digest="0" * 64)
    await place.change(service(2))
    head, _ = await arrived(node)
    assert head["type"] == "delta"
    for _ in range(3):
        await node.send(BINARY, b'{"type":"resync","reason":"digest_mismatch"}')
        again, _ = await arrived(node)
        assert (again["type"], again["revision"]) == ("reconfigure", head["revision"])
    for _ in range(5):
        await node.send(BINARY, b'{"type":"resync","reason":"digest_mismatch"}')
    await quiet(node, 0.4)
    assert place.server.facts.pushes.resyncs_total == 8


async def test_a_node_without_rows_is_sent_the_whole(place: Place) -> None:
    await place.change(service(1))
    node = await place.twin()
    for number in (2, 3):
        whole, _ = await arrived(node)
        assert whole["type"] == "reconfigure"
        await report(node, **{key: whole[key] for key in ("epoch", "revision", "config_hash")})
        await place.change(service(number))


@pytest.mark.parametrize(
    "said",
    [
        {"epoch": "another", "revision": 3, "digest": "0" * 64},
        {"epoch": None, "revision": 3, "digest": "0" * 64},
        {"epoch": "0000000000001-aabbccdd", "revision": 10**6, "digest": "0" * 64},
        {"epoch": "another", "revision": 0, "digest": 5},
        {"epoch": 7, "revision": "x", "digest": "?"},
    ],
)
async def test_a_node_that_says_something_odd_is_sent_the_whole(place: Place, said: dict[str, Any]) -> None:
    await place.change(service(1))
    node = await place.twin(**said)
    whole, _ = await arrived(node)
    assert whole["type"] == "reconfigure"


async def test_a_node_that_has_it_is_sent_nothing_and_another_digest_gets_the_whole(place: Place) -> None:
    await place.change(service(1))
    node = await place.twin()
    whole, _ = await arrived(node)
    at = {key: whole[key] for key in ("epoch", "revision", "config_hash")}
    node.close()
    node = await place.twin(**at)
    await quiet(node, 1.5)
    node.close()
    node = await place.twin(**at, digest="0" * 64)
    again, _ = await arrived(node)
    assert again["type"] == "reconfigure"


async def test_nodes_at_the_same_revision_share_a_delta(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.change(service(1))
    epoch, revision = place.control.export.position(place.plane.id) or ("", 0)
    await place.change(service(2))
    await place.change(service(3))
    asked: list[int] = []
    delta = place.control.export.delta

    def counted(plane: str, of: str, base: int, *, until: int | None = None) -> Any:
        asked.append(base)
        return delta(plane, of, base, until=until)

    monkeypatch.setattr(place.control.export, "delta", counted)
    at = {"epoch": epoch, "revision": revision, "digest": "0" * 64, "config_hash": "a" * 32}
    heads = [(await arrived(await place.twin(**at)))[0] for _ in range(4)]
    assert {(head["type"], head["base"]) for head in heads} == {("delta", revision)}
    assert asked == [revision]


async def test_a_delta_that_is_larger_than_the_whole_gives_way_to_it(place: Place) -> None:
    await place.change(*[service(number) for number in range(100)])
    epoch, revision = place.control.export.position(place.plane.id) or ("", 0)
    await place.change(*[Operation("delete", "services", f"s{number}") for number in range(100)])
    node = await place.twin(epoch=epoch, revision=revision, digest="0" * 64, config_hash="a" * 32)
    whole, _ = await arrived(node)
    assert whole["type"] == "reconfigure"


async def test_a_lagging_replica_never_takes_a_node_back(place: Place) -> None:
    """The replica's view is older than what the node got elsewhere: it is silent until it has caught up."""
    await place.change(service(1))
    await arrived(await place.twin())
    export = place.control.export
    real = {name: getattr(export, name) for name in ("payload", "delta", "position", "positions")}
    old = export.payload(place.plane.id)
    # From here on this process reads a copy that stands still, while another one writes.
    export.payload = lambda _plane, **_options: old  # type: ignore[method-assign]
    export.delta = lambda *_arguments, **_options: None  # type: ignore[method-assign]
    export.position = lambda _plane: (old.epoch, old.revision)  # type: ignore[method-assign]
    export.positions = lambda _planes: {}  # type: ignore[method-assign]
    await place.change(service(2))
    node = await place.twin(epoch=old.epoch, revision=old.revision + 1, digest="0" * 64, config_hash="a" * 32)
    await quiet(node, 1.5)
    assert place.control.publishing.renewed_total == 0
    for name, method in real.items():
        setattr(export, name, method)
    await place.change(service(3))
    head, _ = await arrived(node)
    assert (head["type"], head["base"]) == ("delta", old.revision + 1)


async def test_what_was_overtaken_is_released(place: Place) -> None:
    await place.change(service(1))
    node = await place.twin()
    whole, _ = await arrived(node)
    live: weakref.WeakSet[Publication] = weakref.WeakSet()
    for number in range(2, 12):
        await place.change(service(number))
        await asyncio.sleep(0.08)
        gc.collect()
        live.update(one for one in gc.get_objects() if isinstance(one, Publication))
    # The node has not answered yet, and holds up nothing.
    await eventually(lambda: gc.collect() is not None and len(live) <= 1, WITHIN)
    await report(node, **{key: whole[key] for key in ("epoch", "revision", "config_hash")}, digest="0" * 64)
    head, lines = await arrived(node)
    assert (head["base"], len(lines)) == (whole["revision"], 10)
