"""Who changed what: the change log, read. Secrets are masked on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from twinplane.control.masking import masked
from twinplane.control.records import Change
from twinplane.control.scope import Actor, Scope
from twinplane.store.sql import ChangeRow, Database, Realm

SIZE_MAX = 1000

_NEWEST = (2**53, 0)


class History:
    """Changes of a control plane, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, scope: Scope, *, size: int = 100, before: Change | None = None, entity_id: str | None = None
    ) -> Sequence[Change]:
        """The newest changes, or those that came before one; of one entity where it is named."""
        realm = Realm(scope.organization_id, scope.control_plane_id)
        with self._database.reading() as tx:
            rows = tx.changes.newest(
                realm,
                before=_NEWEST if before is None else (before.revision, before.position),
                entity_id=entity_id,
                limit=max(1, min(size, SIZE_MAX)),
            )
        return [_shown(row) for row in rows]


def _shown(row: ChangeRow) -> Change:
    return Change(
        revision=row.revision,
        position=row.position,
        at=row.at,
        actor=Actor(row.actor_kind, row.actor_id, row.actor_name),
        type_name=row.key.type,
        entity_id=row.key.id,
        operation=row.operation,
        before=_masked(row.key.type, row.before),
        after=_masked(row.key.type, row.after),
    )


def _masked(type_name: str, body: str | None) -> Mapping[str, Any] | None:
    return None if body is None else masked(type_name, orjson.loads(body))
