"""What the management plane tells of itself beside accepted writes, which are kept in their own transaction.

Refused and used tokens, refused calls, nodes that join, leave or are refused.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable

from twinplane.audit.line import printable
from twinplane.audit.repeats import Repeats
from twinplane.control import Actor, Principal
from twinplane.control.audit import AuditNote
from twinplane.hybrid.audit_key import Sender

_PATH_MAX = 200
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """A request as it came: from where, and what it asked for. The path is without its query."""

    method: str
    path: str
    client_ip: str
    request_id: str

    @classmethod
    def of(cls, method: str, path: str, client_ip: str) -> Access:
        """With an id of its own."""
        return cls(printable(method, 16), printable(path, _PATH_MAX), client_ip, secrets.token_hex(16))

    def by(self, actor: Actor) -> Actor:
        """The actor as the audit records of this request name it."""
        return dataclasses.replace(actor, client_ip=self.client_ip, request_id=self.request_id)

    @property
    def is_read(self) -> bool:
        """Whether it asks for no change."""
        return self.method in _READS


class Accesses:
    """Hands notes on, each kind of happening and sender at most once a minute, with its count."""

    def __init__(self, take: Callable[[AuditNote], bool], organization_id: str) -> None:
        """`organization_id` keeps what belongs to nobody: refusals of strangers."""
        self.repeats = Repeats(take, organization_id)
        self._organization_id = organization_id

    def token_refused(self, access: Access, reason: str) -> None:
        """A call with no token, or a wrong one."""
        note = AuditNote(
            "token.refused",
            self._organization_id,
            result="failure",
            client_ip=access.client_ip,
            request_id=access.request_id,
            detail={"method": access.method, "path": access.path, "reason": reason},
        )
        self.repeats.note(("token.refused", access.client_ip, reason), note)

    def token_used(self, access: Access, principal: Principal) -> None:
        """A call with a valid token."""
        note = AuditNote(
            "token.used",
            principal.organization_id,
            actor=principal.actor,
            client_ip=access.client_ip,
            request_id=access.request_id,
            detail={"token_id": principal.token_id},
        )
        self.repeats.note(("token.used", access.client_ip, principal.token_id, principal.user_id), note)

    def session_ended(self, access: Access, principal: Principal) -> None:
        """Somebody signed out."""
        note = AuditNote(
            "session.ended",
            principal.organization_id,
            actor=principal.actor,
            client_ip=access.client_ip,
            request_id=access.request_id,
            detail={"token_id": principal.token_id},
        )
        self.repeats.note(("session.ended", access.client_ip, principal.token_id, principal.user_id), note)

    def answered(self, access: Access, organization_id: str, actor: Actor, status: int) -> None:
        """A call was answered. Reads say nothing, and accepted writes have a record already."""
        is_refusal = status in (401, 403)
        if status < 400 or (access.is_read and not is_refusal):
            return
        note = AuditNote(
            "call.refused" if status < 500 else "call.failed",
            organization_id,
            result="failure",
            actor=actor,
            client_ip=access.client_ip,
            request_id=access.request_id,
            detail={"method": access.method, "path": access.path, "status": status},
        )
        self.repeats.note((note.kind, access.client_ip, actor.id, access.method, access.path, status), note)

    def joined(self, sender: Sender, ip: str, version: str) -> None:
        """A node's link is up."""
        self.repeats.note(
            ("link.joined", sender, ip), self._of_node("link.joined", sender, ip, version=printable(version, 64))
        )

    def left(self, sender: Sender, ip: str) -> None:
        """A node's link has ended."""
        self.repeats.note(("link.left", sender, ip), self._of_node("link.left", sender, ip))

    def refused(self, reason: str, *, ip: str, server_name: str, fingerprint: str) -> None:
        """A peer of the link port was refused."""
        note = AuditNote(
            "link.refused",
            self._organization_id,
            result="failure",
            client_ip=ip,
            detail={"reason": reason, "server_name": printable(server_name, 255), "certificate": fingerprint},
        )
        self.repeats.note(("link.refused", ip, reason, fingerprint), note)

    def _of_node(self, kind: str, sender: Sender, ip: str, **detail: str) -> AuditNote:
        return AuditNote(
            kind,
            sender.organization_id,
            control_plane_id=sender.control_plane_id,
            node_id=sender.node_id,
            certificate_id=sender.certificate_id,
            client_ip=ip,
            detail={**detail, "certificate": sender.fingerprint},
        )
