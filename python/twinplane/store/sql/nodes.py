"""Statements on nodes and on the certificates that let them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, select, update

from twinplane.store.sql.rows import NodeCertificateRow, NodeRow, Realm
from twinplane.store.sql.tables import NODE, NODE_CERTIFICATE

_N = NODE.c
_K = NODE_CERTIFICATE.c


def _in_realm(table: Any) -> Any:
    return and_(table.organization_id == bindparam("o"), table.control_plane_id == bindparam("c"))


_NODE = select(NODE).where(_in_realm(_N), _N.id == bindparam("i"))
_NODES = (
    select(NODE)
    .where(_in_realm(_N), _N.last_ping > bindparam("since"))
    .order_by(_N.created_at, _N.id)
    .limit(bindparam("n"))
)
_SEVERAL = select(NODE).where(_in_realm(_N), _N.last_ping > bindparam("since"))
_SEVERAL = _SEVERAL.where(_N.id.in_(bindparam("ids", expanding=True)))
_TALLIES = (
    select(
        _N.control_plane_id,
        func.count(),
        func.sum(case((_N.last_ping > bindparam("alive"), 1), else_=0)),
    )
    .where(
        _N.organization_id == bindparam("o"),
        _N.control_plane_id.in_(bindparam("cs", expanding=True)),
        _N.last_ping > bindparam("since"),
    )
    .group_by(_N.control_plane_id)
)
_COUNT_NODES = select(func.count()).select_from(NODE).where(_in_realm(_N))
_SILENT = select(_N.id).where(_in_realm(_N)).order_by(_N.last_ping, _N.id)
_CERTIFICATE = select(NODE_CERTIFICATE).where(_in_realm(_K), _K.id == bindparam("i"))
_CERTIFICATES = select(NODE_CERTIFICATE).where(_in_realm(_K)).order_by(_K.created_at, _K.id)
_BY_FINGERPRINT = select(NODE_CERTIFICATE).where(_K.fingerprint == bindparam("f"))
_COUNT = select(func.count()).select_from(NODE_CERTIFICATE).where(_in_realm(_K))


class NodeTable:
    """Nodes and node certificates of every control plane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, realm: Realm, node_id: str) -> NodeRow | None:
        """One node."""
        found = self._connection.execute(_NODE, {**_realm(realm), "i": node_id}).one_or_none()
        return None if found is None else NodeRow(**found._mapping)

    def list(self, realm: Realm, *, since: float, limit: int) -> Sequence[NodeRow]:
        """Nodes that were seen after `since`, oldest first."""
        found = self._connection.execute(_NODES, {**_realm(realm), "since": since, "n": limit})
        return [NodeRow(**row._mapping) for row in found]

    def several(self, realm: Realm, *, ids: Sequence[str], since: float) -> Sequence[NodeRow]:
        """Nodes by their ids that were seen after `since`."""
        found = self._connection.execute(_SEVERAL, {**_realm(realm), "since": since, "ids": list(ids)})
        return [NodeRow(**row._mapping) for row in found]

    def tallies(
        self, organization_id: str, control_plane_ids: Sequence[str], *, since: float, alive: float
    ) -> dict[str, tuple[int, int]]:
        """By control plane: nodes seen after `since`, and of them those seen after `alive`."""
        at = {"o": organization_id, "cs": list(control_plane_ids), "since": since, "alive": alive}
        return {row[0]: (row[1], row[2]) for row in self._connection.execute(_TALLIES, at)}

    def add(self, row: NodeRow) -> None:
        """Add a node."""
        self._connection.execute(insert(NODE), asdict(row))

    def update(self, realm: Realm, node_id: str, values: Mapping[str, Any]) -> bool:
        """Set columns of a node; False where there is none."""
        found = self._connection.execute(
            update(NODE)
            .where(
                _N.organization_id == realm.organization_id,
                _N.control_plane_id == realm.control_plane_id,
                _N.id == node_id,
            )
            .values(**values)
        )
        return found.rowcount > 0

    def delete(self, realm: Realm, node_id: str) -> bool:
        """Remove a node."""
        found = self._connection.execute(
            delete(NODE).where(
                _N.organization_id == realm.organization_id,
                _N.control_plane_id == realm.control_plane_id,
                _N.id == node_id,
            )
        )
        return found.rowcount > 0

    def purge(self, *, silent_since: float) -> int:
        """Remove the nodes of all control planes that were last seen before."""
        return self._connection.execute(delete(NODE).where(_N.last_ping <= silent_since)).rowcount

    def make_room(self, realm: Realm, most: int) -> int:
        """Remove the longest silent nodes of a control plane until it has fewer than `most`."""
        count = int(self._connection.execute(_COUNT_NODES, _realm(realm)).scalar_one())
        if count < most:
            return 0
        silent = _SILENT.limit(count - most + 1)
        ids = [row.id for row in self._connection.execute(silent, _realm(realm))]
        gone = and_(_in_realm(_N), _N.id.in_(ids))
        return self._connection.execute(delete(NODE).where(gone), _realm(realm)).rowcount

    def certificate(self, realm: Realm, certificate_id: str) -> NodeCertificateRow | None:
        """One certificate."""
        found = self._connection.execute(_CERTIFICATE, {**_realm(realm), "i": certificate_id}).one_or_none()
        return None if found is None else NodeCertificateRow(**found._mapping)

    def certificates(self, realm: Realm) -> Sequence[NodeCertificateRow]:
        """All certificates of a control plane, oldest first."""
        return [NodeCertificateRow(**row._mapping) for row in self._connection.execute(_CERTIFICATES, _realm(realm))]

    def certificate_by_fingerprint(self, fingerprint: str) -> NodeCertificateRow | None:
        """The certificate with this fingerprint, of whatever control plane."""
        found = self._connection.execute(_BY_FINGERPRINT, {"f": fingerprint}).one_or_none()
        return None if found is None else NodeCertificateRow(**found._mapping)

    def count_certificates(self, realm: Realm) -> int:
        """How many certificates a control plane has."""
        return int(self._connection.execute(_COUNT, _realm(realm)).scalar_one())

    def add_certificate(self, row: NodeCertificateRow) -> None:
        """Add a certificate."""
        self._connection.execute(insert(NODE_CERTIFICATE), asdict(row))

    def update_certificate(self, row: NodeCertificateRow) -> None:
        """Replace a certificate."""
        self._connection.execute(
            update(NODE_CERTIFICATE)
            .where(
                _K.organization_id == row.organization_id,
                _K.control_plane_id == row.control_plane_id,
                _K.id == row.id,
            )
            .values(cert=row.cert, title=row.title, fingerprint=row.fingerprint, updated_at=row.updated_at)
        )

    def delete_certificate(self, realm: Realm, certificate_id: str) -> bool:
        """Remove a certificate."""
        found = self._connection.execute(
            delete(NODE_CERTIFICATE).where(
                _K.organization_id == realm.organization_id,
                _K.control_plane_id == realm.control_plane_id,
                _K.id == certificate_id,
            )
        )
        return found.rowcount > 0


def _realm(realm: Realm) -> dict[str, Any]:
    return {"o": realm.organization_id, "c": realm.control_plane_id}
