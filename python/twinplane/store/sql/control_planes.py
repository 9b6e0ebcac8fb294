"""Statements on control planes, their revisions and expected hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from twinplane.store.sql.rows import ControlPlaneRow, ExpectedHashRow, Realm
from twinplane.store.sql.tables import CONTROL_PLANE, EXPECTED_HASH

_P = CONTROL_PLANE.c
_GET = select(CONTROL_PLANE).where(_P.organization_id == bindparam("o"), _P.id == bindparam("i"))
_IN_REGION = _GET.where(_P.region == bindparam("r"))
_BY_ID = select(CONTROL_PLANE).where(_P.id == bindparam("i"))
_BY_PREFIX = select(CONTROL_PLANE).where(_P.prefix == bindparam("p"))
_BY_NAME = select(CONTROL_PLANE).where(
    _P.organization_id == bindparam("o"), _P.region == bindparam("r"), _P.name == bindparam("n")
)
_ALL_BY_NAME = select(CONTROL_PLANE).where(_P.name == bindparam("n")).order_by(_P.id)
_NEXT_REVISION = (
    update(CONTROL_PLANE)
    .where(_P.organization_id == bindparam("o"), _P.id == bindparam("i"))
    .values(revision=_P.revision + 1)
    .returning(_P.revision)
)
_EXPECTED = select(EXPECTED_HASH).where(EXPECTED_HASH.c.control_plane_id == bindparam("i"))
_REVISIONS = select(_P.id, _P.revision).where(_P.id.in_(bindparam("ids", expanding=True)))
_IDS_AT_ONCE = 500
_SORTABLE = {"id": _P.id, "name": _P.name, "created_at": _P.created_at, "updated_at": _P.updated_at}
_FILTERABLE = {"id": _P.id, "name": _P.name, "cluster_type": _P.cluster_type}


class ControlPlaneTable:
    """Control planes of every organization."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, organization_id: str, control_plane_id: str) -> ControlPlaneRow | None:
        """One control plane of an organization."""
        return self._one(_GET, {"o": organization_id, "i": control_plane_id})

    def in_region(self, organization_id: str, region: str, control_plane_id: str) -> ControlPlaneRow | None:
        """One control plane of an organization, where it lies in that region."""
        return self._one(_IN_REGION, {"o": organization_id, "i": control_plane_id, "r": region})

    def regions(self) -> set[str]:
        """Every region that a control plane in this store lies in."""
        return set(self._connection.execute(select(_P.region).distinct()).scalars())

    def by_id(self, control_plane_id: str) -> ControlPlaneRow | None:
        """One control plane of whatever organization."""
        return self._one(_BY_ID, {"i": control_plane_id})

    def revisions(self, control_plane_ids: Sequence[str]) -> dict[str, int]:
        """The revision of each of some control planes."""
        found: dict[str, int] = {}
        for start in range(0, len(control_plane_ids), _IDS_AT_ONCE):
            some = list(control_plane_ids[start : start + _IDS_AT_ONCE])
            found.update((row[0], row[1]) for row in self._connection.execute(_REVISIONS, {"ids": some}))
        return found

    def by_prefix(self, prefix: str) -> ControlPlaneRow | None:
        """The control plane whose host names begin with a prefix."""
        return self._one(_BY_PREFIX, {"p": prefix})

    def by_name(self, organization_id: str, region: str, name: str) -> ControlPlaneRow | None:
        """The control plane of this name in a region."""
        return self._one(_BY_NAME, {"o": organization_id, "r": region, "n": name})

    def all_by_name(self, name: str) -> Sequence[ControlPlaneRow]:
        """The control planes of this name, of every organization and region."""
        return [ControlPlaneRow(**row._mapping) for row in self._connection.execute(_ALL_BY_NAME, {"n": name})]

    def list(
        self,
        organization_id: str,
        region: str,
        *,
        filters: Sequence[tuple[str, str, Sequence[str]]],
        cloud_gateway: bool | None,
        labels: Sequence[tuple[str, str | None]],
        sort: Sequence[tuple[str, bool]],
        offset: int,
        limit: int,
    ) -> tuple[Sequence[ControlPlaneRow], int]:
        """A page of control planes, and how many there are.

        `filters` are (field, operator, values); `labels` (key, value or None for any); `sort` (field, descending).
        """
        where: list[ColumnElement[bool]] = [_P.organization_id == organization_id, _P.region == region]
        where += [_condition(_FILTERABLE[field], operator, values) for field, operator, values in filters]
        if cloud_gateway is not None:
            where.append(_P.cloud_gateway.is_(cloud_gateway))
        where += [_has_label(key, value) for key, value in labels]
        order = [_SORTABLE[field].desc() if descending else _SORTABLE[field] for field, descending in sort]
        total = self._connection.execute(select(func.count()).select_from(CONTROL_PLANE).where(*where)).scalar_one()
        found = self._connection.execute(
            select(CONTROL_PLANE).where(*where).order_by(*order, _P.id).offset(offset).limit(limit)
        )
        return [ControlPlaneRow(**row._mapping) for row in found], int(total)

    def add(self, row: ControlPlaneRow) -> None:
        """Add a control plane."""
        self._connection.execute(insert(CONTROL_PLANE), asdict(row))

    def update(self, realm: Realm, values: Mapping[str, Any]) -> None:
        """Set columns of a control plane."""
        self._connection.execute(
            update(CONTROL_PLANE)
            .where(_P.organization_id == realm.organization_id, _P.id == realm.control_plane_id)
            .values(**values)
        )

    def delete(self, realm: Realm) -> bool:
        """Remove a control plane with all that it holds, but for its change log."""
        found = self._connection.execute(
            delete(CONTROL_PLANE).where(_P.organization_id == realm.organization_id, _P.id == realm.control_plane_id)
        )
        return found.rowcount > 0

    def next_revision(self, realm: Realm) -> int | None:
        """Count the revision up by one; None where there is no such control plane. Writers wait for each other here."""
        return self._connection.execute(
            _NEXT_REVISION, {"o": realm.organization_id, "i": realm.control_plane_id}
        ).scalar_one_or_none()

    def expected_hash(self, control_plane_id: str) -> ExpectedHashRow | None:
        """The hash that was last computed, and of which revision."""
        found = self._connection.execute(_EXPECTED, {"i": control_plane_id}).one_or_none()
        return None if found is None else ExpectedHashRow(**found._mapping)

    def put_expected_hash(self, row: ExpectedHashRow) -> None:
        """Keep a computed hash, unless one of a newer revision is kept already."""
        table = EXPECTED_HASH.c
        values = asdict(row)
        known = self.expected_hash(row.control_plane_id)
        if known is None:
            self._connection.execute(insert(EXPECTED_HASH), values)
        elif known.revision <= row.revision:
            self._connection.execute(
                update(EXPECTED_HASH).where(table.control_plane_id == row.control_plane_id).values(**values)
            )

    def _one(self, statement: Any, at: Mapping[str, str]) -> ControlPlaneRow | None:
        found = self._connection.execute(statement, at).one_or_none()
        return None if found is None else ControlPlaneRow(**found._mapping)


def _condition(column: Any, operator: str, values: Sequence[str]) -> ColumnElement[bool]:
    conditions: dict[str, ColumnElement[bool]] = {
        "eq": column == values[0],
        "neq": column != values[0],
        "oeq": column.in_(list(values)),
        "contains": func.lower(column).contains(values[0].lower(), autoescape=True),
    }
    return conditions[operator]


def _has_label(key: str, value: str | None) -> ColumnElement[bool]:
    """Labels are canonical JSON without spaces, and neither keys nor values can hold a quote."""
    wanted = f'"{key}":' if value is None else f'"{key}":"{value}"'
    return _P.labels.contains(wanted, autoescape=True)
