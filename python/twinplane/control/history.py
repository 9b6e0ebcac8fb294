"""Who changed what: the change log, read. Secrets are masked on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from twinplane.control.masking import MASK, masked
from twinplane.control.records import Change
from twinplane.control.scope import Actor, Scope
from twinplane.store.sql import ChangeRow, Database, Realm

SIZE_MAX = 1000
ANOTHER = f"{MASK} (another)"
"""Stands for a secret that was replaced by another one."""

_NEWEST = (2**53, 0)


class History:
    """Changes of a control plane, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        scope: Scope,
        *,
        size: int = 100,
        before: Change | None = None,
        entity_id: str | None = None,
        type_name: str | None = None,
        operation: str | None = None,
        actor_name: str | None = None,
    ) -> Sequence[Change]:
        """The newest changes, or those that came before one; only those that fit what is given."""
        realm = Realm(scope.organization_id, scope.control_plane_id)
        with self._database.reading() as tx:
            rows = tx.changes.newest(
                realm,
                before=_NEWEST if before is None else (before.revision, before.position),
                entity_id=entity_id,
                type_name=type_name,
                operation=operation,
                actor_name=actor_name,
                limit=max(1, min(size, SIZE_MAX)),
            )
        return [_shown(row) for row in rows]


def _shown(row: ChangeRow) -> Change:
    before, after = _read(row.before), _read(row.after)
    shown_before, shown_after = _masked(row.key.type, before), _masked(row.key.type, after)
    if before is not None and after is not None:
        shown_after = _telling(before, after, shown_before, shown_after)
    return Change(
        revision=row.revision,
        position=row.position,
        at=row.at,
        actor=Actor(row.actor_kind, row.actor_id, row.actor_name),
        type_name=row.key.type,
        entity_id=row.key.id,
        operation=row.operation,
        before=shown_before,
        after=shown_after,
    )


def _read(body: str | None) -> Mapping[str, Any] | None:
    return None if body is None else orjson.loads(body)


def _masked(type_name: str, body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if body is None else masked(type_name, body)


def _telling(before: Any, after: Any, shown_before: Any, shown_after: Any) -> Any:
    """What is shown of the later form, with secrets told apart that are not what they were."""
    if shown_after == MASK and shown_before == MASK and before != after:
        return ANOTHER
    if isinstance(shown_after, Mapping) and isinstance(shown_before, Mapping):
        return {
            name: _telling(before.get(name), after.get(name), shown_before.get(name), value)
            for name, value in shown_after.items()
        }
    if isinstance(shown_after, list) and isinstance(shown_before, list) and len(shown_after) == len(shown_before):
        return [_telling(*four) for four in zip(before, after, shown_before, shown_after, strict=True)]
    return shown_after
