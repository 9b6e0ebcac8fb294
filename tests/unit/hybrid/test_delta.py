"""Delta frames say what they were made of; what is wrong with one is refused at a bounded cost."""

from __future__ import annotations

import random
import zlib
from typing import Any

import orjson
import pytest

from twinplane.control.records import RowChange
from twinplane.hybrid.delta import (
    OPERATIONS_MAX,
    Delta,
    DeltaHead,
    Resync,
    decode_delta,
    decode_resync,
    encode_delta,
    encode_resync,
    is_delta,
)
from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.wire import inflate

HEAD = DeltaHead("1764000000000-aabbccdd", 3, 9, "a" * 32, "b" * 64, ("services", "routes"))
ROW = b'{"host":"a\\nb","id":"1-2"}'
DELTA = Delta(HEAD, (RowChange("services", "1-2", ROW), RowChange("routes", "7", None)))


def text(delta: Delta = DELTA) -> bytes:
    return inflate(encode_delta(delta, timestamp=1.0), bytes_max=1_048_576)


def test_what_is_encoded_is_decoded() -> None:
    assert is_delta(text())
    found = decode_delta(text())
    assert (found.head, tuple(found.operations)) == (HEAD, DELTA.operations)


def test_a_delta_of_nothing_moves_the_revision() -> None:
    found = decode_delta(text(Delta(HEAD, ())))
    assert (found.head.base, found.head.revision, list(found.operations)) == (3, 9, [])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"epoch": ""}, "epoch"),
        ({"epoch": "x" * 600}, "epoch"),
        ({"base": -1}, "base"),
        ({"base": True}, "base"),
        ({"base": 10}, "revision"),
        ({"revision": "9"}, "revision"),
        ({"revision": 2**63}, "revision"),
        ({"config_hash": None}, "config_hash"),
        ({"digest": "B" * 64}, "digest"),
        ({"digest": "b" * 63}, "digest"),
        ({"collections": ["no good"]}, "collections"),
        ({"collections": ["a"] * 201}, "collections"),
        ({"collections": "services"}, "collections"),
        ({"operations": 1}, "operations"),
        ({"operations": OPERATIONS_MAX + 1}, "operations"),
        ({"operations": None}, "operations"),
    ],
)
def test_a_wrong_head_is_refused_with_its_field(changed: dict[str, Any], named: str) -> None:
    line, _, rest = text().partition(b"\n")
    with pytest.raises(FrameInvalid, match=named):
        decode_delta(orjson.dumps(orjson.loads(line) | changed) + b"\n" + rest)


def test_all_mistakes_of_a_head_are_told_at_once() -> None:
    with pytest.raises(FrameInvalid, match="epoch, base, revision, config_hash, digest, collections, operations"):
        decode_delta(b'{"type":"delta",\n}'.replace(b",\n", b""))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"services 1 {}",
        b"+services 1",
        b"-services",
        b"-services 1 2",
        b"-Services 1",
        b"-services \xff",
        b"-../x 1",
        b"+services 1 {",
        b"+services 1 []",
        b'+services 1 {"id":"2"}',
        b'+services 1 {"id":1}',
        b'+services 1 {"id":"1","a":' + b"[" * 80 + b"]" * 80 + b"}",
        b'+services 1 {"id":"1","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'+services 1 {"id":"1","a":"\xff"}',
    ],
)
def test_a_wrong_operation_is_refused(line: bytes) -> None:
    head = orjson.loads(text().partition(b"\n")[0]) | {"operations": 1}
    with pytest.raises(FrameInvalid):
        decode_delta(orjson.dumps(head) + b"\n" + line)


def test_wide_rows_are_no_deep_ones() -> None:
    row = orjson.dumps({"id": "1", "a": [[number] for number in range(500)]})
    assert decode_delta(text(Delta(HEAD, (RowChange("services", "1", row),)))).operations[0].row == row


def test_many_lines_are_counted_before_they_are_cut() -> None:
    with pytest.raises(FrameInvalid, match="number"):
        decode_delta(text() + b"\n" * 5_000_000)


def test_a_bomb_is_refused_at_its_limit() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b"\n" * 100_000_000) + packer.flush()
    with pytest.raises(PayloadTooLarge):
        inflate(bomb, bytes_max=1_048_576)


def test_garbage_is_refused_whatever_it_is() -> None:
    chooser = random.Random(4)
    whole = text()
    for _ in range(3000):
        broken = bytearray(whole)
        for _ in range(chooser.randrange(1, 4)):
            broken[chooser.randrange(len(broken))] = chooser.randrange(256)
        cut = bytes(broken[: chooser.randrange(1, len(broken) + 1)])
        try:
            decode_delta(cut)
        except FrameInvalid:
            continue


def test_a_wish_for_the_whole_is_told() -> None:
    assert decode_resync(encode_resync(Resync("digest_mismatch", "x" * 1000))) == Resync("digest_mismatch", "x" * 512)
    assert decode_resync(b'{"type":"resync"}') == Resync("")
    assert decode_resync(b'{"type":"other"}') is None
    with pytest.raises(FrameInvalid):
        decode_resync(b"[]")
