"""Entities, their unique keys, references and tags, as calls. Every one is bound to a realm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from twinplane.store.sql import entity_statements as statements
from twinplane.store.sql.rows import EntityKey, EntityRow, Realm, ReferenceRow, Referrer, TagRow, UniqueKeyRow
from twinplane.store.sql.tables import ENTITY, REFERENCE, TAG, UNIQUE_KEY


class EntityTable:
    """Entities of every control plane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, realm: Realm, key: EntityKey) -> EntityRow | None:
        """The entity at `key`, also an expired one."""
        found = self._connection.execute(statements.GET, _key(realm, key)).one_or_none()
        return None if found is None else _entity(found)

    def exists(self, realm: Realm, key: EntityKey) -> bool:
        """Whether an entity is at `key`."""
        return self._connection.execute(statements.EXISTS, _key(realm, key)).first() is not None

    def holder(self, realm: Realm, type_name: str, unique: UniqueKeyRow) -> EntityKey | None:
        """Which entity holds a unique value."""
        found = self._connection.execute(
            statements.HOLDER,
            {
                **_realm(realm),
                "t": type_name,
                "s": unique.shared_by,
                "f": unique.field,
                "v": unique.value,
            },
        ).one_or_none()
        return None if found is None else EntityKey(found.workspace, type_name, found.id)

    def insert(
        self,
        realm: Realm,
        row: EntityRow,
        *,
        keys: Sequence[UniqueKeyRow],
        references: Sequence[ReferenceRow],
        tags: Sequence[str],
    ) -> None:
        """Add an entity with its keys, references and tags."""
        self._connection.execute(
            statements.INSERT,
            {
                "organization_id": realm.organization_id,
                "control_plane_id": realm.control_plane_id,
                "workspace": row.key.workspace,
                "type": row.key.type,
                "id": row.key.id,
                "body": row.body,
                "enabled": row.enabled,
                "created_at": row.created_at,
                "updated_at": row.updated_at,
                "expires_at": row.expires_at,
                "revision": row.revision,
            },
        )
        self._add_keys(realm, row.key, keys)
        self._add_references(realm, row.key, references)
        self._add_tags(realm, row.key, tags)

    def update(
        self,
        realm: Realm,
        row: EntityRow,
        *,
        keys: Sequence[UniqueKeyRow],
        references: Sequence[ReferenceRow],
        tags: Sequence[str],
        old_tags: Sequence[str],
    ) -> None:
        """Replace what is at the row's key. Side tables are touched only where they differ."""
        at = _key(realm, row.key)
        self._connection.execute(
            statements.UPDATE,
            {
                **at,
                "body_": row.body,
                "enabled_": row.enabled,
                "created_at_": row.created_at,
                "updated_at_": row.updated_at,
                "expires_at_": row.expires_at,
                "revision_": row.revision,
            },
        )
        old_keys = {UniqueKeyRow(*found) for found in self._connection.execute(statements.KEYS_OF, at)}
        if old_keys != set(keys):
            self._connection.execute(statements.DROP_KEYS, at)
            self._add_keys(realm, row.key, keys)
        old_references = {
            ReferenceRow(found.field, EntityKey(found.target_workspace, found.target_type, found.target_id))
            for found in self._connection.execute(statements.REFERENCES_OF, at)
        }
        if old_references != set(references):
            self._connection.execute(statements.DROP_REFERENCES, at)
            self._add_references(realm, row.key, references)
        if list(old_tags) != list(tags):
            self._connection.execute(statements.DROP_TAGS, at)
            self._add_tags(realm, row.key, tags)

    def delete(self, realm: Realm, key: EntityKey) -> None:
        """Remove an entity with its keys, references and tags. Those that name it must be gone before."""
        self._connection.execute(statements.DELETE, _key(realm, key))

    def referrers(self, realm: Realm, target: EntityKey) -> list[Referrer]:
        """Every entity that names `target`."""
        found = self._connection.execute(statements.REFERRERS, {**_realm(realm), **_target(target)})
        return [Referrer(EntityKey(row.workspace, row.type, row.id), row.field) for row in found]

    def dependents(
        self, realm: Realm, workspace: str, type_name: str, *, ids: Sequence[str]
    ) -> dict[tuple[str, str], int]:
        """How many entities name one of some others, by type and field."""
        at = {**_realm(realm), "w": workspace, "t": type_name, "ids": list(ids)}
        return {(row[0], row[1]): row[2] for row in self._connection.execute(statements.DEPENDENTS, at)}

    def page(
        self, realm: Realm, workspace: str, type_name: str, *, after: str, limit: int, now: float
    ) -> list[EntityRow]:
        """Entities of a type by id, above `after`."""
        at = {**_realm(realm), "w": workspace, "t": type_name, "after": after, "n": limit, "now": now}
        return [_entity(row) for row in self._connection.execute(statements.PAGE, at)]

    def several(
        self, realm: Realm, workspace: str, type_name: str, *, ids: Sequence[str], now: float
    ) -> list[EntityRow]:
        """Entities of a type by their ids; those that are not there are left out."""
        at = {**_realm(realm), "w": workspace, "t": type_name, "ids": list(ids), "now": now}
        return [_entity(row) for row in self._connection.execute(statements.SEVERAL, at)]

    def page_under(
        self,
        realm: Realm,
        workspace: str,
        type_name: str,
        *,
        field: str,
        target: EntityKey,
        after: str,
        limit: int,
        now: float,
    ) -> list[EntityRow]:
        """Entities of a type whose `field` names `target`, by id, above `after`."""
        at = {
            **_realm(realm),
            **_target(target),
            "w": workspace,
            "t": type_name,
            "f": field,
            "after": after,
            "n": limit,
            "now": now,
        }
        return [_entity(row) for row in self._connection.execute(statements.PAGE_UNDER, at)]

    def naming(
        self,
        realm: Realm,
        workspace: str,
        type_name: str,
        *,
        field: str,
        target_type: str,
        target_ids: Sequence[str],
    ) -> list[tuple[str, str]]:
        """(target id, body) of every entity of a type whose `field` names one of the targets."""
        at = {
            **_realm(realm),
            "w": workspace,
            "t": type_name,
            "f": field,
            "tt": target_type,
            "ids": list(target_ids),
        }
        return [(row.target_id, row.body) for row in self._connection.execute(statements.NAMING, at)]

    def page_tagged(
        self,
        realm: Realm,
        workspace: str,
        type_name: str,
        *,
        tags: Sequence[str],
        match_all: bool,
        after: str,
        limit: int,
        now: float,
    ) -> list[EntityRow]:
        """Entities of a type that bear all, or any, of `tags`, by id, above `after`."""
        wanted = sorted(set(tags))
        at: dict[str, Any] = {
            **_realm(realm),
            "w": workspace,
            "t": type_name,
            "tags": wanted,
            "after": after,
            "n": limit,
            "now": now,
        }
        if match_all:
            found = self._connection.execute(statements.PAGE_ALL_TAGS, {**at, "many": len(wanted)})
        else:
            found = self._connection.execute(statements.PAGE_ANY_TAG, at)
        return [_entity(row) for row in found]

    def counts(
        self, realm: Realm, workspaces: Sequence[str], types: Sequence[str], *, now: float
    ) -> dict[tuple[str, str], int]:
        """How many entities there are, by workspace and type; types without any are left out."""
        at = {**_realm(realm), "ws": list(workspaces), "types": list(types)}
        found = {(row[0], row[1]): row[2] for row in self._connection.execute(statements.COUNTS, at)}
        for row in self._connection.execute(statements.COUNTS_EXPIRED, {**at, "now": now}):
            found[row[0], row[1]] -= row[2]
        return found

    def page_found(
        self,
        realm: Realm,
        workspace: str,
        type_name: str,
        *,
        text: str,
        tags: Sequence[str] = (),
        match_all: bool = True,
        after: str,
        limit: int,
        now: float,
    ) -> list[EntityRow]:
        """Entities of a type that hold a text anywhere in their body, by id, above `after`. Case does not matter.

        Where there are `tags`, only those that bear all, or any, of them.
        """
        inner = json.dumps(text, ensure_ascii=False)[1:-1]
        escaped = inner.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        at = {**_realm(realm), "w": workspace, "t": type_name, "after": after, "n": limit, "now": now}
        at["text"] = f"%{escaped}%"
        wanted = sorted(set(tags))
        if not wanted:
            found = self._connection.execute(statements.PAGE_FOUND, at)
        elif match_all:
            found = self._connection.execute(
                statements.PAGE_FOUND_ALL_TAGS, {**at, "tags": wanted, "many": len(wanted)}
            )
        else:
            found = self._connection.execute(statements.PAGE_FOUND_ANY_TAG, {**at, "tags": wanted})
        return [_entity(row) for row in found]

    def tags(
        self, realm: Realm, workspaces: Sequence[str], *, tag: str | None, after: tuple[str, int], limit: int
    ) -> list[TagRow]:
        """Tags of all types by entity id and place, above `after`; only those named `tag` where it is given."""
        at = {**_realm(realm), "ws": list(workspaces), "i": after[0], "p": after[1], "n": limit}
        if tag is None:
            found = self._connection.execute(statements.TAGS, at)
        else:
            found = self._connection.execute(statements.TAGS_NAMED, {**at, "tag_": tag})
        return [TagRow(*row) for row in found]

    def all(self, realm: Realm, workspaces: Sequence[str]) -> Iterator[tuple[str, str, int, str]]:
        """(type, id, revision, body) of every entity, by type and id."""
        at = {**_realm(realm), "ws": list(workspaces)}
        for row in self._connection.execute(statements.ALL, at):
            yield row[0], row[1], row[2], row[3]

    def disabled(self, realm: Realm, workspaces: Sequence[str]) -> list[tuple[str, str]]:
        """(type, id) of every entity that is switched off."""
        found = self._connection.execute(statements.DISABLED, {**_realm(realm), "ws": list(workspaces)})
        return [(row.type, row.id) for row in found]

    def references(self, realm: Realm, workspaces: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
        """(type, id, target type, target id) of every reference."""
        for row in self._connection.execute(statements.ALL_REFERENCES, {**_realm(realm), "ws": list(workspaces)}):
            yield row[0], row[1], row[2], row[3]

    def naming_types(self, realm: Realm, workspaces: Sequence[str], types: Sequence[str]) -> list[tuple[str, str]]:
        """(type, id) of every entity that names one of some types."""
        at = {**_realm(realm), "ws": list(workspaces), "types": list(types)}
        return [(row[0], row[1]) for row in self._connection.execute(statements.NAMING_TYPES, at)]

    def expired(self, *, now: float, limit: int) -> list[tuple[Realm, EntityKey]]:
        """Entities of all realms whose time is over."""
        found = self._connection.execute(statements.EXPIRED, {"now": now, "n": limit})
        return [
            (Realm(row.organization_id, row.control_plane_id), EntityKey(row.workspace, row.type, row.id))
            for row in found
        ]

    def mentioning(self, realm: Realm, types: Sequence[str], word: str) -> list[EntityRow]:
        """Entities of some types in whose body a word stands, for references that are no foreign keys."""
        found = self._connection.execute(
            select(*statements.COLUMNS)
            .where(
                statements.in_realm(ENTITY.c),
                ENTITY.c.type.in_(types),
                ENTITY.c.body.contains(word, autoescape=True),
            )
            .order_by(ENTITY.c.type, ENTITY.c.id),
            _realm(realm),
        )
        return [_entity(row) for row in found]

    def count(self, realm: Realm) -> int:
        """How many entities a control plane holds."""
        return int(self._connection.execute(statements.COUNT, _realm(realm)).scalar_one())

    def _add_keys(self, realm: Realm, key: EntityKey, keys: Sequence[UniqueKeyRow]) -> None:
        if keys:
            owner = _owner(realm, key)
            self._connection.execute(
                insert(UNIQUE_KEY),
                [
                    {**owner, "shared_by": unique.shared_by, "field": unique.field, "value": unique.value}
                    for unique in keys
                ],
            )

    def _add_references(self, realm: Realm, key: EntityKey, references: Sequence[ReferenceRow]) -> None:
        if references:
            owner = _owner(realm, key)
            self._connection.execute(
                insert(REFERENCE),
                [
                    {
                        **owner,
                        "field": reference.field,
                        "target_workspace": reference.target.workspace,
                        "target_type": reference.target.type,
                        "target_id": reference.target.id,
                    }
                    for reference in references
                ],
            )

    def _add_tags(self, realm: Realm, key: EntityKey, tags: Sequence[str]) -> None:
        if tags:
            owner = _owner(realm, key)
            self._connection.execute(
                insert(TAG), [{**owner, "position": position, "tag": tag} for position, tag in enumerate(tags)]
            )


def _realm(realm: Realm) -> dict[str, Any]:
    return {"o": realm.organization_id, "c": realm.control_plane_id}


def _key(realm: Realm, key: EntityKey) -> dict[str, Any]:
    return {
        "o": realm.organization_id,
        "c": realm.control_plane_id,
        "w": key.workspace,
        "t": key.type,
        "i": key.id,
    }


def _target(target: EntityKey) -> dict[str, Any]:
    return {"tw": target.workspace, "tt": target.type, "ti": target.id}


def _owner(realm: Realm, key: EntityKey) -> dict[str, Any]:
    return {
        "organization_id": realm.organization_id,
        "control_plane_id": realm.control_plane_id,
        "workspace": key.workspace,
        "type": key.type,
        "id": key.id,
    }


def _entity(row: Any) -> EntityRow:
    workspace, type_name, entity_id, body, enabled, created_at, updated_at, expires_at, revision = row
    return EntityRow(
        EntityKey(workspace, type_name, entity_id), body, enabled, created_at, updated_at, expires_at, revision
    )
