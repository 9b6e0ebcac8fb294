"""Certificates that let nodes in: pinned leaves, or authorities where a control plane says `pki_client_certs`.

A fingerprint belongs to one control plane of the whole installation: a node cannot be taken for another's.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from twinplane.control.control_planes import ControlPlanes
from twinplane.control.errors import InvalidParameter, InvalidParameters, LimitExceeded, NameTaken, NotFound
from twinplane.control.ledger import Note, write_down
from twinplane.control.records import ControlPlane, NodeCertificate
from twinplane.control.scope import Actor, Scope
from twinplane.control.settings import ControlSettings
from twinplane.store.sql import Database, NodeCertificateRow, Realm, Transaction

_TITLE_LENGTH_MAX = 256
_CERT_BYTES_MAX = 64 * 1024

RemovalSubscriber = Callable[[str, str], None]


class NodeCertificates:
    """Certificates that let nodes in (`dp-client-certificates`)."""

    def __init__(
        self,
        database: Database,
        control_planes: ControlPlanes,
        settings: ControlSettings,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._control_planes = control_planes
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._subscribers: tuple[RemovalSubscriber, ...] = ()

    def create(self, scope: Scope, actor: Actor, cert: str, *, title: str = "") -> NodeCertificate:
        """Pin a certificate. Raises InvalidParameters, NameTaken (the same one is pinned somewhere)."""
        fingerprint = _fingerprint(cert, title)
        now = self._clock()
        row = NodeCertificateRow(*_place(scope), str(uuid.uuid4()), cert, title, fingerprint, now, now)
        with self._database.writing() as tx:
            self._check(tx, scope)
            if tx.nodes.certificate_by_fingerprint(fingerprint) is not None:
                raise NameTaken("node_certificates", "cert", fingerprint)
            self._check_count(tx, scope)
            tx.nodes.add_certificate(row)
            write_down(tx, _realm(scope), actor, _note("create", None, row), now=now)
        return _shown(row)

    def replace(
        self, scope: Scope, actor: Actor, certificate_id: str, cert: str, *, title: str = ""
    ) -> NodeCertificate:
        """Put a certificate at an id, creating it where there is none."""
        fingerprint = _fingerprint(cert, title)
        now = self._clock()
        with self._database.writing() as tx:
            self._check(tx, scope)
            holder = tx.nodes.certificate_by_fingerprint(fingerprint)
            if holder is not None and (holder.id, holder.control_plane_id) != (certificate_id, scope.control_plane_id):
                raise NameTaken("node_certificates", "cert", fingerprint)
            old = tx.nodes.certificate(_realm(scope), certificate_id)
            if old is None:
                self._check_count(tx, scope)
                row = NodeCertificateRow(*_place(scope), certificate_id, cert, title, fingerprint, now, now)
                tx.nodes.add_certificate(row)
            else:
                row = dataclasses.replace(old, cert=cert, title=title, fingerprint=fingerprint, updated_at=now)
                tx.nodes.update_certificate(row)
            note = _note("create" if old is None else "update", old, row)
            write_down(tx, _realm(scope), actor, note, now=now)
        if old is not None and old.fingerprint != fingerprint:
            self._announce_removal(scope.control_plane_id, old.fingerprint)
        return _shown(row)

    def get(self, scope: Scope, certificate_id: str) -> NodeCertificate:
        """One certificate. Raises NotFound."""
        with self._database.reading() as tx:
            row = tx.nodes.certificate(_realm(scope), certificate_id)
        if row is None:
            raise NotFound("node_certificates", {"id": certificate_id})
        return _shown(row)

    def list(self, scope: Scope) -> Sequence[NodeCertificate]:
        """All of a control plane, oldest first."""
        with self._database.reading() as tx:
            return [_shown(row) for row in tx.nodes.certificates(_realm(scope))]

    def delete(self, scope: Scope, actor: Actor, certificate_id: str) -> bool:
        """Unpin; False where there was none. Subscribers of `on_removed` end live sessions."""
        with self._database.writing() as tx:
            row = tx.nodes.certificate(_realm(scope), certificate_id)
            if row is None:
                return False
            tx.nodes.delete_certificate(_realm(scope), certificate_id)
            write_down(tx, _realm(scope), actor, _note("delete", row, None), now=self._clock())
        self._announce_removal(row.control_plane_id, row.fingerprint)
        return True

    def find_by_fingerprint(self, sha256: str) -> tuple[ControlPlane, NodeCertificate] | None:
        """Which control plane a presented certificate (hex SHA-256 of its DER) is pinned to.

        Only where that control plane pins: one that trusts authorities takes no certificate for itself.
        """
        with self._database.reading() as tx:
            row = tx.nodes.certificate_by_fingerprint(sha256.lower())
            plane = None if row is None else tx.control_planes.by_id(row.control_plane_id)
        if row is None or plane is None or plane.auth_type != "pinned_client_certs":
            return None
        return self._control_planes.shown(plane), _shown(row)

    def authorities(self, control_plane_id: str) -> Sequence[NodeCertificate]:
        """The authorities of a control plane whose auth_type is pki_client_certs; else empty."""
        with self._database.reading() as tx:
            plane = tx.control_planes.by_id(control_plane_id)
            if plane is None or plane.auth_type != "pki_client_certs":
                return []
            return [_shown(row) for row in tx.nodes.certificates(Realm(plane.organization_id, plane.id))]

    def on_removed(self, subscriber: RemovalSubscriber) -> Callable[[], None]:
        """Have `subscriber` called with (control plane id, fingerprint) after a certificate went."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(one for one in self._subscribers if one is not subscriber)

        return unsubscribe

    def _announce_removal(self, control_plane_id: str, fingerprint: str) -> None:
        for subscriber in self._subscribers:
            subscriber(control_plane_id, fingerprint)

    def _check(self, tx: Transaction, scope: Scope) -> None:
        if tx.control_planes.get(scope.organization_id, scope.control_plane_id) is None:
            raise NotFound("control_planes", {"id": scope.control_plane_id})

    def _check_count(self, tx: Transaction, scope: Scope) -> None:
        if tx.nodes.count_certificates(_realm(scope)) >= self._settings.node_certificates_max:
            raise LimitExceeded("certificates of a control plane", self._settings.node_certificates_max)


def fingerprint_of(cert: str) -> str:
    """Hex SHA-256 of the DER of the first certificate in a PEM text. Raises ValueError."""
    return x509.load_pem_x509_certificate(cert.encode()).fingerprint(hashes.SHA256()).hex()


def _fingerprint(cert: str, title: str) -> str:
    wrong = []
    fingerprint = ""
    if not cert:
        wrong.append(InvalidParameter("cert", "required", "is a required field"))
    elif len(cert) > _CERT_BYTES_MAX or cert.count("BEGIN CERTIFICATE") > 1:
        wrong.append(InvalidParameter("cert", "invalid", "must be one certificate in PEM form"))
    else:
        try:
            fingerprint = fingerprint_of(cert)
        except ValueError:
            wrong.append(InvalidParameter("cert", "invalid", "must be a certificate in PEM form"))
    if len(title) > _TITLE_LENGTH_MAX:
        reason = f"must not have more than {_TITLE_LENGTH_MAX} characters"
        wrong.append(InvalidParameter("title", "max_length", reason, extra={"maximum": _TITLE_LENGTH_MAX}))
    if wrong:
        raise InvalidParameters(wrong)
    return fingerprint


def _realm(scope: Scope) -> Realm:
    return Realm(scope.organization_id, scope.control_plane_id)


def _place(scope: Scope) -> tuple[str, str]:
    return scope.organization_id, scope.control_plane_id


def _note(
    operation: Literal["create", "update", "delete"], old: NodeCertificateRow | None, new: NodeCertificateRow | None
) -> Note:
    either = new or old
    return Note(operation, "node_certificates", "" if either is None else either.id, _noted(old), _noted(new))


def _noted(row: NodeCertificateRow | None) -> dict[str, str] | None:
    return None if row is None else {"id": row.id, "title": row.title, "fingerprint": row.fingerprint}


def _shown(row: NodeCertificateRow) -> NodeCertificate:
    return NodeCertificate(
        id=row.id,
        control_plane_id=row.control_plane_id,
        cert=row.cert,
        title=row.title,
        fingerprint=row.fingerprint,
        created_at=int(row.created_at),
        updated_at=int(row.updated_at),
    )
