"""What a control plane's configuration was and is, row by row: the source of whole answers and of increments.

Deletions are remembered from the first revision that was seen on; who is further behind gets everything. Blocks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson

from twinplane.control import Export, NodeIssue
from twinplane.control.export import DEFAULT_WORKSPACE_ID
from twinplane.hybrid.compat import lower_table
from twinplane.hybrid.rpc.sync import NAMESPACE, Delta, Dialect, Version, revision_of, version_of
from twinplane.hybrid.wire import NodeVersion
from twinplane.registry import entity_types

BEHIND_MAX: Final = 512
_KEEP_DELETED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node is answered: JSON text, the version it then has, and what it loses by its age."""

    text: bytes
    version: Version
    revision: int
    is_whole: bool
    issues: Sequence[NodeIssue] = ()


@dataclass(frozen=True, slots=True)
class _Deleted:
    revision: int
    type: str
    id: str


class SyncHistory:
    """One control plane. Safe for several threads."""

    def __init__(self, export: Export) -> None:
        """`export` is the configuration with what is switched off."""
        self._lock = threading.Lock()
        self._export = export
        self._floor = export.revision
        self._deleted: deque[_Deleted] = deque()
        self._whole: dict[tuple[NodeVersion, Dialect], Answer] = {}

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self._export.revision

    @property
    def epoch(self) -> str:
        """The epoch of the newest revision."""
        return self._export.epoch

    def advance(self, export: Export) -> None:
        """There is a newer configuration."""
        with self._lock:
            if export.epoch != self._export.epoch:
                self._floor = export.revision
                self._deleted.clear()
            elif export.revision <= self._export.revision:
                return
            else:
                left = _keys(export)
                gone = [key for key in _keys(self._export) if key not in left]
                # Children before those that they stand on.
                self._deleted.extend(_Deleted(export.revision, *key) for key in reversed(gone))
                while len(self._deleted) > _KEEP_DELETED_MAX:
                    self._floor = self._deleted.popleft().revision
            self._export = export
            self._whole.clear()

    def answer(self, node: NodeVersion, dialect: Dialect, version: Version, *, is_trusted: bool) -> Answer:
        """What a node of that version is answered that says it runs `version`.

        `is_trusted` says that the version was told by this process: a number alone does not tell a restored store.
        """
        with self._lock:
            newest = version_of(dialect, self.revision, self.epoch)
            behind = self.revision - revision_of(version)
            is_ours = is_trusted or revision_of(version) > self._floor
            if version == newest and (is_ours or dialect is Dialect.TOKENS):
                return Answer(_text(dialect, (), is_whole=False), newest, self.revision, is_whole=False)
            if dialect is Dialect.NUMBERS and is_ours and version and 0 < behind <= BEHIND_MAX:
                since = revision_of(version)
                if since >= self._floor:
                    return self._increment(node, newest, since)
            found = self._whole.get((node, dialect))
            if found is None:
                found = self._whole[node, dialect] = self._make_whole(node, dialect, newest)
            return found

    def _increment(self, node: NodeVersion, newest: Version, since: int) -> Answer:
        rows = {name: [row for row in rows if row.revision > since] for name, rows in self._export.rows.items()}
        table, _ = _lowered({name: [row.body for row in some] for name, some in rows.items() if some}, node)
        revisions = {(name, row.id): row.revision for name, some in rows.items() for row in some}
        deltas = [
            Delta(gone.type, None, gone.revision, {"id": gone.id}) for gone in self._deleted if gone.revision > since
        ]
        for name, row in _entities(table):
            deltas.append(Delta(name, row, revisions[name, row["id"]], {"id": row["id"]}))
        deltas.sort(key=lambda delta: revision_of(delta.version))
        if not deltas or deltas[-1].version != newest:
            # The node takes the version of the last delta for its own: a row that did not change carries it on.
            bodies = {"workspaces": [row.body for row in self._export.rows["workspaces"]]}
            deltas += [
                Delta(name, row, newest, {"id": row["id"]}) for name, row in _entities(_lowered(bodies, node)[0])
            ]
        return Answer(_text(Dialect.NUMBERS, deltas, is_whole=False), newest, self.revision, is_whole=False)

    def _make_whole(self, node: NodeVersion, dialect: Dialect, newest: Version) -> Answer:
        bodies = {name: [row.body for row in rows] for name, rows in self._export.rows.items()}
        table, issues = _lowered(bodies, node)
        deltas = [Delta(name, row, newest) for name, row in _entities(table)]
        return Answer(_text(dialect, deltas, is_whole=True), newest, self.revision, is_whole=True, issues=issues)


def _keys(export: Export) -> dict[tuple[str, str], None]:
    return {(name, row.id): None for name, rows in export.rows.items() for row in rows}


def _lowered(bodies: Mapping[str, Sequence[bytes]], node: NodeVersion) -> tuple[dict[str, Any], Sequence[NodeIssue]]:
    table: dict[str, Any] = {name: [orjson.loads(body) for body in some] for name, some in bodies.items()}
    return table, lower_table(table, node)


def _entities(table: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row, with references as objects, the workspace first."""
    for name in sorted(table, key=lambda name: name != "workspaces"):
        foreign = _foreign().get(name, ())
        for row in table[name]:
            for field in foreign:
                if isinstance(row.get(field), str):
                    row[field] = {"id": row[field]}
            yield name, row


@cache
def _foreign() -> Mapping[str, Sequence[str]]:
    return {name: tuple(kind.foreign) for name, kind in entity_types().items()}


def _text(dialect: Dialect, deltas: Sequence[Delta], *, is_whole: bool) -> bytes:
    told = [delta.message(DEFAULT_WORKSPACE_ID) for delta in deltas]
    return orjson.dumps({NAMESPACE: {"deltas": told, dialect.whole_flag: is_whole}})
