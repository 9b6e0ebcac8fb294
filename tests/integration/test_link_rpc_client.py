"""The node's end of version 2 against a scripted control plane over TLS: both dialects, faults, the way back to v1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.link_peer import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Arrival,
    ControlPlane,
    RpcEnd,
    eventually,
    reconfigure,
    snappy_block,
)
from tests.integration.test_link_client import NODE, QUICK, SHARED, plane_with, shared_tls

from twinplane.hybrid.client import LinkClient
from twinplane.hybrid.dial import Dialer, Endpoint
from twinplane.hybrid.rpc.client import RpcClient
from twinplane.hybrid.rpc.hello import SYNC, Hello
from twinplane.hybrid.wire import BasicInfo, Issue, NodeQuery
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.deltas import DeltaRows
from twinplane.node.errors import PayloadRefused
from twinplane.node.sparse import complete_table

WORKSPACE = "6342b435-1f98-4295-9cad-add8f77e7ff2"
SERVICE = "b2d990e9-e2c6-4b30-b3c2-a263f0563190"
ROUTE = "ee442dcf-b4f6-4cec-871c-f4979e076381"
WELCOME = {"rpc_capabilities": ["kong.sync.v2"], "rpc_frame_encoding": "x-snappy-framed"}


class Running:
    """A node's link of version 2, and the control plane that it dials."""

    def __init__(self, directory: Path, plane: ControlPlane) -> None:
        self.plane = plane
        self.served: list[dict[str, Any]] = []
        self.keeper = ConfigKeeper(
            self.apply,
            ConfigCache(directory),
            complete=complete_table,
            bytes_max=1_048_576,
            on_served=lambda _table: None,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def apply(self, table: bytes) -> Sequence[Issue]:
        if b"poison" in table:
            raise PayloadRefused([{"entity": "services", "id": SERVICE, "field": "host", "message": "poison"}])
        self.served.append(json.loads(table))
        return []

    def start(self, version: str = "3.9.3") -> RpcClient:
        dialer = Dialer(Endpoint("127.0.0.1", self.plane.port, "cp.test"), shared_tls(), timeout_s=2)
        query = NodeQuery(NODE, "vm", version)
        info = BasicInfo({"acl": "3.9.3"}, {"env": "prod"}, (), {})
        first = LinkClient(dialer, query, self.keeper, basic_info=lambda: info, reports_faults=False, times=QUICK)
        client = RpcClient(
            dialer,
            lambda: Hello(query, frozenset({SYNC}), {"env": "prod"}, {"role": "data_plane"}),
            DeltaRows(self.keeper),
            first,
            times=QUICK,
            bytes_max=1_048_576,
        )
        self.tasks.append(asyncio.create_task(client.run()))
        return client

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    plane = plane_with(tmp_path, SHARED)
    await plane.start()
    made = Running(tmp_path, plane)
    yield made
    await made.stop()
    await plane.stop()


async def welcome(arrival: Arrival, result: dict[str, Any] | None = None) -> RpcEnd:
    """Answer the hello that came."""
    answer = {"jsonrpc": "2.0", "id": arrival.basic_info["id"], "result": WELCOME if result is None else result}
    await arrival.peer.send(BINARY, json.dumps(answer).encode())
    return RpcEnd(arrival.peer)


async def asked(end: RpcEnd) -> tuple[int, Any]:
    """The next question of the node: its id, and the version that it says it has."""
    message = await end.receive()
    assert message["method"] == "kong.sync.v2.get_delta"
    return message["id"], message["params"][0]["default"]["version"]


async def give(end: RpcEnd, call_id: int, deltas: Any, **flags: bool) -> None:
    await end.send({"jsonrpc": "2.0", "id": call_id, "result": {"default": {"deltas": deltas, **flags}}})


def delta(kind: str, version: Any, entity: dict[str, Any] | None, **pk: Any) -> dict[str, Any]:
    made = {"type": kind, "entity": entity, "version": version, "ws_id": WORKSPACE}
    return made | {"pk": pk} if pk else made


def whole(version: Any) -> list[dict[str, Any]]:
    """A first answer, in the form of a real control plane."""
    service = {"id": SERVICE, "name": "echo", "host": "h", "enabled": True, "client_certificate": None}
    off = {"id": ROUTE.replace("ee", "ff"), "name": "off", "host": "h", "enabled": False}
    return [
        delta("workspaces", version, {"id": WORKSPACE, "name": "default", "config": {}, "meta": {}}),
        delta("parameters", version, {"key": "cluster_id", "value": WORKSPACE, "created_at": None}),
        delta("services", version, service),
        delta("services", version, off),
        delta("routes", version, {"id": ROUTE, "name": "r", "paths": ["/a"], "service": {"id": SERVICE}}),
    ]


@pytest.mark.parametrize(
    ("announced", "flag", "versions"),
    [
        ("3.9.3", "wipe", (0, 3, 4, 5)),
        ("3.10.0", "full_sync", ("0" * 32, *(f"v02_{number:028x}" for number in (3, 4, 5)))),
    ],
)
async def test_deltas_are_put_together_and_served(
    running: Running, announced: str, flag: str, versions: tuple[Any, ...]
) -> None:
    client = running.start(announced)
    arrival = await running.plane.arrival()
    assert arrival.request == "GET /v2/outlet HTTP/1.1"
    assert arrival.headers["sec-websocket-protocol"] == "kong.meta.v1"
    assert "twinplane-link" not in arrival.headers
    said = arrival.basic_info["params"][0]
    assert (said["kong_node_id"], said["kong_hostname"], said["kong_version"]) == (NODE, "vm", announced)
    assert said["rpc_frame_encodings"] == ["x-snappy-framed"]
    assert said["kong_conf"] == {"role": "data_plane", "cluster_dp_labels": ["env:prod"]}
    end = await welcome(arrival)
    call_id, version = await asked(end)
    assert (call_id, version) == (0, versions[0])
    await give(end, call_id, whole(versions[1]), **{flag: True})
    call_id, version = await asked(end)
    assert version == versions[1]
    (table,) = running.served
    assert [row["name"] for row in table["services"]] == ["echo"]
    assert table["routes"][0]["service"] == SERVICE
    assert table["routes"][0]["strip_path"] is True
    await give(end, call_id, {}, **{flag: False})
    await eventually(lambda: client.facts.is_connected)
    # A change: told, asked for, taken.
    await end.send(
        {
            "jsonrpc": "2.0",
            "id": 0,
            "method": "kong.sync.v2.notify_new_version",
            "params": [{"default": {"new_version": versions[2]}}],
        }
    )
    answer = await end.receive()
    assert answer == {"jsonrpc": "2.0", "id": 0, "result": True}
    call_id, version = await asked(end)
    assert version == versions[1]
    changed = {"id": ROUTE, "name": "r", "paths": ["/b"], "service": {"id": SERVICE}}
    await give(end, call_id, [delta("routes", versions[2], changed, id=ROUTE)], **{flag: False})
    call_id, version = await asked(end)
    assert version == versions[2]
    assert running.served[-1]["routes"][0]["paths"] == ["/b"]
    # A deletion, found by asking alone.
    await give(end, call_id, [delta("routes", versions[3], None, id=ROUTE)], **{flag: False})
    call_id, version = await asked(end)
    assert version == versions[3]
    assert "routes" not in running.served[-1]
    assert [row["name"] for row in running.served[-1]["services"]] == ["echo"]


async def test_what_cannot_be_served_is_told_and_changes_nothing(running: Running) -> None:
    running.start()
    end = await welcome(await running.plane.arrival())
    call_id, _ = await asked(end)
    await give(end, call_id, whole(3), wipe=True)
    call_id, _ = await asked(end)
    before = running.keeper.config_hash
    unknown = [delta("widgets", 4, {"id": ROUTE}, id=ROUTE)]
    poisoned = [delta("services", 4, {"id": SERVICE, "name": "s", "host": "poison"}, id=SERVICE)]
    wrong = [delta("services", 4, {"id": SERVICE, "name": "s", "host": "h", "extra": 1}, id=SERVICE)]
    for deltas in (unknown, poisoned, wrong):
        await give(end, call_id, deltas, wipe=False)
        told = await end.receive()
        assert told["method"] == "kong.sync.v2.notify_validation_error"
        assert "id" not in told
        (said,) = told["params"]
        assert said["version"] == 4
        assert said["error"]["name"] == "sync deltas parse failure"
        assert said["error"]["message"]
        # It asks again in its own time, from where it was.
        call_id, version = await asked(end)
        assert version == 3
    assert running.keeper.config_hash == before
    assert len(running.served) == 1
    await give(end, call_id, [delta("routes", 5, None, id=ROUTE)], wipe=False)
    _, version = await asked(end)
    assert version == 5


async def test_without_the_capability_version_1_takes_over(running: Running) -> None:
    client = running.start()
    await welcome(await running.plane.arrival(), WELCOME | {"rpc_capabilities": []})
    arrival = await running.plane.arrival()
    assert arrival.request.startswith("GET /v1/outlet?")
    assert arrival.basic_info["type"] == "basic_info"
    await arrival.peer.send(BINARY, reconfigure({"_format_version": "3.0"}, "A" * 32))
    await eventually(lambda: running.keeper.config_hash == "A" * 32)
    assert client.facts.is_connected


async def test_a_control_plane_without_the_path_gets_version_1(running: Running) -> None:
    running.plane.unknown_paths = ("/v2/outlet",)
    running.start()
    assert (await running.plane.arrival()).request.startswith("GET /v1/outlet?")


async def test_a_lost_link_is_dialled_again_and_goes_on_where_it_was(running: Running) -> None:
    running.start()
    end = await welcome(await running.plane.arrival())
    call_id, _ = await asked(end)
    await give(end, call_id, whole(3), wipe=True)
    await asked(end)
    end.peer.close()
    end = await welcome(await running.plane.arrival())
    assert (await asked(end))[1] == 3


async def test_silence_is_broken_by_pings_and_ends_the_link(running: Running) -> None:
    running.start()
    arrival = await running.plane.arrival()
    end = await welcome(arrival)
    await asked(end)
    assert (await arrival.peer.receive_kind(PING)).data == b""
    await arrival.peer.send(PING, b"x")
    assert (await arrival.peer.receive_kind(PONG)).data == b""
    await running.plane.arrival()


@pytest.mark.parametrize(
    "frame",
    [
        b"not snappy",
        b"",
        b"\xff" * 20,
        b"\xff\xff\xff\xff\x0f" + b"\0" * 100,
        b"\x80\x80\x80\x10" + b"\xfe\x01\x00" * 10,
    ],
)
async def test_a_block_that_is_none_ends_the_link_and_nothing_else(running: Running, frame: bytes) -> None:
    client = running.start()
    end = await welcome(await running.plane.arrival())
    await asked(end)
    await end.peer.send(BINARY, frame)
    end = await welcome(await running.plane.arrival())
    call_id, _ = await asked(end)
    await give(end, call_id, whole(3), wipe=True)
    assert (await asked(end))[1] == 3
    assert client.facts.failures_total == 1


async def test_messages_that_are_none_are_answered_with_an_error(running: Running) -> None:
    client = running.start()
    end = await welcome(await running.plane.arrival())
    await asked(end)
    for text, code in (
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b'{"jsonrpc":"1.0","id":5,"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":5,"method":"nope"}', -32601),
        (b'{"jsonrpc":"2.0","id":5,"method":"kong.sync.v2.notify_new_version","params":[]}', -32602),
    ):
        await end.peer.send(BINARY, snappy_block(text))
        assert (await end.receive())["error"]["code"] == code, text[:40]
    assert client.facts.frames_refused_total == 8
    await end.peer.send(TEXT, b"{}")
    assert await end.peer.ended()
