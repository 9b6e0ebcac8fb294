"""Everything wrong that a peer could send, on either end and in either version, through real sockets.

Each costs little, is refused in the protocol's way, counted by its reason, logged once with who it was, and harms
nobody else: a good node stays connected throughout and gets its changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import struct
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import self_signed
from tests.control_room import open_platform
from tests.integration.link_peer import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    ZERO_HASH,
    Node,
    Refused,
    eventually,
    frame_bytes,
    reconfigure,
    rpc_hello,
    say_hello,
    snappy_block,
)
from tests.integration.test_link_client import SHARED as SHARED_LEAF
from tests.integration.test_link_client import Running as NodeRunning
from tests.integration.test_link_client import plane_with, shared_tls
from tests.integration.test_link_server import ACTOR, NODE, Running

from twinplane.hybrid.server import LinkServer, LinkServerSettings

DEEP = b'{"type":"basic_info","plugins":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
INFO = {"type": "basic_info", "plugins": [], "filters": {}, "labels": {}, "process_conf": {}}
BOMB = gzip.compress(b"\0" * 50_000_000)
SUBPROTOCOL = {"Sec-WebSocket-Protocol": "kong.meta.v1"}


def masked(opcode: int, data: bytes, **options: Any) -> bytes:
    return frame_bytes(opcode, data, masked=True, **options)


def info(**fields: Any) -> bytes:
    return masked(BINARY, json.dumps(INFO | fields).encode())


def claimed(opcode: int, length: int) -> bytes:
    """The head of a frame that never comes."""
    return bytes([0x80 | opcode, 0x80 | 127]) + struct.pack("!Q", length) + b"\0\0\0\0"


FIRST = {
    "text": (masked(TEXT, json.dumps(INFO).encode()), "basic_info_invalid"),
    "ping": (masked(PING, ZERO_HASH.encode()), "basic_info_invalid"),
    "fragmented": (masked(BINARY, b"{", fin=False), "frame_fragmented"),
    "continuation": (masked(0, b"{}"), "frame_fragmented"),
    "empty": (masked(BINARY, b""), "not_json"),
    "no JSON": (masked(BINARY, b"{"), "not_json"),
    "no object": (masked(BINARY, b"[]"), "not_json"),
    "not UTF-8": (masked(BINARY, b'{"type":"\xff\xfe"}'), "not_utf8"),
    "not a number": (masked(BINARY, b'{"type":"basic_info","plugins":[],"x":NaN}'), "not_json"),
    "a long number": (masked(BINARY, b'{"type":"basic_info","plugins":[],"x":' + b"9" * 9_999 + b"}"), "not_json"),
    "a name twice": (masked(BINARY, b'{"type":"basic_info","plugins":[],"plugins":[]}'), "duplicate_name"),
    "deep": (masked(BINARY, DEEP), "nested_too_deep"),
    "another type": (info(type="reconfigure"), "basic_info_invalid"),
    "no plugins": (info(plugins=None), "basic_info_invalid"),
    "plugins of another type": (info(plugins={"cors": "3.9.3"}), "basic_info_invalid"),
    "a plugin without a name": (info(plugins=[{"version": "1"}]), "basic_info_invalid"),
    "too many plugins": (info(plugins=[{"name": str(number)} for number in range(1001)]), "basic_info_invalid"),
    "gzip": (masked(BINARY, gzip.compress(json.dumps(INFO).encode())), "not_utf8"),
    "a bomb": (masked(BINARY, BOMB), "not_utf8"),
    "too long": (info(process_conf={"x": "y" * 1_048_576}), "payload_too_large"),
    "claims too much": (claimed(BINARY, 2**40), "frame_too_large"),
    "claims a little too much": (claimed(BINARY, 4_194_305), "frame_too_large"),
    "not masked": (frame_bytes(BINARY, json.dumps(INFO).encode(), masked=False), "frame_broken"),
    "reserved bit": (b"\xc2" + masked(BINARY, b"{}")[1:], "frame_broken"),
    "reserved opcode": (masked(3, b"{}"), "frame_broken"),
    "long ping": (masked(PING, b"0" * 126), "frame_broken"),
    "broken close": (masked(CLOSE, b"\x03"), "frame_broken"),
    "no frame": (b"GET / HTTP/1.1\r\n\r\n" * 10, "frame_broken"),
}
LATER = {
    "short hash": (masked(PING, b"0" * 31), "ping_invalid"),
    "long hash": (masked(PING, b"0" * 33), "ping_invalid"),
    "no hash": (masked(PING, b""), "ping_invalid"),
    "hash of other signs": (masked(PING, b"\xff" * 32), "ping_invalid"),
    "pong": (masked(PONG, b""), "frame_unexpected"),
    "text": (masked(TEXT, b"{}"), "frame_unexpected"),
    "fragmented": (masked(BINARY, b"{", fin=False), "frame_fragmented"),
    "no JSON": (masked(BINARY, b"nonsense"), "not_json"),
    "not UTF-8": (masked(BINARY, b"\xff" * 100), "not_utf8"),
    "deep": (masked(BINARY, DEEP), "nested_too_deep"),
    "a bomb": (masked(BINARY, BOMB), "not_utf8"),
    "a name twice": (masked(BINARY, b'{"type":"error","type":"error"}'), "duplicate_name"),
    "too long": (masked(BINARY, b'{"type":"' + b"x" * 1_048_576 + b'"}'), "payload_too_large"),
    "claims too much": (claimed(BINARY, 2**62), "frame_too_large"),
    "a revision beyond all": (masked(BINARY, b'{"type":"applied","revision":9223372036854775808}'), "report_invalid"),
    "a revision below all": (masked(BINARY, b'{"type":"applied","revision":-1}'), "report_invalid"),
    "a revision that is no number": (masked(BINARY, b'{"type":"applied","revision":true}'), "report_invalid"),
    "pings without end": (masked(PING, ZERO_HASH.encode()) * 5_000, "frame_rate"),
    "reports without end": (masked(BINARY, b'{"type":"error","error":{}}') * 5_000, "frame_rate"),
    "bytes without end": (masked(BINARY, b'{"type":"applied","x":"' + b"x" * 1_000_000 + b'"}') * 50, "byte_rate"),
}
PASSED_OVER = {
    "the first frame again": (info(), "report_unknown"),
    "a configuration": (masked(BINARY, b'{"type":"reconfigure","config_table":{}}'), "report_unknown"),
}


class Watched(Running):
    """A link server with a good node on it, and an eye on what is refused."""

    async def watch(self) -> None:
        self.server = LinkServer(
            self.control, self.intake, LinkServerSettings(self.path, rpc=True, rpc_sync=True, frames_per_second=50)
        )
        await self.server.start()
        self.bad_leaf = self_signed("bad")
        self.pin(self.plane, self.bad_leaf)
        self.good, _ = await self.joined(node_id=str(uuid.uuid4()))

    async def bad(self, **options: Any) -> Node:
        """A node with a certificate of its own, so that its refusals are told from others'."""
        return await self.connect(self.headers(self.bad_leaf), **options)

    async def assert_refused(self, reason: str, logged: Any, *, identity: str = NODE) -> None:
        """Counted once, logged once with who it was, and the good node lives."""
        await eventually(lambda: self.server.facts.refused.get(reason) == 1)
        assert dict(self.server.facts.refused) == {reason: 1}
        lines = [record.getMessage() for record in logged.records if "peer_refused" in record.getMessage()]
        (line,) = [each for each in lines if f"reason={reason} " in each]
        for part in (identity, "certificate=", "ip=10.1.2.3"):
            assert part in line
        await self.assert_good_node_lives()

    async def assert_good_node_lives(self) -> None:
        number = uuid.uuid4().hex
        self.control.changes.create(self.plane.scope, ACTOR, "services", {"name": number, "host": "h"})
        message = await self.good.configuration(10)
        assert number in {row["name"] for row in message["config_table"]["services"]}
        await self.good.ping(message["config_hash"])
        await self.good.receive_kind(PONG)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    with open_platform(tmp_path / "data") as platform:
        made = Watched(platform, tmp_path)
        await made.watch()
        before = memory_kib()
        yield made
        # What was sent would have become gigabytes.
        assert memory_kib() - before < 200_000
        for node in made.nodes:
            node.close()
        await made.server.stop()


def memory_kib() -> int:
    """The most memory that this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError


async def send(node: Node, data: bytes) -> None:
    """Send bytes; the other end may hang up before it has read them all."""
    with contextlib.suppress(ConnectionError):
        node.writer.write(data)
        await node.writer.drain()


async def hung_up(node: Node) -> None:
    with contextlib.suppress(ConnectionError):
        assert await node.ended(10)


# --- version 1, our control plane ---


@pytest.mark.parametrize("name", FIRST)
async def test_a_wrong_first_frame(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = FIRST[name]
    node = await watched.bad()
    await send(node, data)
    await hung_up(node)
    await watched.assert_refused(reason, caplog)


@pytest.mark.parametrize("name", LATER)
async def test_a_wrong_later_frame(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = LATER[name]
    node = await watched.bad()
    await node.hello()
    await node.configuration()
    await send(node, data)
    await hung_up(node)
    await watched.assert_refused(reason, caplog)


@pytest.mark.parametrize("name", PASSED_OVER)
async def test_what_is_passed_over_is_counted(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = PASSED_OVER[name]
    node = await watched.bad()
    await node.hello()
    await node.configuration()
    await send(node, data)
    await watched.assert_refused(reason, caplog)
    await node.ping()
    await node.receive_kind(PONG)


async def test_signs_that_no_text_has_are_no_harm_to_what_others_report(watched: Watched) -> None:
    error = {
        "name": "x",
        "message": "\ud800",
        "flattened_errors": [
            {
                "entity_type": "route\ud800",
                "entity_id": "\ud800",
                "errors": [{"field": "a\ud800", "message": "b\ud800\x1b[2J"}],
            }
        ],
    }
    node = await watched.bad()
    await node.hello()
    await node.configuration()
    await send(node, masked(BINARY, json.dumps({"type": "error", "error": error}).encode()))
    await watched.assert_good_node_lives()

    def rows() -> dict[str, Any]:
        return {row.id: row for row in watched.control.nodes.list(watched.plane.scope)}

    await eventually(lambda: bool(rows()[NODE].issues))
    (issue,) = rows()[NODE].issues
    assert issue.description == "route .a : b  [2J"
    assert len(rows()) == 2


async def test_another_control_planes_name_is_refused(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    other = watched.control.control_planes.create(
        watched.plane.organization_id, watched.plane.region, ACTOR, {"name": "other"}
    )
    with pytest.raises(Refused) as refused:
        await watched.connect(watched.headers(watched.bad_leaf, watched.sni(plane=other)))
    assert refused.value.status == 401
    await watched.assert_refused("server_name_disagrees", caplog, identity="sni=")


@pytest.mark.parametrize(
    "query",
    ["", "?node_id=x&node_version=3.9.3", f"?node_id={NODE}", f"?node_id={NODE}&node_version={'9' * 65}"],
)
async def test_a_wrong_query(watched: Watched, query: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Refused) as refused:
        await watched.bad(target=f"/v1/outlet{query}")
    assert refused.value.status == 400
    await watched.assert_refused("query_invalid", caplog, identity="certificate=")


async def test_whoever_comes_again_and_again_is_logged_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(30):
        node = await watched.bad()
        await send(node, masked(BINARY, b"{"))
        await hung_up(node)
    await eventually(lambda: watched.server.facts.refused.get("not_json") == 30)
    lines = [each for each in caplog.records if "peer_refused" in each.getMessage()]
    assert len(lines) == 1
    # Another certificate has a line of its own.
    node = await watched.connect()
    await send(node, masked(BINARY, b"{"))
    await hung_up(node)
    await eventually(lambda: watched.server.facts.refused.get("not_json") == 31)
    assert len([each for each in caplog.records if "peer_refused" in each.getMessage()]) == 2
    await watched.assert_good_node_lives()


# --- version 2, our control plane ---


def hello_frame(**fields: Any) -> bytes:
    return masked(BINARY, json.dumps(rpc_hello(NODE, **fields)).encode())


HELLO = {
    "text": (masked(TEXT, json.dumps(rpc_hello(NODE)).encode()), "hello_invalid"),
    "in a block": (masked(BINARY, snappy_block(json.dumps(rpc_hello(NODE)).encode())), "not_utf8"),
    "another method": (masked(BINARY, b'{"jsonrpc":"2.0","id":1,"method":"x","params":[{}]}'), "hello_invalid"),
    "no id": (masked(BINARY, b'{"jsonrpc":"2.0","method":"kong.meta.v1.hello","params":[{}]}'), "hello_invalid"),
    "no params": (masked(BINARY, b'{"jsonrpc":"2.0","id":1,"method":"kong.meta.v1.hello"}'), "hello_invalid"),
    "no message": (masked(BINARY, b'"hello"'), "hello_invalid"),
    "an empty batch": (masked(BINARY, b"[]"), "hello_invalid"),
    "no version": (hello_frame(kong_version=None), "hello_invalid"),
    "an id of another form": (hello_frame(kong_node_id="x"), "hello_invalid"),
    "a host name of other signs": (hello_frame(kong_hostname="a b\n"), "hello_invalid"),
    "no conf": (hello_frame(kong_conf=None), "hello_invalid"),
    "another encoding": (hello_frame(rpc_frame_encodings=["gzip"]), "hello_invalid"),
    "a name twice": (masked(BINARY, b'{"jsonrpc":"2.0","jsonrpc":"2.0"}'), "duplicate_name"),
    "deep": (masked(BINARY, DEEP), "nested_too_deep"),
    "too long": (hello_frame(kong_conf={"x": "y" * 1_048_576}), "hello_invalid"),
    "fragmented": (masked(BINARY, b"{", fin=False), "frame_fragmented"),
    "claims too much": (claimed(BINARY, 2**33), "frame_too_large"),
}
BLOCKS = {
    "plain JSON": (masked(BINARY, b'{"jsonrpc":"2.0","id":1,"method":"x"}'), "not_snappy"),
    "empty": (masked(BINARY, b""), "not_snappy"),
    "no length": (masked(BINARY, b"\xff" * 12), "not_snappy"),
    "a lie": (masked(BINARY, b"\x80\x80\x10" + b"abc"), "not_snappy"),
    "four gigabytes": (masked(BINARY, b"\xff\xff\xff\xff\x0f" + b"\0" * 64), "payload_too_large"),
    "copies of nothing": (masked(BINARY, b"\x40" + b"\xfe\xff\xff" * 3), "not_snappy"),
    "text": (masked(TEXT, b"{}"), "frame_unexpected"),
    "fragmented": (masked(BINARY, b"{", fin=False), "frame_fragmented"),
    "too large": (masked(BINARY, snappy_block(b" " * 1_048_577)), "payload_too_large"),
    "calls without end": (
        masked(BINARY, snappy_block(b'{"jsonrpc":"2.0","method":"kong.sync.v2.notify_validation_error"}')) * 3_000,
        "frame_rate",
    ),
    "pings without end": (masked(PING, b"") * 3_000, "frame_rate"),
}
GET = "kong.sync.v2.get_delta"
MESSAGES: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"{", -32700, "not_json"),
    "not UTF-8": (b'"\xff"', -32700, "not_json"),
    "deep": (b"[" * 50_000, -32700, "not_json"),
    "an empty batch": (b"[]", -32600, "request_invalid"),
    "a large batch": (b"[" + b"7," * 100 + b"7]", -32600, "request_invalid"),
    "a number": (b"7", -32600, "request_invalid"),
    "another protocol": (b'{"jsonrpc":"1.0","id":3,"method":"x"}', -32600, "request_invalid"),
    "a method of another type": (b'{"jsonrpc":"2.0","id":3,"method":7}', -32600, "request_invalid"),
    "a long method": (b'{"jsonrpc":"2.0","id":3,"method":"' + b"x" * 129 + b'"}', -32600, "request_invalid"),
    "params by name": (b'{"jsonrpc":"2.0","id":3,"method":"x","params":{"a":1}}', -32600, "request_invalid"),
    "an id of another type": (b'{"jsonrpc":"2.0","id":[3],"method":"x"}', -32600, "request_invalid"),
    "hello again": (json.dumps(rpc_hello(NODE)).encode(), -32601, "call_refused"),
    "an unknown method": (b'{"jsonrpc":"2.0","id":3,"method":"kong.debug.x"}', -32601, "call_refused"),
    "no version": (f'{{"jsonrpc":"2.0","id":3,"method":"{GET}","params":[]}}'.encode(), -32602, "call_refused"),
    "another namespace": (
        f'{{"jsonrpc":"2.0","id":3,"method":"{GET}","params":[{{"x":{{"version":0}}}}]}}'.encode(),
        -32602,
        "call_refused",
    ),
    "a version of another dialect": (
        json.dumps(
            {"jsonrpc": "2.0", "id": 3, "method": GET, "params": [{"default": {"version": "v02_" + "0" * 28}}]}
        ).encode(),
        -32602,
        "call_refused",
    ),
    "a negative version": (
        f'{{"jsonrpc":"2.0","id":3,"method":"{GET}","params":[{{"default":{{"version":-1}}}}]}}'.encode(),
        -32602,
        "call_refused",
    ),
}


async def rpc_node(watched: Watched) -> Node:
    return await watched.connect(watched.headers(watched.bad_leaf) | SUBPROTOCOL, target="/v2/outlet")


@pytest.mark.parametrize("name", HELLO)
async def test_a_wrong_hello(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = HELLO[name]
    node = await rpc_node(watched)
    await send(node, data)
    await hung_up(node)
    await watched.assert_refused(reason, caplog, identity="certificate=")


@pytest.mark.parametrize("name", BLOCKS)
async def test_a_wrong_block(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = BLOCKS[name]
    node = await rpc_node(watched)
    await say_hello(node, rpc_hello(NODE))
    await send(node, data)
    await hung_up(node)
    counted = dict(watched.server.facts.refused)
    counted.pop("call_refused", None)
    if name == "calls without end":
        # The calls before the last one that is taken are wrong as well.
        assert counted == {reason: 1}
        await watched.assert_good_node_lives()
    else:
        await watched.assert_refused(reason, caplog)


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_wrong_message(watched: Watched, name: str, caplog: pytest.LogCaptureFixture) -> None:
    text, code, reason = MESSAGES[name]
    node = await rpc_node(watched)
    end, _ = await say_hello(node, rpc_hello(NODE))
    await node.send(BINARY, snappy_block(text))
    answer = await end.receive()
    assert answer["error"]["code"] == code
    await watched.assert_refused(reason, caplog)
    # The link goes on.
    assert (await end.get_delta(0))["wipe"] is True


async def test_an_answer_to_nothing_is_passed_over(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    node = await rpc_node(watched)
    end, _ = await say_hello(node, rpc_hello(NODE))
    await end.send({"jsonrpc": "2.0", "id": 99, "result": True})
    await watched.assert_refused("answer_unasked", caplog)
    assert (await end.get_delta(0))["wipe"] is True


# --- version 1, our node ---

GOOD = reconfigure({"_format_version": "3.0", "services": []}, "A" * 32)
BETTER = reconfigure({"_format_version": "3.0", "services": [], "routes": []}, "B" * 32)


def sent(opcode: int, data: bytes, **options: Any) -> bytes:
    return frame_bytes(opcode, data, masked=False, **options)


# What the node is sent, and whether that ends the link.
TO_NODE = {
    "no gzip": (sent(BINARY, b"nonsense"), True),
    "empty": (sent(BINARY, b""), True),
    "gzip that is cut off": (sent(BINARY, GOOD[:-9]), True),
    "a bomb": (sent(BINARY, gzip.compress(b"\0" * 300_000_000)), True),
    "no JSON": (sent(BINARY, gzip.compress(b"{")), True),
    "not UTF-8": (sent(BINARY, gzip.compress(b'{"type":"\xff"}')), True),
    "deep": (sent(BINARY, gzip.compress(b"[" * 500_000)), True),
    "no object": (sent(BINARY, gzip.compress(b"[]")), True),
    "no table": (sent(BINARY, gzip.compress(b'{"type":"reconfigure"}')), True),
    "fragmented": (sent(BINARY, GOOD, fin=False), True),
    "masked": (frame_bytes(BINARY, GOOD, masked=True), True),
    "claims too much": (bytes([0x82, 127]) + struct.pack("!Q", 2**40), True),
    "reserved bit": (b"\xc2\x00", True),
    "another type": (sent(BINARY, gzip.compress(b'{"type":"other"}')), False),
    "text": (sent(TEXT, b"{}"), False),
    "a pong that nobody asked for": (sent(PONG, b"x" * 100), False),
    "pings without end": (sent(PING, b"") * 5_000, False),
}


@pytest.mark.parametrize("name", TO_NODE)
async def test_a_wrong_frame_to_a_node_changes_nothing_of_what_it_serves(tmp_path: Path, name: str) -> None:
    data, ends = TO_NODE[name]
    plane = plane_with(tmp_path, SHARED_LEAF)
    await plane.start()
    running = NodeRunning(tmp_path, plane)
    try:
        client = running.start(shared_tls())
        arrival = await plane.arrival()
        await arrival.peer.send(BINARY, GOOD)
        await eventually(lambda: running.keeper.config_hash == "A" * 32)
        before = memory_kib()
        with contextlib.suppress(ConnectionError):
            arrival.peer.writer.write(data)
            await arrival.peer.writer.drain()
        if ends:
            arrival = await plane.arrival(10)
            assert client.facts.failures_total == 1
            assert client.facts.last_error
        assert running.keeper.config_hash == "A" * 32
        assert memory_kib() - before < 150_000
        await arrival.peer.send(BINARY, BETTER)
        await eventually(lambda: running.keeper.config_hash == "B" * 32)
        assert len(running.core.served) == 2
    finally:
        await running.stop()
        await plane.stop()


async def test_a_node_is_not_hurried_by_its_control_plane(tmp_path: Path) -> None:
    """Of many configurations at once the newest is applied; what lies between is never built."""
    plane = plane_with(tmp_path, SHARED_LEAF)
    await plane.start()
    running = NodeRunning(tmp_path, plane)
    try:
        running.start(shared_tls())
        arrival = await plane.arrival()
        for number in range(300):
            table = {"_format_version": "3.0", "services": [{"id": str(number)}]}
            await arrival.peer.send(BINARY, reconfigure(table, f"{number:032d}"))
        await eventually(lambda: running.keeper.config_hash == f"{299:032d}")
        assert len(running.core.served) < 300
    finally:
        await running.stop()
        await plane.stop()
    await asyncio.sleep(0)
