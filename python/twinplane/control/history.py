"""Who changed what: the change log, read. Secrets are masked on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from twinplane.control.records import Change
from twinplane.control.scope import Actor, Scope
from twinplane.store.sql import ChangeRow, Database, Realm

MASK = "***"
SIZE_MAX = 1000

# By collection, what nobody who reads the history should learn. Any field so named in a plugin's config is masked too.
SECRET_FIELDS: Mapping[str, frozenset[str]] = {
    "certificates": frozenset({"key", "key_alt"}),
    "keyauth_credentials": frozenset({"key"}),
    "basicauth_credentials": frozenset({"password"}),
    "hmacauth_credentials": frozenset({"secret"}),
    "jwt_secrets": frozenset({"secret"}),
    "oauth2_credentials": frozenset({"client_secret"}),
    "oauth2_tokens": frozenset({"access_token", "refresh_token"}),
    "keys": frozenset({"jwk", "pem"}),
    "acme_storage": frozenset({"value"}),
}
_SECRET_WORDS = ("password", "secret", "token", "private_key", "api_key", "apikey", "credential", "header_value")
_HOLDERS = ("config", "filters")
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
    if body is None:
        return None
    row: dict[str, Any] = orjson.loads(body)
    for field in SECRET_FIELDS.get(type_name, ()):
        if row.get(field) is not None:
            row[field] = MASK
    for field in _HOLDERS:
        if field in row:
            row[field] = _mask_words(row[field])
    return row


def _mask_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if _is_secret(name, inner) else _mask_words(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mask_words(inner) for inner in value]
    return value


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and any(word in name for word in _SECRET_WORDS)
