"""Whatever a control plane pushes, a real node process serves on what it has, and stays within its memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.scripted_plane import LIMIT, PATIENCE_S, ScriptedNode, scripted_node
from tests.integration.installation import eventually
from tests.integration.link_peer import reconfigure

from twinplane.hybrid.hashing import hash_table
from twinplane.node.sparse import complete_table

Figure = Callable[[str, float], None]
SERVICE, ROUTE, PLUGIN = (f"70685800-1657-40ca-83ef-56d23052522{digit}" for digit in "123")
NOWHERE = "70685800-1657-40ca-83ef-56d230525229"
EPOCHS = ("1700000000000-0000000a", "1700000000001-0000000b", "1700000000002-0000000c")
MIB = 1_048_576
# A bomb ends at 16 times the limit inflated, which is held in pieces and, for a moment, whole; the frame itself is held
# where it is read, where it is unmasked and where it waits, and another may be on its way.
MEMORY_MAX = (2 * 16 + 8) * LIMIT


def table(text: str = "first", **changes: Any) -> dict[str, Any]:
    """A configuration that answers with `text`."""
    rows: dict[str, Any] = {
        "services": [{"id": SERVICE, "name": "s", "protocol": "http", "host": "a.example", "port": 80}],
        "routes": [{"id": ROUTE, "name": "r", "service": SERVICE, "paths": ["/version"]}],
        "plugins": [
            {
                "id": PLUGIN,
                "name": "request-termination",
                "route": ROUTE,
                "config": {"status_code": 200, "message": text},
            }
        ],
    }
    for row in (row for collection in rows.values() for row in collection):
        row |= {"created_at": 1_700_000_000, "updated_at": 1_700_000_000}
    # A twin sends every field.
    whole: dict[str, Any] = json.loads(complete_table(json.dumps({"_format_version": "3.0", **rows}).encode()))
    return whole | changes


def push(content: dict[str, Any], **fields: Any) -> bytes:
    return reconfigure(content, hash_table(content).config, **fields)


def raw(content: bytes) -> bytes:
    """A frame whose table is this text."""
    head = b'{"type":"reconfigure","timestamp":1.0,"config_hash":"%032x","config_table":' % zlib.crc32(content)
    return gzip.compress(head + content + b"}")


def bomb(compressed: int) -> bytes:
    """Zeros: a thousandfold of what crosses the link, and made without being held here."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    count = compressed // len(block)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    size = struct.pack("<II", 0, count * MIB & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * count + end + size


def changed(collection: str, **fields: Any) -> dict[str, Any]:
    content = table("other")
    content[collection] = [content[collection][0] | fields]
    return content


GOOD_TEXT = json.dumps(table("other")).encode()
PUSHES: dict[str, bytes] = {
    "empty": b"",
    "empty inside": gzip.compress(b""),
    "no table": gzip.compress(b'{"type":"reconfigure"}'),
    "empty table": raw(b""),
    "malformed JSON": raw(GOOD_TEXT[:-3]),
    "not gzip": GOOD_TEXT,
    "gzip cut off": push(table("other"))[:-12],
    "gzip damaged": push(table("other"))[:20] + b"\xff" * 8 + push(table("other"))[28:],
    "bomb of 1 kB": bomb(1_100),
    "bomb of 0.5 MB": bomb(500_000),
    "bomb of 4 MiB": bomb(LIMIT - 4_096),
    "4 MiB + 1": bytes(LIMIT + 1),
    "16 MiB + 1": bytes(16_777_217),
    "unknown plugin": push(changed("plugins", name="no-such-plugin")),
    "unknown field": push(changed("services", no_such_field=1)),
    "unknown plugin field": push(
        changed("plugins", config={"status_code": 200, "message": "other", "no_such_field": 1})
    ),
    "unknown collection": push(table("other", no_such_collection=[{"id": NOWHERE}])),
    "wrong type": push(changed("services", port="eighty")),
    "rows of a wrong type": push(table("other", services="not a list")),
    "dangling reference": push(changed("routes", service=NOWHERE)),
    "a key twice": raw(GOOD_TEXT.replace(b'"port": 80', b'"port": 80, "port": 81')),
    "a collection twice": raw(GOOD_TEXT[:-1] + b', "services": []}'),
    "invalid UTF-8": raw(GOOD_TEXT.replace(b"other", b"\xff\xfe")),
    "200 levels deep": raw(GOOD_TEXT[:-1] + b', "tags": ' + b"[" * 200 + b"]" * 200 + b"}"),
    "200 levels deep in a row": raw(GOOD_TEXT.replace(b'"port": 80', b'"port": ' + b"[" * 200 + b"]" * 200)),
    "100,000 levels deep": raw(b"[" * 100_000 + b"]" * 100_000),
}


async def serve_first(node: ScriptedNode, **fields: Any) -> str:
    """Push the first configuration; the answer is its hash."""
    answered = await node.push(push(table(), **fields))
    assert answered.errors == []
    assert answered.config_hash == hash_table(table()).config
    assert await node.serves("/version") == "200 first"
    return answered.config_hash


@pytest.mark.parametrize("is_twin", [True, False])
async def test_what_cannot_be_served_changes_nothing(tmp_path: Path, figure: Figure, is_twin: bool) -> None:
    async with scripted_node(tmp_path, is_twin=is_twin) as node:
        first = await serve_first(node)
        idle = node.memory_peak()
        for name, frame in PUSHES.items():
            answered = await node.push(frame)
            assert answered.link_ended or answered.errors, name
            assert answered.config_hash in {"", first}, name
            assert await node.config_hash() == first, name
            assert await node.serves("/version") == "200 first", name
        grown = node.memory_peak() - idle
        figure(f"bad pushes {'of a twin' if is_twin else 'of another maker'}: MiB more than idle", grown / MIB)
        assert grown <= MEMORY_MAX
        assert (await node.push(push(table("second")))).errors == []
        assert await node.serves("/version") == "200 second"


async def served(node: ScriptedNode, text: str, revision: int, epoch: str) -> tuple[str, int, str]:
    """What the node says and serves after a push of that content as that revision."""
    answered = await node.push(push(table(text), revision=revision, epoch=epoch))
    assert answered.errors == []
    assert answered.config_hash == answered.applied["config_hash"] == await node.config_hash()
    return await node.serves("/version"), answered.applied["revision"], answered.applied["epoch"]


async def test_versions_never_go_back(tmp_path: Path) -> None:
    before, now, after = EPOCHS
    async with scripted_node(tmp_path, is_twin=True) as node:
        assert await served(node, "five", 5, now) == ("200 five", 5, now)
        # Again, out of order, of an earlier epoch.
        for text, revision, epoch in [
            ("five", 5, now),
            ("four", 4, now),
            ("one", 1, now),
            ("hundred", 100, before),
            ("five", 5, now),
        ]:
            assert await served(node, text, revision, epoch) == ("200 five", 5, now)
        assert await served(node, "seven", 7, now) == ("200 seven", 7, now)
        assert await served(node, "six", 6, now) == ("200 seven", 7, now)

        # All at once: each that is taken is newer than the one before.
        burst = [9, 8, 9, 12, 8, 11, 12, 10, 7]
        for revision in burst:
            await node.send(push(table(f"version-{revision}"), revision=revision, epoch=now))
        await node.send(push(table("thirteen"), revision=13, epoch=now))
        seen = [7]
        while seen[-1] != 13:
            answered = await node.hear()
            assert answered.errors == []
            seen.append(answered.applied["revision"])
        assert seen == sorted(seen)
        assert await node.serves("/version") == "200 thirteen"

        await node.kill()
        arrival = await node.start()
        applied = arrival.basic_info["applied"]
        assert (applied["revision"], applied["epoch"]) == (13, now)
        for text, revision, epoch in [("twelve", 12, now), ("hundred", 100, before)]:
            assert await served(node, text, revision, epoch) == ("200 thirteen", 13, now)
        # A newer publication may be of older content, and begins to count anew.
        assert await served(node, "four", 1, after) == ("200 four", 1, after)
        assert await served(node, "fourteen", 14, now) == ("200 four", 1, after)


async def test_a_killed_node_starts_from_a_thousand_routes(tmp_path: Path, figure: Figure) -> None:
    async with scripted_node(tmp_path, is_twin=True) as node:
        (route,) = table()["routes"]
        routes = [
            route | {"id": f"{ROUTE[:-4]}{number:04}", "name": f"r{number}", "paths": [f"/many/{number}"]}
            for number in range(1000)
        ]
        plugin = table()["plugins"][0] | {"route": None, "service": SERVICE}
        content = table(routes=routes, plugins=[plugin])
        assert (await node.push(push(content))).errors == []
        assert await node.serves("/many/999") == "200 first"
        await node.plane.stop()
        await node.kill()
        began = time.monotonic()
        node.start_alone()
        await asyncio.to_thread(eventually, lambda: node.proxy("GET", "/many/999").status == 200, seconds=PATIENCE_S)
        figure("node killed: serving 1,000 routes again, its control plane away, s", time.monotonic() - began)
        assert await node.config_hash() == hash_table(content).config


@pytest.mark.parametrize("is_twin", [True, False])
async def test_what_a_newer_control_plane_would_send_is_refused_whole(tmp_path: Path, is_twin: bool) -> None:
    async with scripted_node(tmp_path, is_twin=is_twin) as node:
        first = await serve_first(node)
        for content, told in [
            (changed("services", field_of_tomorrow=True), "field_of_tomorrow"),
            (table("other", rows_of_tomorrow=[{"id": NOWHERE, "name": "n"}]), "rows_of_tomorrow"),
            (table("other", rows_of_tomorrow=[]), "rows_of_tomorrow"),
        ]:
            answered = await node.push(push(content))
            (error,) = answered.errors
            assert error["config_hash"] == hash_table(content).config
            assert told in json.dumps(error)
            assert answered.config_hash == first
            assert await node.serves("/version") == "200 first"
        # What it says around the table is passed over, and so is a message of a kind that is not known.
        content = table("second")
        answered = await node.push(push(content, said_tomorrow={"a": [1]}))
        assert answered.errors == []
        assert answered.config_hash == hash_table(content).config
        await node.send(gzip.compress(b'{"type":"of_tomorrow","body":{}}'))
        assert (await node.push(push(table("third")))).errors == []
        assert await node.serves("/version") == "200 third"
