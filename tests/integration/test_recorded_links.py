"""The two recorded sessions of real Kong processes, frame by frame, against both of our ends.

Every line of a recording is accounted for: we took it, we made the same, or it is listed with the reason why not.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.control_room import open_platform
from tests.integration.link_peer import (
    BINARY,
    PING,
    PONG,
    Frame,
    Peer,
    connect_node,
    read_frame,
    recorded,
    snappy_block,
    snappy_text,
)
from tests.integration.test_link_client import SHARED, plane_with, shared_tls
from tests.integration.test_link_server import Running

from twinplane.control import Export, ExportRow
from twinplane.hybrid.client import LinkClient, LinkTimes
from twinplane.hybrid.dial import Dialer, Endpoint
from twinplane.hybrid.rpc.client import RpcClient
from twinplane.hybrid.rpc.hello import SYNC, Hello
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.hybrid.wire import BasicInfo, NodeQuery
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.deltas import DeltaRows
from twinplane.node.sparse import complete_table
from twinplane.registry import entity_types, plugin_types

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "link"
V1, V2 = RECORDINGS / "legacy-v1.jsonl", RECORDINGS / "rpc-sync-v2.jsonl"
pytestmark = pytest.mark.skipif(not V1.exists(), reason="recorded link sessions not present")

OURS = "0dc6f45b-8f8d-40d2-a504-473544ee190b"
TLS = "what was seen of TLS, which is the front door's"
END = "the recording ends here"
AGAIN = "Kong sends its newest configuration again; ours is sent once"
STEADY = LinkTimes(ping_interval_s=60, silence_s=60, reconnect_min_s=60, reconnect_max_s=60)


@dataclass
class Account:
    """What became of each line."""

    lines: list[dict[str, Any]]
    taken: set[int] = field(default_factory=set)
    made: set[int] = field(default_factory=set)
    listed: dict[int, str] = field(default_factory=dict)

    def close(self) -> None:
        """Every line stands in one of the three."""
        together = sorted([*self.taken, *self.made, *self.listed])
        assert together == list(range(len(self.lines)))


def account(path: Path) -> Account:
    """A recording; what is no frame is listed at once."""
    made = Account(recorded(path))
    for number, line in enumerate(made.lines):
        if "sni" in line or "tls" in line:
            made.listed[number] = TLS
        elif "eof" in line:
            made.listed[number] = END
    return made


class Inbox:
    """Frames as they come, taken by kind: the order of pongs and configurations is no promise."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._waiting: list[Frame] = []

    async def take(self, opcode: int) -> Frame:
        async with asyncio.timeout(10):
            while True:
                for frame in self._waiting:
                    if frame.opcode == opcode:
                        self._waiting.remove(frame)
                        assert frame.fin
                        return frame
                self._waiting.append(await read_frame(self._peer.reader))

    def assert_empty(self) -> None:
        assert self._waiting == []


def fields(lines: list[str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}


# --- our control plane ---


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    with open_platform(tmp_path / "data") as platform:
        made = Running(platform, tmp_path)
        made.server = LinkServer(made.control, made.intake, LinkServerSettings(made.path, rpc=True, rpc_sync=True))
        await made.server.start()
        yield made
        for node in made.nodes:
            node.close()
        await made.server.stop()


def publish(running: Running, revision: int, rows: dict[str, list[tuple[int, dict[str, Any]]]]) -> None:
    """Have the control plane export these rows, each with the revision that wrote it."""
    exported = {
        name: [ExportRow(str(row.get("id") or row.get("key")), written, orjson.dumps(row)) for written, row in some]
        for name, some in rows.items()
        if some
    }
    made = Export(running.plane.id, revision, "epoch", exported)
    running.control.export.payload = lambda _id, **_options: made  # type: ignore[method-assign]
    running.control.versions.announce(running.plane.id, revision)


async def upgraded(running: Running, lines: list[str], answer: list[str]) -> Peer:
    """Connect as the recorded node did, and compare what is answered."""
    said = fields(lines)
    reader, writer = await asyncio.open_unix_connection(running.path)
    headers = running.headers()
    if "sec-websocket-protocol" in said:
        headers["Sec-WebSocket-Protocol"] = said["sec-websocket-protocol"]
    node, answered = await connect_node(reader, writer, node_id="", target=lines[0].split(" ")[1], headers=headers)
    running.nodes.append(node)
    assert answer[0] == "HTTP/1.1 101 Switching Protocols"
    was = fields(answer)
    for name in was.keys() - {"date", "sec-websocket-accept"}:
        assert answered[name].lower() == was[name].lower()
    return node


async def test_our_control_plane_says_what_was_recorded_of_version_1(running: Running) -> None:
    account_of = account(V1)
    inbox: Inbox | None = None
    peer: Peer | None = None
    published = ""
    lines = account_of.lines

    def put(table: dict[str, Any], revision: int) -> None:
        rows = {name: [(revision, row) for row in some] for name, some in table.items() if isinstance(some, list)}
        publish(running, revision, rows)

    for number, line in enumerate(lines):
        if number in account_of.listed:
            continue
        if "http" in line and line["dir"] == "dp>cp":
            first = next(each["json"] for each in lines if each.get("json", {}).get("type") == "reconfigure")
            put(first["config_table"], 1)
            peer = await upgraded(running, line["http"], lines[number + 1]["http"])
            inbox = Inbox(peer)
            account_of.taken.add(number)
            account_of.made.add(number + 1)
        elif "http" in line:
            assert number in account_of.made
        elif line["dir"] == "dp>cp":
            assert peer is not None
            if line["op"] == "ping":
                await peer.send(PING, line["text"].encode())
            else:
                await peer.send(BINARY, json.dumps(line["json"]).encode())
            account_of.taken.add(number)
        elif line["op"] == "pong":
            assert inbox is not None
            assert (await inbox.take(PONG)).data == line["text"].encode() == b""
            account_of.made.add(number)
        elif line["json"]["config_hash"] == published:
            account_of.listed[number] = AGAIN
        else:
            assert inbox is not None
            if published:
                put(line["json"]["config_table"], number)
            published = line["json"]["config_hash"]
            ours = json.loads(gzip.decompress((await inbox.take(BINARY)).data))
            assert ours.keys() == line["json"].keys()
            for name in ours.keys() - {"timestamp"}:
                assert ours[name] == line["json"][name], name
            account_of.made.add(number)
    assert inbox is not None
    inbox.assert_empty()
    account_of.close()
    assert list(account_of.listed.values()).count(AGAIN) == 3


async def test_our_control_plane_says_what_was_recorded_of_version_2(running: Running) -> None:
    account_of = account(V2)
    inbox: Inbox | None = None
    peer: Peer | None = None
    lines = account_of.lines
    rows: dict[str, list[tuple[int, dict[str, Any]]]] = {}

    def follow(deltas: list[dict[str, Any]]) -> None:
        """Do to our rows what the recorded control plane did to its own."""
        for each in deltas:
            kept = rows.setdefault(each["type"], [])
            entity, key = each["entity"], (each.get("pk") or each["entity"]).get("id")
            kept[:] = [(written, row) for written, row in kept if key is None or row.get("id") != key]
            if entity is not None:
                foreign = entity_types()[each["type"]].foreign
                bare = {name: value["id"] if name in foreign and value else value for name, value in entity.items()}
                kept.append((0 if each["type"] in {"workspaces", "parameters"} else each["version"], bare))

    results = [line for line in lines if isinstance(line.get("json", {}).get("result"), dict)]
    answers = [line["json"]["result"]["default"] for line in results if "default" in line["json"]["result"]]
    changes = [answer["deltas"] for answer in answers if answer["deltas"]]
    follow(changes.pop(0))
    publish(running, 3, rows)
    for number, line in enumerate(lines):
        if number in account_of.listed or number in account_of.made:
            continue
        if "http" in line:
            peer = await upgraded(running, line["http"], lines[number + 1]["http"])
            inbox = Inbox(peer)
            account_of.taken.add(number)
            account_of.made.add(number + 1)
            continue
        assert peer is not None
        assert inbox is not None
        text = json.dumps(line["json"]).encode()
        if line["dir"] == "dp>cp":
            await peer.send(BINARY, text if line["enc"] == "plain" else snappy_block(text))
            account_of.taken.add(number)
            continue
        if line["json"].get("method") == "kong.sync.v2.notify_new_version":
            follow(changes.pop(0))
            publish(running, line["json"]["params"][0]["default"]["new_version"], rows)
        data = (await inbox.take(BINARY)).data
        ours = json.loads(data if line["enc"] == "plain" else snappy_text(data))
        assert _comparable(ours) == _comparable(line["json"])
        account_of.made.add(number)
    assert not changes
    assert inbox is not None
    inbox.assert_empty()
    account_of.close()


def _comparable(message: dict[str, Any]) -> dict[str, Any]:
    """A message without the workspace's id, which is each control plane's own; empty lists as we write them."""
    result = message.get("result")
    deltas = result["default"]["deltas"] if isinstance(result, dict) and "default" in result else None
    if deltas == {}:
        message["result"]["default"]["deltas"] = []
    for each in deltas or ():
        assert each.pop("ws_id")
    return message


# --- our node ---


class OurNode:
    """A node's configuration, whatever brings it."""

    def __init__(self, directory: Path) -> None:
        self.served: list[dict[str, Any]] = []
        self.keeper = ConfigKeeper(
            self.apply,
            ConfigCache(directory),
            complete=complete_table,
            bytes_max=16_777_216,
            on_served=lambda _table: None,
        )

    def apply(self, table: bytes) -> list[Any]:
        self.served.append(json.loads(table))
        return []

    def links(self, port: int, query: NodeQuery) -> tuple[LinkClient, RpcClient]:
        dialer = Dialer(Endpoint("127.0.0.1", port, "kong_clustering"), shared_tls())
        plugins = {name: plugin.version for name, plugin in plugin_types().items()}
        first = LinkClient(
            dialer,
            query,
            self.keeper,
            basic_info=lambda: BasicInfo(plugins),
            reports_faults=False,
            times=STEADY,
        )
        hello = Hello(query, frozenset({SYNC}))
        return first, RpcClient(dialer, lambda: hello, DeltaRows(self.keeper), first, times=STEADY)


async def test_our_node_says_what_was_recorded_of_version_1(tmp_path: Path) -> None:
    account_of = account(V1)
    plane = plane_with(tmp_path, SHARED)
    await plane.start()
    node = OurNode(tmp_path)
    link, _ = node.links(plane.port, NodeQuery("b3340b9b-aac7-4a1e-be54-3d114a697d7f", "vm", "3.9.3"))
    task = asyncio.create_task(link.run())
    arrival = await plane.arrival(10)
    inbox = Inbox(arrival.peer)
    for number, line in enumerate(account_of.lines):
        if number in account_of.listed:
            continue
        if "http" in line and line["dir"] == "dp>cp":
            assert arrival.request == line["http"][0]
            was = fields(line["http"])
            for name in was.keys() - {"host", "sec-websocket-key"}:
                assert arrival.headers[name].lower() == was[name].lower()
            account_of.made.add(number)
        elif "http" in line:
            account_of.taken.add(number)
        elif line["dir"] == "cp>dp":
            data = b"" if line["op"] == "pong" else gzip.compress(json.dumps(line["json"]).encode())
            await arrival.peer.send(PONG if line["op"] == "pong" else BINARY, data)
            account_of.taken.add(number)
        elif line["op"] == "ping":
            # What a frame of the same hash brings is answered by a ping as well: the last one counts.
            while (ping := await inbox.take(PING)).data.decode() != line["text"]:
                pass
            assert len(ping.data) == 32
            account_of.made.add(number)
        else:
            # `labels` is there only where the node has some; ours has none, and the recorded one sends an empty object.
            assert arrival.basic_info.keys() | {"labels"} == line["json"].keys()
            theirs = {each["name"]: each.get("version") for each in line["json"]["plugins"]}
            ours = {each["name"]: each.get("version") for each in arrival.basic_info["plugins"]}
            assert ours == theirs
            assert arrival.basic_info["filters"] == line["json"]["filters"] == {}
            account_of.made.add(number)
    account_of.close()
    hashes = [
        line["json"]["config_hash"]
        for line in account_of.lines
        if line.get("dir") == "cp>dp" and line.get("op") == "binary"
    ]
    different = [one for one, before in zip(hashes, [None, *hashes], strict=False) if one != before]
    assert len(node.served) == len(different)
    assert node.keeper.config_hash == hashes[-1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await plane.stop()


async def test_our_node_says_what_was_recorded_of_version_2(tmp_path: Path) -> None:
    account_of = account(V2)
    plane = plane_with(tmp_path, SHARED)
    await plane.start()
    node = OurNode(tmp_path)
    _, link = node.links(plane.port, NodeQuery("00950401-cdef-4d25-837e-ab5f1024824e", "vm", "3.9.3"))
    task = asyncio.create_task(link.run())
    arrival = await plane.arrival(10)
    inbox = Inbox(arrival.peer)
    for number, line in enumerate(account_of.lines):
        if number in account_of.listed:
            continue
        if "http" in line and line["dir"] == "dp>cp":
            assert arrival.request == line["http"][0]
            was = fields(line["http"])
            assert was.keys() - {"host"} <= arrival.headers.keys()
            assert arrival.headers["sec-websocket-protocol"] == was["sec-websocket-protocol"]
            account_of.made.add(number)
        elif "http" in line:
            account_of.taken.add(number)
        elif line["dir"] == "cp>dp":
            text = json.dumps(line["json"]).encode()
            await arrival.peer.send(BINARY, text if line["enc"] == "plain" else snappy_block(text))
            account_of.taken.add(number)
        elif line["enc"] == "plain":
            ours, theirs = arrival.basic_info, line["json"]
            assert ours.keys() == theirs.keys()
            (said,), (was_said,) = ours["params"], theirs["params"]
            # The settings are each program's own; what both have to say is there.
            assert said.keys() == was_said.keys()
            for name in said.keys() - {"kong_conf"}:
                assert said[name] == was_said[name], name
            assert (ours["id"], ours["method"]) == (theirs["id"], theirs["method"])
            account_of.made.add(number)
        else:
            assert json.loads(snappy_text((await inbox.take(BINARY)).data)) == line["json"]
            account_of.made.add(number)
    account_of.close()
    inbox.assert_empty()
    names = [sorted(row["name"] for row in table.get("routes", ())) for table in node.served]
    assert [len(each) for each in names] == [len(names[0]), len(names[0]) + 1, len(names[0]) + 1, len(names[0])]
    assert names[0] == names[-1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await plane.stop()
