"""The hash is the protocol's: vectors known from a real node, and every frame of a recorded session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinplane.hybrid.hashing import EMPTY_HASH, hash_table

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "link" / "legacy-v1.jsonl"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, "2da3c26e4dbd6dd6ea3ab60a3dd7fb3e"),
        ({"routes": [], "services": [], "plugins": []}, "81aac97a81ad03c0cf0b36663806488e"),
        (None, "5bf07a8b7343015026657d1108d8206e"),
        (10, "d3d9446802a44259755d38e6d163e820"),
    ],
)
def test_hash_of_known_tables(table: Any, expected: str) -> None:
    assert hash_table(table).config == expected


def test_empty_arrays_have_a_part_hash_and_absent_ones_the_zero_hash() -> None:
    hashes = hash_table({"routes": [], "services": {}})
    assert hashes.routes == hashes.services == "99914b932bd37a50b983c5e7c90ae93b"
    assert hashes.plugins == EMPTY_HASH


def test_order_of_keys_does_not_matter() -> None:
    one = {"services": [{"id": "a", "tags": ["x", "y"]}], "parameters": [1, 2.5]}
    other = {"parameters": [1, 2.5], "services": [{"tags": ["x", "y"], "id": "a"}]}
    assert hash_table(one) == hash_table(other)


def test_long_arrays_end_with_a_separator() -> None:
    assert hash_table({"routes": [1, 2, 3, 4, 5]}).routes != hash_table({"routes": ["1;2;3;4;5;"]}).routes
    assert hash_table({"routes": [1, 2, 3, 4, 5, 6]}).routes == hash_table({"routes": ["1;2;3;4;5;6;"]}).routes


def test_large_tables_are_folded_and_stay_deterministic() -> None:
    rows = [{"id": str(number), "name": "n" * 200} for number in range(9000)]
    assert hash_table({"services": rows}) == hash_table({"services": [dict(row) for row in rows]})
    assert hash_table({"services": rows}).services != hash_table({"services": rows[:-1]}).services


@pytest.mark.skipif(not RECORDED.exists(), reason="recorded link session not present")
def test_every_recorded_reconfigure_hashes_as_its_control_plane_said() -> None:
    seen = 0
    for line in RECORDED.read_text().splitlines():
        message = json.loads(line).get("json")
        if message and message.get("type") == "reconfigure":
            assert hash_table(message["config_table"]).as_message() == message["hashes"]
            seen += 1
    assert seen >= 5
