"""Version 2 of the link against a scripted node, over the real socket and the real store."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.control_room import open_platform
from tests.integration.link_peer import PING, PONG, Refused, RpcEnd, eventually, rpc_hello, say_hello
from tests.integration.test_link_server import ACTOR, NODE, Running

from twinplane.hybrid.server import LinkServer, LinkServerSettings

SUBPROTOCOL = {"Sec-WebSocket-Protocol": "kong.meta.v1"}
NONE = {"3.9.3": 0, "3.10.0": "0" * 32}


@asynccontextmanager
async def running_with(directory: Path, **options: Any) -> AsyncIterator[Running]:
    """A link server with these settings."""
    with open_platform(directory / "data") as platform:
        made = Running(platform, directory)
        made.server = LinkServer(made.control, made.intake, LinkServerSettings(made.path, **options))
        await made.server.start()
        yield made
        for node in made.nodes:
            node.close()
        await made.server.stop()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_with(tmp_path, rpc=True, rpc_sync=True) as made:
        yield made


async def joined(running: Running, version: str = "3.9.3", node_id: str = NODE) -> RpcEnd:
    """A node of that version after its hello."""
    node, answered = await running.upgrade(running.headers() | SUBPROTOCOL, target="/v2/outlet")
    assert answered["sec-websocket-protocol"] == "kong.meta.v1"
    end, welcome = await say_hello(node, rpc_hello(node_id, version))
    assert welcome == {"rpc_capabilities": ["kong.sync.v2"], "rpc_frame_encoding": "x-snappy-framed"}
    return end


def create(running: Running, kind: str, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = running.control.changes.create(running.plane.scope, ACTOR, kind, body)
    return made


async def test_a_first_answer_holds_everything(running: Running) -> None:
    service = create(running, "services", name="s", host="h")
    create(running, "routes", name="r", paths=["/a"], service={"id": service["id"]})
    create(running, "services", name="off", host="h", enabled=False)
    create(running, "plugins", name="cors", enabled=False)
    for version, flag in (("3.9.3", "wipe"), ("3.10.0", "full_sync")):
        end = await joined(running, version, str(uuid.uuid4()))
        answer = await end.get_delta(NONE[version])
        assert answer[flag] is True
        deltas = answer["deltas"]
        assert [delta["type"] for delta in deltas[:2]] == ["workspaces", "parameters"]
        (route,) = [delta["entity"] for delta in deltas if delta["type"] == "routes"]
        assert route["service"] == {"id": service["id"]}
        assert route["methods"] is None
        # What is switched off is sent too: the node leaves it out itself.
        assert {delta["entity"]["name"] for delta in deltas if delta["type"] == "services"} == {"s", "off"}
        assert [delta["entity"]["enabled"] for delta in deltas if delta["type"] == "plugins"] == [False]
        assert {delta["ws_id"] for delta in deltas} == {"0dc6f45b-8f8d-40d2-a504-473544ee190b"}
        assert len({delta["version"] for delta in deltas}) == 1
        newest = deltas[-1]["version"]
        assert isinstance(newest, int if version == "3.9.3" else str)
        again = await end.get_delta(newest)
        assert (again[flag], list(again["deltas"])) == (False, [])
        if version == "3.10.0":
            assert newest.startswith("v02_")
            assert len(newest) == 32
            # This dialect knows no increments: whatever else a node says, it gets everything.
            for other in ("v02_" + "f" * 28, "x" * 32, "v02_" + "0" * 28):
                assert (await end.get_delta(other))["full_sync"] is True


async def test_increments_hold_what_changed_and_what_went(running: Running) -> None:
    end = await joined(running)
    first = (await end.get_delta(0))["deltas"][-1]["version"]
    upstream = create(running, "upstreams", name="pool")
    target = create(running, "targets", target="10.0.0.1:80", upstream={"id": upstream["id"]})
    await told(end)
    answer = await end.get_delta(first)
    assert answer["wipe"] is False
    assert [(delta["type"], delta["pk"]["id"]) for delta in answer["deltas"]] == [
        ("upstreams", upstream["id"]),
        ("targets", target["id"]),
    ]
    assert answer["deltas"][1]["entity"]["upstream"] == {"id": upstream["id"]}
    second = answer["deltas"][-1]["version"]
    running.control.changes.delete(running.plane.scope, ACTOR, "upstreams", upstream["id"])
    await told(end)
    answer = await end.get_delta(second)
    gone = [delta for delta in answer["deltas"] if delta["entity"] is None]
    assert [(delta["type"], delta["pk"]) for delta in gone] == [
        ("targets", {"id": target["id"]}),
        ("upstreams", {"id": upstream["id"]}),
    ]
    assert len({delta["version"] for delta in gone}) == 1
    # Whoever is ahead of the store, or further behind than it remembers, gets everything.
    assert (await end.get_delta(10**6))["wipe"] is True
    assert (await end.get_delta(0))["wipe"] is True


async def told(end: RpcEnd) -> Any:
    """Take a notification of a newer version, and answer it."""
    message = await end.receive()
    assert message["method"] == "kong.sync.v2.notify_new_version"
    await end.send({"jsonrpc": "2.0", "id": message["id"], "result": True})
    return message["params"][0]["default"]["new_version"]


async def test_a_node_is_told_of_each_change_once(running: Running) -> None:
    for version in ("3.9.3", "3.10.0"):
        end = await joined(running, version, str(uuid.uuid4()))
        known = (await end.get_delta(NONE[version]))["deltas"][-1]["version"]
        create(running, "services", name=f"s{version}", host="h")
        newer = await told(end)
        assert newer > known
        assert (await end.get_delta(known))["deltas"][-1]["version"] == newer
        with pytest.raises(TimeoutError):
            await end.receive(0.3)
        end.peer.close()


async def test_the_row_says_what_the_node_says(running: Running) -> None:
    end = await joined(running)
    newest = (await end.get_delta(0))["deltas"][-1]["version"]
    row = await eventually(running.row)
    assert (row.hostname, row.version, row.labels, row.ip) == ("dp-1", "3.9.3", {"env": "prod"}, "10.1.2.3")
    # A call without an id only says what runs.
    await end.send({"jsonrpc": "2.0", "method": "kong.sync.v2.get_delta", "params": [{"default": {"version": newest}}]})
    row = await eventually(lambda: (row := running.row()).revision == newest and row)
    assert (row.config_hash, row.sync_status) == (f"{newest:032d}", "normal")
    fault = {"entity_type": "service", "entity_id": NODE, "errors": [{"field": "host", "message": "too odd"}]}
    error = {"name": "sync deltas parse failure", "message": "no", "flattened_errors": [fault, 7]}
    await end.send(
        {
            "jsonrpc": "2.0",
            "method": "kong.sync.v2.notify_validation_error",
            "params": [{"version": newest, "error": error}],
        }
    )
    row = await eventually(lambda: (row := running.row()).issues and row)
    (issue,) = row.issues
    assert (issue.code, issue.severity, issue.description) == ("config_refused", "error", "service.host: too odd")
    assert issue.affected_resources == [{"id": NODE, "type": "service"}]
    await end.get_delta(newest)
    await eventually(lambda: not running.row().issues)


async def test_deltas_are_offered_to_known_versions_only(running: Running, tmp_path: Path) -> None:
    for version in ("3.9.1", "3.8.0", "3.9.3.1", "3.10.1", "3.11.0", "4.0.0", "odd"):
        node, _ = await running.upgrade(running.headers() | SUBPROTOCOL, target="/v2/outlet")
        end, welcome = await say_hello(node, rpc_hello(NODE, version))
        assert welcome["rpc_capabilities"] == []
        answer = await end.call("kong.sync.v2.get_delta", [{"default": {"version": 0}}])
        assert answer["error"] == {"code": -32601, "message": "Method not found"}
    node, _ = await running.upgrade(running.headers() | SUBPROTOCOL, target="/v2/outlet")
    _, welcome = await say_hello(node, rpc_hello(NODE, rpc_capabilities={}))
    assert welcome["rpc_capabilities"] == []
    (tmp_path / "other").mkdir()
    async with running_with(tmp_path / "other", rpc=True) as other:
        node, _ = await other.upgrade(other.headers() | SUBPROTOCOL, target="/v2/outlet")
        _, welcome = await say_hello(node, rpc_hello(NODE))
        assert welcome["rpc_capabilities"] == []


async def test_the_upgrade_needs_the_subprotocol_a_certificate_and_the_setting(
    running: Running, tmp_path: Path
) -> None:
    for headers, status in ((running.headers(), 400), ({"Twinplane-Sni": running.sni()} | SUBPROTOCOL, 401)):
        with pytest.raises(Refused) as refused:
            await running.upgrade(headers, target="/v2/outlet")
        assert refused.value.status == status
    listed = {"Sec-WebSocket-Protocol": "other, kong.meta.v1"}
    _, answered = await running.upgrade(running.headers() | listed, target="/v2/outlet")
    assert answered["sec-websocket-protocol"] == "kong.meta.v1"
    (tmp_path / "other").mkdir()
    async with running_with(tmp_path / "other") as other:
        with pytest.raises(Refused) as refused:
            await other.upgrade(other.headers() | SUBPROTOCOL, target="/v2/outlet")
        assert refused.value.status == 404


async def test_pings_are_answered_and_a_batch_by_a_batch(running: Running) -> None:
    end = await joined(running)
    await end.peer.send(PING, b"")
    assert (await end.peer.receive_kind(PONG)).data == b""
    delta = {"jsonrpc": "2.0", "method": "kong.sync.v2.get_delta", "params": [{"default": {"version": 0}}]}
    await end.send([delta | {"id": 7}, {"jsonrpc": "2.0", "method": "nope", "id": 8}, delta, 5])
    answers = await end.receive()
    assert [answer.get("id") for answer in answers] == [7, 8, None]
    assert answers[0]["result"]["default"]["wipe"] is True
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32600]
    await end.send([delta])
    with pytest.raises(TimeoutError):
        await end.receive(0.2)


async def test_older_rows_lose_what_they_do_not_know(running: Running) -> None:
    """Fields of later versions are not sent to 3.9.3; a licence to no node of the open edition."""
    create(running, "licenses", payload='{"license":{"version":1}}')
    create(running, "plugins", name="cors", condition='http.path == "/a"')
    end = await joined(running)
    deltas = (await end.get_delta(0))["deltas"]
    (plugin,) = [delta["entity"] for delta in deltas if delta["type"] == "plugins"]
    assert "condition" not in plugin
    assert not [delta for delta in deltas if delta["type"] == "licenses"]
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    assert "condition" in row.issues[0].description


async def test_many_nodes_share_one_history(running: Running) -> None:
    ends = [await joined(running, node_id=str(uuid.uuid4())) for _ in range(5)]
    known = [(await end.get_delta(0))["deltas"][-1]["version"] for end in ends]
    assert len(set(known)) == 1
    for number in range(3):
        create(running, "services", name=f"s{number}", host="h")
    newest = [await told(end) for end in ends]
    answers = await asyncio.gather(*(end.get_delta(known[0]) for end in ends))
    assert all(answer["deltas"][-1]["version"] >= newest[0] for answer in answers)


async def test_an_answer_that_does_not_fit_is_an_error_and_an_issue(tmp_path: Path) -> None:
    async with running_with(tmp_path, rpc=True, rpc_sync=True, payload_bytes_max=600) as running:
        for number in range(20):
            create(running, "services", name=f"s{number}-{uuid.uuid4()}", host=f"{uuid.uuid4()}.test")
        end = await joined(running)
        answer = await end.call("kong.sync.v2.get_delta", [{"default": {"version": 0}}])
        assert answer["error"]["code"] == -32000
        assert "payload_too_large" in answer["error"]["message"]
        row = await eventually(lambda: (row := running.row()) and row.issues and row)
        assert row.issues[0].code == "payload_too_large"
        assert running.server.facts.refused["answer_too_large"] == 1
