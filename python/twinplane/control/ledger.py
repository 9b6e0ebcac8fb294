"""Notes changes of the platform's own objects (control planes, node certificates) in the same log as entities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twinplane.control.audit import audit_change
from twinplane.control.errors import NotFound
from twinplane.control.scope import Actor
from twinplane.control.stored_form import canonical
from twinplane.store.sql import SHARED_BY_ALL, ChangeRow, EntityKey, Realm, Transaction


@dataclass(frozen=True, slots=True)
class Note:
    """What changed, without what is secret of it."""

    operation: Literal["create", "update", "delete"]
    kind: str
    id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def write_down(tx: Transaction, realm: Realm, actor: Actor, note: Note, *, now: float) -> None:
    """Append a note as a revision of its control plane."""
    revision = tx.control_planes.next_revision(realm)
    if revision is None:
        raise NotFound("control_planes", {"id": realm.control_plane_id})
    row = ChangeRow(
        revision=revision,
        position=0,
        at=now,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        operation=note.operation,
        key=EntityKey(SHARED_BY_ALL, note.kind, note.id),
        before=None if note.before is None else canonical(note.before),
        after=None if note.after is None else canonical(note.after),
    )
    tx.changes.append(realm, [row])
    audit_change(tx, realm, actor, [row], now=now)
