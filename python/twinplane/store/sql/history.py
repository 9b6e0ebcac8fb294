"""Statements on the change log: append and read; what is old goes only where a setting says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, tuple_

from twinplane.store.sql.rows import ChangeRow, EntityKey, Realm
from twinplane.store.sql.tables import CHANGE

_C = CHANGE.c
_COLUMNS = (
    _C.revision,
    _C.position,
    _C.at,
    _C.actor_kind,
    _C.actor_id,
    _C.actor_name,
    _C.operation,
    _C.workspace,
    _C.type,
    _C.id,
    _C.before,
    _C.after,
)
_IN_REALM = and_(_C.organization_id == bindparam("o"), _C.control_plane_id == bindparam("c"))
_INSERT = insert(CHANGE)
_NEWEST = (
    select(*_COLUMNS)
    .where(_IN_REALM, tuple_(_C.revision, _C.position) < tuple_(bindparam("r"), bindparam("p")))
    .order_by(_C.revision.desc(), _C.position.desc())
    .limit(bindparam("n"))
)
_SINCE = (
    select(_C.revision, _C.workspace, _C.type, _C.id, _C.before)
    .where(_IN_REALM, _C.revision > bindparam("r"))
    .order_by(_C.revision, _C.position)
)
# Of each control plane the revision up to which its oldest changes, so many in all, may go.
_OLDEST_ROWS = (
    select(_C.organization_id, _C.control_plane_id, _C.revision)
    .where(_C.at < bindparam("at_"))
    .order_by(_C.at)
    .limit(bindparam("n"))
    .subquery()
)
_OLDEST = select(
    _OLDEST_ROWS.c.organization_id, _OLDEST_ROWS.c.control_plane_id, func.max(_OLDEST_ROWS.c.revision)
).group_by(_OLDEST_ROWS.c.organization_id, _OLDEST_ROWS.c.control_plane_id)
_FORGET = delete(CHANGE).where(_IN_REALM, _C.revision <= bindparam("r"))
_ROWS_AT_ONCE = 1000


class ChangeTable:
    """The change log of every control plane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, realm: Realm, rows: Sequence[ChangeRow]) -> None:
        """Add the rows of one accepted write."""
        self._connection.execute(
            _INSERT,
            [
                {
                    "organization_id": realm.organization_id,
                    "control_plane_id": realm.control_plane_id,
                    "revision": row.revision,
                    "position": row.position,
                    "at": row.at,
                    "actor_kind": row.actor_kind,
                    "actor_id": row.actor_id,
                    "actor_name": row.actor_name,
                    "operation": row.operation,
                    "workspace": row.key.workspace,
                    "type": row.key.type,
                    "id": row.key.id,
                    "before": row.before,
                    "after": row.after,
                }
                for row in rows
            ],
        )

    def since(self, realm: Realm, revision: int) -> Iterator[tuple[int, EntityKey, str | None]]:
        """(revision, entity, what it was before) of every change after a revision, in order, as they are asked for."""
        found = self._connection.execute(
            _SINCE, {**_realm(realm), "r": revision}, execution_options={"yield_per": _ROWS_AT_ONCE}
        )
        for row in found:
            yield row[0], EntityKey(row[1], row[2], row[3]), row[4]

    def oldest(self, *, before: float, limit: int) -> list[tuple[Realm, int]]:
        """Up to which revision of each control plane the oldest changes reach, of those made before a moment."""
        found = self._connection.execute(_OLDEST, {"at_": before, "n": limit})
        return [(Realm(row[0], row[1]), row[2]) for row in found]

    def forget(self, realm: Realm, revision: int) -> int:
        """Drop the changes up to a revision; how many there were."""
        return self._connection.execute(_FORGET, {**_realm(realm), "r": revision}).rowcount

    def newest(
        self,
        realm: Realm,
        *,
        before: tuple[int, int],
        limit: int,
        entity_id: str | None = None,
        type_name: str | None = None,
        operation: str | None = None,
        actor_name: str | None = None,
    ) -> list[ChangeRow]:
        """Changes below a revision and position, newest first; only those that fit what is given."""
        statement, at = _NEWEST, {**_realm(realm), "r": before[0], "p": before[1], "n": limit}
        wanted = ((_C.id, entity_id), (_C.type, type_name), (_C.operation, operation), (_C.actor_name, actor_name))
        for column, value in wanted:
            if value is not None:
                statement = statement.where(column == value)
        return [_change(row) for row in self._connection.execute(statement, at)]


def _realm(realm: Realm) -> dict[str, Any]:
    return {"o": realm.organization_id, "c": realm.control_plane_id}


def _change(row: Any) -> ChangeRow:
    return ChangeRow(
        row.revision,
        row.position,
        row.at,
        row.actor_kind,
        row.actor_id,
        row.actor_name,
        row.operation,
        EntityKey(row.workspace, row.type, row.id),
        row.before,
        row.after,
    )
