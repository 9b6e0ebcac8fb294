"""Statements on the audit records: append, read, forget the oldest. Nothing changes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select

from twinplane.store.sql.rows import AuditRow
from twinplane.store.sql.tables import AUDIT

_C = AUDIT.c
_COLUMNS = tuple(_C[field.name] for field in dataclasses.fields(AuditRow))
_INSERT = insert(AUDIT)
_AFTER = select(*_COLUMNS).where(_C.position > bindparam("p")).order_by(_C.position).limit(bindparam("n"))
_LAST_OF = (
    select(*_COLUMNS)
    .where(_C.control_plane_id == bindparam("c"), _C.node_id == bindparam("n"), _C.kind.like("node.%"))
    .order_by(_C.position.desc())
    .limit(1)
)
_LAST = select(*_COLUMNS).order_by(_C.position.desc()).limit(1)
_FIRST_SINCE = select(_C.position).where(_C.at >= bindparam("at")).order_by(_C.position).limit(1)
_AT = select(*_COLUMNS).where(_C.position == bindparam("p"))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records are asked for. Unset fields ask for nothing."""

    since: float | None = None
    until: float | None = None
    control_plane_id: str | None = None
    node_id: str | None = None
    kind: str | None = None


class AuditTable:
    """The audit records of the installation."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, rows: Sequence[AuditRow]) -> None:
        """Add records."""
        self._connection.execute(_INSERT, [dataclasses.asdict(row) for row in rows])

    def last(self) -> AuditRow | None:
        """The newest record."""
        found = self._connection.execute(_LAST).one_or_none()
        return None if found is None else AuditRow(*found)

    def at(self, position: int) -> AuditRow | None:
        """The record at a position."""
        found = self._connection.execute(_AT, {"p": position}).one_or_none()
        return None if found is None else AuditRow(*found)

    def last_of(self, control_plane_id: str, node_id: str) -> AuditRow | None:
        """The newest record of what a node sent."""
        found = self._connection.execute(_LAST_OF, {"c": control_plane_id, "n": node_id}).one_or_none()
        return None if found is None else AuditRow(*found)

    def after(self, position: int, *, limit: int) -> Iterator[AuditRow]:
        """Records above a position, oldest first."""
        for row in self._connection.execute(_AFTER, {"p": position, "n": limit}):
            yield AuditRow(*row)

    def page(
        self, organization_id: str, wanted: AuditFilter, *, below: int | None, above: int | None, limit: int
    ) -> list[AuditRow]:
        """Records of an organization: those next below a position, or next above one; newest first."""
        asked = select(*_COLUMNS).where(_C.organization_id == organization_id, *_conditions(wanted))
        if above is not None:
            found = self._connection.execute(asked.where(_C.position > above).order_by(_C.position).limit(limit)).all()
            return [AuditRow(*row) for row in reversed(found)]
        if below is not None:
            asked = asked.where(_C.position < below)
        return [AuditRow(*row) for row in self._connection.execute(asked.order_by(_C.position.desc()).limit(limit))]

    def first_since(self, at: float) -> int | None:
        """The lowest position of a record that is not older than a moment."""
        return self._connection.execute(_FIRST_SINCE, {"at": at}).scalar_one_or_none()

    def forget(self, position: int) -> int:
        """Remove records up to a position; the answer is how many."""
        return int(self._connection.execute(delete(AUDIT).where(_C.position <= position)).rowcount)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since is not None:
        conditions.append(_C.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_C.at <= wanted.until)
    if wanted.control_plane_id is not None:
        conditions.append(_C.control_plane_id == wanted.control_plane_id)
    if wanted.node_id is not None:
        conditions.append(_C.node_id == wanted.node_id)
    if wanted.kind is not None:
        conditions.append(_C.kind == wanted.kind)
    return conditions
