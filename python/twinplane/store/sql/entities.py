"""Statements on entities, their unique keys, references and tags. Every one is bound to a realm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    distinct,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from twinplane.store.sql.rows import EntityKey, EntityRow, Realm, ReferenceRow, Referrer, TagRow, UniqueKeyRow
from twinplane.store.sql.tables import ENTITY, REFERENCE, TAG, UNIQUE_KEY

_E = ENTITY.c
_COLUMNS = (
    _E.workspace,
    _E.type,
    _E.id,
    _E.body,
    _E.enabled,
    _E.created_at,
    _E.updated_at,
    _E.expires_at,
    _E.revision,
)


def _in_realm(table: Any) -> ColumnElement[bool]:
    return and_(table.organization_id == bindparam("o"), table.control_plane_id == bindparam("c"))


def _at_key(table: Any) -> ColumnElement[bool]:
    return and_(
        _in_realm(table), table.workspace == bindparam("w"), table.type == bindparam("t"), table.id == bindparam("i")
    )


_ALIVE = or_(_E.expires_at.is_(None), _E.expires_at > bindparam("now"))
_OF_TYPE = and_(_in_realm(_E), _E.workspace == bindparam("w"), _E.type == bindparam("t"))

_GET = select(*_COLUMNS).where(_at_key(_E))
_EXISTS = select(_E.id).where(_at_key(_E))
_INSERT = insert(ENTITY)
_UPDATE = (
    update(ENTITY)
    .where(_at_key(_E))
    .values(
        body=bindparam("body_"),
        enabled=bindparam("enabled_"),
        created_at=bindparam("created_at_"),
        updated_at=bindparam("updated_at_"),
        expires_at=bindparam("expires_at_"),
        revision=bindparam("revision_"),
    )
)
_DELETE = delete(ENTITY).where(_at_key(_E))

_HOLDER = select(UNIQUE_KEY.c.workspace, UNIQUE_KEY.c.id).where(
    _in_realm(UNIQUE_KEY.c),
    UNIQUE_KEY.c.type == bindparam("t"),
    UNIQUE_KEY.c.shared_by == bindparam("s"),
    UNIQUE_KEY.c.field == bindparam("f"),
    UNIQUE_KEY.c.value == bindparam("v"),
)
_KEYS_OF = select(UNIQUE_KEY.c.shared_by, UNIQUE_KEY.c.field, UNIQUE_KEY.c.value).where(_at_key(UNIQUE_KEY.c))
_DROP_KEYS = delete(UNIQUE_KEY).where(_at_key(UNIQUE_KEY.c))
_REFERENCES_OF = select(
    REFERENCE.c.field, REFERENCE.c.target_workspace, REFERENCE.c.target_type, REFERENCE.c.target_id
).where(_at_key(REFERENCE.c))
_DROP_REFERENCES = delete(REFERENCE).where(_at_key(REFERENCE.c))
_DROP_TAGS = delete(TAG).where(_at_key(TAG.c))

_TO_TARGET = and_(
    _in_realm(REFERENCE.c),
    REFERENCE.c.target_workspace == bindparam("tw"),
    REFERENCE.c.target_type == bindparam("tt"),
    REFERENCE.c.target_id == bindparam("ti"),
)
_REFERRERS = (
    select(REFERENCE.c.workspace, REFERENCE.c.type, REFERENCE.c.id, REFERENCE.c.field)
    .where(_TO_TARGET)
    .order_by(REFERENCE.c.type, REFERENCE.c.field, REFERENCE.c.id)
)
_OWNER = and_(
    REFERENCE.c.organization_id == _E.organization_id,
    REFERENCE.c.control_plane_id == _E.control_plane_id,
    REFERENCE.c.workspace == _E.workspace,
    REFERENCE.c.type == _E.type,
    REFERENCE.c.id == _E.id,
)

_PAGE = select(*_COLUMNS).where(_OF_TYPE, _E.id > bindparam("after"), _ALIVE).order_by(_E.id).limit(bindparam("n"))
# Driven by the index on targets, which has the ids in order: a page costs its size, however many children there are.
_PAGE_UNDER = (
    select(*_COLUMNS)
    .select_from(REFERENCE)
    .join(ENTITY, _OWNER)
    .where(
        _TO_TARGET,
        REFERENCE.c.type == bindparam("t"),
        REFERENCE.c.field == bindparam("f"),
        REFERENCE.c.workspace == bindparam("w"),
        REFERENCE.c.id > bindparam("after"),
        _ALIVE,
    )
    .order_by(REFERENCE.c.id)
    .limit(bindparam("n"))
)
_NAMING = (
    select(REFERENCE.c.target_id, _E.body)
    .select_from(REFERENCE)
    .join(ENTITY, _OWNER)
    .where(
        _in_realm(REFERENCE.c),
        REFERENCE.c.target_workspace == bindparam("w"),
        REFERENCE.c.target_type == bindparam("tt"),
        REFERENCE.c.target_id.in_(bindparam("ids", expanding=True)),
        REFERENCE.c.type == bindparam("t"),
        REFERENCE.c.field == bindparam("f"),
    )
)

_WITH_ANY_TAG = select(TAG.c.id).where(
    _in_realm(TAG.c),
    TAG.c.workspace == bindparam("w"),
    TAG.c.type == bindparam("t"),
    TAG.c.tag.in_(bindparam("tags", expanding=True)),
)
_PAGE_ANY_TAG = (
    select(*_COLUMNS)
    .where(_OF_TYPE, _E.id > bindparam("after"), _ALIVE, _E.id.in_(_WITH_ANY_TAG))
    .order_by(_E.id)
    .limit(bindparam("n"))
)
_PAGE_ALL_TAGS = (
    select(*_COLUMNS)
    .where(
        _OF_TYPE,
        _E.id > bindparam("after"),
        _ALIVE,
        _E.id.in_(_WITH_ANY_TAG.group_by(TAG.c.id).having(func.count(distinct(TAG.c.tag)) == bindparam("many"))),
    )
    .order_by(_E.id)
    .limit(bindparam("n"))
)
_TAGS = (
    select(TAG.c.type, TAG.c.id, TAG.c.position, TAG.c.tag)
    .where(
        _in_realm(TAG.c),
        TAG.c.workspace.in_(bindparam("ws", expanding=True)),
        tuple_(TAG.c.id, TAG.c.position) > tuple_(bindparam("i"), bindparam("p")),
    )
    .order_by(TAG.c.id, TAG.c.position)
    .limit(bindparam("n"))
)
_TAGS_NAMED = _TAGS.where(TAG.c.tag == bindparam("tag_"))

_ALL = (
    select(_E.type, _E.id, _E.revision, _E.body)
    .where(_in_realm(_E), _E.workspace.in_(bindparam("ws", expanding=True)))
    .order_by(_E.type, _E.id)
)
_DISABLED = select(_E.workspace, _E.type, _E.id).where(
    _in_realm(_E), _E.workspace.in_(bindparam("ws", expanding=True)), _E.enabled.is_(False)
)
_ALL_REFERENCES = select(REFERENCE.c.type, REFERENCE.c.id, REFERENCE.c.target_type, REFERENCE.c.target_id).where(
    _in_realm(REFERENCE.c), REFERENCE.c.workspace.in_(bindparam("ws", expanding=True))
)
_NAMING_TYPES = select(REFERENCE.c.type, REFERENCE.c.id).where(
    _in_realm(REFERENCE.c),
    REFERENCE.c.target_workspace.in_(bindparam("ws", expanding=True)),
    REFERENCE.c.target_type.in_(bindparam("types", expanding=True)),
)
_EXPIRED = (
    select(_E.organization_id, _E.control_plane_id, _E.workspace, _E.type, _E.id)
    .where(_E.expires_at <= bindparam("now"))
    .limit(bindparam("n"))
)
_COUNT = select(func.count()).select_from(ENTITY).where(_in_realm(_E))


class EntityTable:
    """Entities of every control plane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, realm: Realm, key: EntityKey) -> EntityRow | None:
        """The entity at `key`, also an expired one."""
        found = self._connection.execute(_GET, _key(realm, key)).one_or_none()
        return None if found is None else _entity(found)

    def exists(self, realm: Realm, key: EntityKey) -> bool:
        """Whether an entity is at `key`."""
        return self._connection.execute(_EXISTS, _key(realm, key)).first() is not None

    def holder(self, realm: Realm, type_name: str, unique: UniqueKeyRow) -> EntityKey | None:
        """Which entity holds a unique value."""
        found = self._connection.execute(
            _HOLDER,
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
            _INSERT,
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
            _UPDATE,
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
        old_keys = {UniqueKeyRow(*found) for found in self._connection.execute(_KEYS_OF, at)}
        if old_keys != set(keys):
            self._connection.execute(_DROP_KEYS, at)
            self._add_keys(realm, row.key, keys)
        old_references = {
            ReferenceRow(found.field, EntityKey(found.target_workspace, found.target_type, found.target_id))
            for found in self._connection.execute(_REFERENCES_OF, at)
        }
        if old_references != set(references):
            self._connection.execute(_DROP_REFERENCES, at)
            self._add_references(realm, row.key, references)
        if list(old_tags) != list(tags):
            self._connection.execute(_DROP_TAGS, at)
            self._add_tags(realm, row.key, tags)

    def delete(self, realm: Realm, key: EntityKey) -> None:
        """Remove an entity with its keys, references and tags. Those that name it must be gone before."""
        self._connection.execute(_DELETE, _key(realm, key))

    def referrers(self, realm: Realm, target: EntityKey) -> list[Referrer]:
        """Every entity that names `target`."""
        found = self._connection.execute(_REFERRERS, {**_realm(realm), **_target(target)})
        return [Referrer(EntityKey(row.workspace, row.type, row.id), row.field) for row in found]

    def page(
        self, realm: Realm, workspace: str, type_name: str, *, after: str, limit: int, now: float
    ) -> list[EntityRow]:
        """Entities of a type by id, above `after`."""
        at = {**_realm(realm), "w": workspace, "t": type_name, "after": after, "n": limit, "now": now}
        return [_entity(row) for row in self._connection.execute(_PAGE, at)]

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
        return [_entity(row) for row in self._connection.execute(_PAGE_UNDER, at)]

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
        return [(row.target_id, row.body) for row in self._connection.execute(_NAMING, at)]

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
            found = self._connection.execute(_PAGE_ALL_TAGS, {**at, "many": len(wanted)})
        else:
            found = self._connection.execute(_PAGE_ANY_TAG, at)
        return [_entity(row) for row in found]

    def tags(
        self, realm: Realm, workspaces: Sequence[str], *, tag: str | None, after: tuple[str, int], limit: int
    ) -> list[TagRow]:
        """Tags of all types by entity id and place, above `after`; only those named `tag` where it is given."""
        at = {**_realm(realm), "ws": list(workspaces), "i": after[0], "p": after[1], "n": limit}
        if tag is None:
            found = self._connection.execute(_TAGS, at)
        else:
            found = self._connection.execute(_TAGS_NAMED, {**at, "tag_": tag})
        return [TagRow(*row) for row in found]

    def all(self, realm: Realm, workspaces: Sequence[str]) -> Iterator[tuple[str, str, int, str]]:
        """(type, id, revision, body) of every entity, by type and id."""
        at = {**_realm(realm), "ws": list(workspaces)}
        for row in self._connection.execute(_ALL, at):
            yield row[0], row[1], row[2], row[3]

    def disabled(self, realm: Realm, workspaces: Sequence[str]) -> list[tuple[str, str]]:
        """(type, id) of every entity that is switched off."""
        found = self._connection.execute(_DISABLED, {**_realm(realm), "ws": list(workspaces)})
        return [(row.type, row.id) for row in found]

    def references(self, realm: Realm, workspaces: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
        """(type, id, target type, target id) of every reference."""
        for row in self._connection.execute(_ALL_REFERENCES, {**_realm(realm), "ws": list(workspaces)}):
            yield row[0], row[1], row[2], row[3]

    def naming_types(self, realm: Realm, workspaces: Sequence[str], types: Sequence[str]) -> list[tuple[str, str]]:
        """(type, id) of every entity that names one of some types."""
        at = {**_realm(realm), "ws": list(workspaces), "types": list(types)}
        return [(row[0], row[1]) for row in self._connection.execute(_NAMING_TYPES, at)]

    def expired(self, *, now: float, limit: int) -> list[tuple[Realm, EntityKey]]:
        """Entities of all realms whose time is over."""
        found = self._connection.execute(_EXPIRED, {"now": now, "n": limit})
        return [
            (Realm(row.organization_id, row.control_plane_id), EntityKey(row.workspace, row.type, row.id))
            for row in found
        ]

    def mentioning(self, realm: Realm, types: Sequence[str], word: str) -> list[EntityRow]:
        """Entities of some types in whose body a word stands, for references that are no foreign keys."""
        found = self._connection.execute(
            select(*_COLUMNS)
            .where(_in_realm(_E), _E.type.in_(types), _E.body.contains(word, autoescape=True))
            .order_by(_E.type, _E.id),
            _realm(realm),
        )
        return [_entity(row) for row in found]

    def count(self, realm: Realm) -> int:
        """How many entities a control plane holds."""
        return int(self._connection.execute(_COUNT, _realm(realm)).scalar_one())

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
