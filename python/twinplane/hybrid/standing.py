"""A configuration as it stands on the control plane: its rows, and of each the text that its hash is made of.

Carried from revision to revision at the cost of what changed; never changed itself. Blocks; called in worker threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinplane.control import Export, ExportDelta, ExportRow
from twinplane.hybrid.hashing import PARTS, REST, Hashes, Prepared, combine_parts, hash_parts, row_text
from twinplane.hybrid.table import NO_ROWS, ConfigTable, Rows

_HEAD: Mapping[str, object] = {"_format_version": "3.0", "_transform": False}


class Standing:
    """The rows of one revision and their hashes."""

    def __init__(self, table: ConfigTable, texts: Mapping[str, Rows], parts: Mapping[str, str]) -> None:
        self.table = table
        self.hashes: Hashes = combine_parts(parts)
        self._texts = texts
        self._parts = parts

    @classmethod
    def of(cls, export: Export) -> Standing:
        """From all rows."""
        collections = {name: _rows(found) for name, found in export.rows.items() if found}
        texts = {name: Rows(rows.ids, [row_text(row) for row in rows.values]) for name, rows in collections.items()}
        return cls(ConfigTable(collections), texts, _parts(collections, texts, {}, (*PARTS, REST)))

    def after(self, delta: ExportDelta) -> Standing:
        """With the changes of a delta that leads on from here."""
        table = self.table.spliced(delta.changes, delta.order)
        changed: dict[str, dict[str, bytes | None]] = {}
        for change in delta.changes:
            text = None if change.row is None else row_text(change.row)
            changed.setdefault(change.collection, {})[change.id] = text
        texts = dict(self._texts)
        for name, changes in changed.items():
            texts[name] = texts.get(name, NO_ROWS).changed(changes)
        stale = {name if name in PARTS else REST for name in changed}
        return Standing(table, texts, _parts(table.collections, texts, self._parts, stale))

    @property
    def table_bytes(self) -> int:
        """The bytes of all rows."""
        return sum(sum(map(len, rows.values)) for rows in self.table.collections.values())


def _rows(export_rows: Iterable[ExportRow]) -> Rows:
    pairs = sorted((row.id, row.body) for row in export_rows)
    return Rows([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _parts(
    collections: Mapping[str, Rows], texts: Mapping[str, Rows], known: Mapping[str, str], stale: Iterable[str]
) -> Mapping[str, str]:
    """Hashes of the parts of a table: those named are made, the others are known."""
    prepared = {name: Prepared(rows.values, texts[name].values) for name, rows in collections.items()}
    return {**known, **hash_parts({**_HEAD, **prepared}, stale)}
