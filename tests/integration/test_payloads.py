"""Configurations as they come off the link, into the real core: good ones are served, bad ones change nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.integration.link_peer import reconfigure, recorded

from twinplane._dataplane import ApplyError, Core  # noqa: TID251 - the core itself is what is tried
from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.hashing import hash_table
from twinplane.hybrid.wire import Issue
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import PayloadRefused
from twinplane.node.sparse import complete_table

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "link" / "legacy-v1.jsonl"
ID = "70685800-1657-40ca-83ef-56d23052522d"
GOOD: dict[str, Any] = {
    "_format_version": "3.0",
    "_transform": False,
    "services": [{"id": ID, "name": "orders", "protocol": "http", "host": "a.example", "port": 80}],
}


class Node:
    """A keeper over a real core that listens on a free port of loopback."""

    def __init__(self, directory: Path) -> None:
        listener = {"address": "127.0.0.1", "port": 0, "tls": False, "http2": False, "proxy_protocol": False}
        settings = {
            "node_id": ID,
            "version": "twinplane/0.1.0",
            "workers": 1,
            "listeners": [{**listener, "reuseport": True, "backlog": 16}],
            "default_certificates": [],
        }
        self.keeper = ConfigKeeper(
            self.apply,
            ConfigCache(directory),
            complete=complete_table,
            bytes_max=4_194_304,
            on_served=lambda _table: None,
        )
        self.core: Core = self.keeper.start(
            lambda table: Core.start(orjson.dumps(settings), table), (ApplyError,), issues=lambda _core: ()
        )

    def apply(self, table: bytes) -> Sequence[Issue]:
        try:
            self.core.apply(table)
        except ApplyError as error:
            raise PayloadRefused(orjson.loads(error.args[0])) from error
        return []

    async def take(self, table: Any, *, is_twin: bool = False) -> str | None:
        """Why the node refuses a table, None where it serves it."""
        outcome = await self.keeper.receive(reconfigure(table, _hash(table)), is_twin=is_twin)
        assert outcome is not None
        return outcome.fault.message if outcome.fault else None


def _hash(table: Any) -> str:
    return hash_table(table).config


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.core.stop(100)


@pytest.mark.skipif(not RECORDED.exists(), reason="recorded link session not present")
async def test_what_a_real_control_plane_sent_is_served(node: Node) -> None:
    frames = [entry["json"] for entry in recorded(RECORDED) if entry.get("json", {}).get("type") == "reconfigure"]
    assert frames
    for message in frames:
        await node.keeper.receive(gzip.compress(json.dumps(message).encode()), is_twin=False)
        assert node.keeper.config_hash == message["config_hash"]
        assert node.core.status().routes == len(message["config_table"]["routes"])


async def test_sparse_rows_are_served(node: Node) -> None:
    assert await node.take(GOOD) is None
    assert node.core.status().services == 1


async def test_parameters_alone_make_a_node_ready(node: Node) -> None:
    assert not node.core.status().snapshot_ready
    table = {"_format_version": "3.0", "parameters": [{"key": "cluster_id", "value": ID, "created_at": None}]}
    assert await node.take(table) is None
    assert node.core.status().snapshot_ready


@pytest.mark.parametrize("is_twin", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"plugins": [{"id": ID, "name": "no-such-plugin", "config": {}}]},
        {"extra_collection": [{"id": ID}]},
        {"services": [{**GOOD["services"][0], "extra": 1}]},
        {"services": [{**GOOD["services"][0], "port": "eighty"}]},
        {"services": [{"id": ID, "name": "no-host"}]},
        {"routes": [{"id": ID, "name": "r", "service": "11111111-1657-40ca-83ef-56d23052522d", "paths": ["/"]}]},
        {"services": "not a list"},
        {"services": [["not", "a", "row"]]},
    ],
)
async def test_a_bad_table_is_refused_whole(node: Node, changes: dict[str, Any], is_twin: bool) -> None:
    assert await node.take(GOOD) is None
    before = node.keeper.config_hash
    assert await node.take(GOOD | changes, is_twin=is_twin)
    assert node.keeper.config_hash == before
    assert node.core.status().services == 1
    assert node.core.status().routes == 0


@pytest.mark.parametrize("is_twin", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":{"services":[}}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":{"services":[{"id":"\xff"}]}}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'"}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":null}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":{"services":[],"services":[]}}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":{"services":[{"tags":1,"tags":2}]}}',
        b'{"type":"reconfigure","config_hash":"' + b"a" * 32 + b'","config_table":{"a:":1,"a\\u003a":["b:c","::"]}}',
        b"",
        b"{",
        b"[]",
    ],
)
async def test_a_malformed_message_changes_nothing(node: Node, text: bytes, is_twin: bool) -> None:
    assert await node.take(GOOD) is None
    before = node.keeper.config_hash
    try:
        outcome = await node.keeper.receive(gzip.compress(text), is_twin=is_twin)
    except FrameInvalid:
        pass
    else:
        assert outcome is not None
        assert outcome.fault is not None
    assert node.keeper.config_hash == before
    assert node.core.status().services == 1


@pytest.mark.parametrize("escape", [False, True])
async def test_colons_within_texts_are_no_names(node: Node, escape: bool) -> None:
    table = GOOD | {"services": [GOOD["services"][0] | {"tags": ["a:b", '{"c":1}', "::"]}]}
    text = json.dumps({"type": "reconfigure", "config_hash": _hash(table), "config_table": table, "x": {"y": ":"}})
    frame = gzip.compress(text.replace("a:b", "a\\u003Ab" if escape else "a:b").encode())
    outcome = await node.keeper.receive(frame, is_twin=False)
    assert outcome is not None
    assert outcome.fault is None
    assert node.keeper.config_hash == _hash(table)


@pytest.mark.parametrize("frame", [gzip.compress(bytes(500_000_000), 9), b"\x1f\x8b" + bytes(4_194_304)])
async def test_too_large_a_message_is_not_taken_in(node: Node, frame: bytes) -> None:
    with pytest.raises(PayloadTooLarge):
        await node.keeper.receive(frame, is_twin=True)


async def test_a_node_starts_from_its_cache_as_it_served(node: Node, tmp_path: Path) -> None:
    assert await node.take(GOOD) is None
    again = Node(tmp_path)
    assert again.keeper.config_hash == node.keeper.config_hash
    assert again.core.status().services == 1
    again.core.stop(100)
