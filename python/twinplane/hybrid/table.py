"""A configuration as rows: taken apart from its text, changed row by row, joined again. Pure; both ends use it.

A row stays the bytes that the control plane wrote: what is spliced is never decoded and encoded again.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.records import RowChange
from twinplane.control.table_text import cut_table, join_table
from twinplane.hybrid.errors import FrameInvalid

# Up to so many operations are put into place one by one; above, the rows are sorted anew.
_PLACED_SINGLY_MAX = 256
_DIGEST_MODULUS = 2**256


@dataclass(frozen=True, slots=True)
class Rows:
    """One collection: ids in ascending order, and what belongs to each."""

    ids: Sequence[str]
    values: Sequence[bytes]

    def get(self, row_id: str) -> bytes | None:
        """What belongs to an id."""
        place = bisect_left(self.ids, row_id)
        return self.values[place] if place < len(self.ids) and self.ids[place] == row_id else None

    def changed(self, changes: Mapping[str, bytes | None]) -> Rows:
        """The same with some set and others, those with None, gone."""
        if len(changes) > _PLACED_SINGLY_MAX:
            merged: dict[str, bytes | None] = dict(zip(self.ids, self.values, strict=True))
            merged.update(changes)
            kept = {row_id: value for row_id, value in merged.items() if value is not None}
            ordered = sorted(kept)
            return Rows(ordered, [kept[row_id] for row_id in ordered])
        ids, values = list(self.ids), list(self.values)
        for row_id, value in changes.items():
            place = bisect_left(ids, row_id)
            is_there = place < len(ids) and ids[place] == row_id
            if value is None:
                if is_there:
                    del ids[place], values[place]
            elif is_there:
                values[place] = value
            else:
                ids.insert(place, row_id)
                values.insert(place, value)
        return Rows(ids, values)


NO_ROWS = Rows((), ())


class ConfigTable:
    """The rows of a configuration by collection, and their digest. Never changed: `spliced` gives another one."""

    def __init__(self, collections: Mapping[str, Rows], digest: int | None = None) -> None:
        self.collections = collections
        self._digest = digest_of(collections) if digest is None else digest

    @property
    def digest(self) -> str:
        """Tells one content from another. A sum over rows, so that a change costs what it changes."""
        return f"{self._digest:064x}"

    def text(self) -> bytes:
        """The JSON text, one row on each line."""
        return join_table((name, rows.values) for name, rows in self.collections.items())

    def spliced(self, operations: Iterable[RowChange], order: Sequence[str]) -> ConfigTable:
        """The table after some operations, the last one for an id counts; its collections in the given order."""
        by_collection: dict[str, dict[str, bytes | None]] = {}
        for operation in operations:
            by_collection.setdefault(operation.collection, {})[operation.id] = operation.row
        changed = dict(self.collections)
        digest = self._digest
        for name, changes in by_collection.items():
            before = self.collections.get(name, NO_ROWS)
            for row_id, row in changes.items():
                old = before.get(row_id)
                digest += (0 if row is None else row_digest(name, row)) - (0 if old is None else row_digest(name, old))
            changed[name] = before.changed(changes)
        names = [*order, *(name for name in changed if name not in order)]
        return ConfigTable(
            {name: changed[name] for name in names if name in changed and changed[name].ids}, digest % _DIGEST_MODULUS
        )


def row_digest(collection: str, row: bytes) -> int:
    """What one row adds to the digest of its table."""
    return int.from_bytes(hashlib.sha256(collection.encode() + b"\0" + row).digest(), "big")


def digest_of(collections: Mapping[str, Rows]) -> int:
    """The digest of all rows."""
    return sum(row_digest(name, row) for name, rows in collections.items() for row in rows.values) % _DIGEST_MODULUS


def split_rows(text: bytes) -> ConfigTable | None:
    """A table by its rows; None for a text of another form. Raises FrameInvalid for a row without id."""
    found = cut_table(text)
    if found is None:
        return None
    return ConfigTable({name: _by_id([(row_id(_object(row)), row) for row in rows]) for name, rows in found})


def row_id(row: Mapping[str, Any]) -> str:
    """What a row is known by within its collection: its id, or the key of a parameter."""
    found = row.get("id", row.get("key"))
    if not isinstance(found, str):
        raise FrameInvalid("a row without id")
    return found


def _by_id(pairs: list[tuple[str, bytes]]) -> Rows:
    pairs.sort()
    return Rows([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _object(row: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(row)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid("a row that is not JSON") from error
    if not isinstance(value, dict):
        raise FrameInvalid("a row that is no object")
    return value
