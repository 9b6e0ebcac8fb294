"""What is carried on from revision to revision is what would be made anew: rows, digest and the protocol's hash."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from twinplane.control import Export, ExportDelta, ExportRow, RowChange
from twinplane.hybrid import hashing
from twinplane.hybrid.hashing import Prepared, hash_table, row_text
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.standing import Standing

ORDER = ("parameters", "services", "routes", "plugins", "consumers")


def row(chooser: random.Random, row_id: str) -> bytes:
    """Values of every kind that the hash treats in its own way."""
    value: dict[str, Any] = {
        "id": row_id,
        "none": None,
        "flag": chooser.random() < 0.5,
        "number": chooser.choice([0, 7, -1, 1.5, 1e300, 2**53, 1764000000.123]),
        "text": "x" * chooser.choice([0, 3, 200, 5000]),
        "short": list(range(chooser.randrange(6))),
        "long": ["é"] * chooser.randrange(6, 9),
        "empty": chooser.choice([[], {}]),
        "nested": {"b": {"a": [None, {"c": 1}]}},
    }
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def exported(content: dict[str, dict[str, bytes]], revision: int) -> Export:
    rows = {
        name: [ExportRow(one, revision, content[name][one]) for one in sorted(content[name])]
        for name in ORDER
        if content.get(name)
    }
    return Export("plane", revision, "e", rows)


@pytest.mark.parametrize("fold", [50, 700, 6000, 1_000_000])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_carried_on_is_what_is_made_anew(monkeypatch: pytest.MonkeyPatch, fold: int, seed: int) -> None:
    monkeypatch.setattr(hashing, "_FOLD_BYTES", fold)
    monkeypatch.setattr(hashing, "_TEXT_OF_ROW_MAX", min(fold // 4, 262_144))
    chooser = random.Random(seed)
    content: dict[str, dict[str, bytes]] = {name: {} for name in ORDER}
    standing = Standing.of(exported(content, 0))
    for revision in range(1, 15):
        changes: dict[tuple[str, str], RowChange] = {}
        for _ in range(chooser.choice([0, 1, 4, 30])):
            name, row_id = chooser.choice(ORDER), f"{chooser.randrange(40):04d}"
            if chooser.random() < 0.3:
                content[name].pop(row_id, None)
                changes[name, row_id] = RowChange(name, row_id, None)
            else:
                content[name][row_id] = row(chooser, row_id)
                changes[name, row_id] = RowChange(name, row_id, content[name][row_id])
        export = exported(content, revision)
        standing = standing.after(ExportDelta("plane", "e", revision - 1, revision, list(changes.values()), ORDER))
        anew = Standing.of(export)
        assert standing.table.text() == export.json() == anew.table.text()
        assert standing.table.digest == anew.table.digest
        assert standing.hashes == anew.hashes == hash_table(export.config_table)


def test_a_row_that_is_too_long_to_have_a_text_is_hashed_all_the_same() -> None:
    long = orjson.dumps({"id": "1", "text": "x" * 2_000_000})
    small = b'{"id":"2"}'
    assert row_text(long) == b""
    prepared = {"services": Prepared([long, small], [row_text(long), row_text(small)])}
    assert hash_table(prepared) == hash_table({"services": [orjson.loads(long), orjson.loads(small)]})


def test_a_publication_makes_a_delta_once_for_each_base() -> None:
    publication = Publication.of(exported({"services": {"1": b'{"id":"1"}'}}, 1), now=1.0)
    following = publication.after(
        ExportDelta("plane", "e", 1, 2, [RowChange("services", "2", b'{"id":"2"}')], ORDER), now=2.0
    )
    asked: list[int] = []

    def find(epoch: str, base: int, until: int) -> ExportDelta | None:
        asked.append(base)
        return ExportDelta("plane", epoch, base, until, [], ORDER) if base else None

    # From the one before nothing need be asked.
    first = following.delta(1, find)
    assert first is not None
    assert (first.base, asked) == (1, [])
    assert following.delta(1, find) is first
    assert following.delta(0, find) is None
    assert following.delta(0, find) is None
    assert asked == [0]
    for base in range(-200, 0):
        following.delta(base, find)
    assert len(following._deltas) <= 64
