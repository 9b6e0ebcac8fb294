"""The statements of `EntityTable`, compiled once. Every one is bound to a realm by the parameters `o` and `c`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, distinct, func, insert, or_, select, tuple_, update

from twinplane.store.sql.tables import ENTITY, REFERENCE, TAG, UNIQUE_KEY

_E = ENTITY.c
COLUMNS = (
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


def in_realm(table: Any) -> ColumnElement[bool]:
    """Of the organization and control plane that the parameters name."""
    return and_(table.organization_id == bindparam("o"), table.control_plane_id == bindparam("c"))


def _at_key(table: Any) -> ColumnElement[bool]:
    return and_(
        in_realm(table), table.workspace == bindparam("w"), table.type == bindparam("t"), table.id == bindparam("i")
    )


ALIVE = or_(_E.expires_at.is_(None), _E.expires_at > bindparam("now"))
OF_TYPE = and_(in_realm(_E), _E.workspace == bindparam("w"), _E.type == bindparam("t"))

GET = select(*COLUMNS).where(_at_key(_E))
EXISTS = select(_E.id).where(_at_key(_E))
INSERT = insert(ENTITY)
UPDATE = (
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
DELETE = delete(ENTITY).where(_at_key(_E))

HOLDER = select(UNIQUE_KEY.c.workspace, UNIQUE_KEY.c.id).where(
    in_realm(UNIQUE_KEY.c),
    UNIQUE_KEY.c.type == bindparam("t"),
    UNIQUE_KEY.c.shared_by == bindparam("s"),
    UNIQUE_KEY.c.field == bindparam("f"),
    UNIQUE_KEY.c.value == bindparam("v"),
)
KEYS_OF = select(UNIQUE_KEY.c.shared_by, UNIQUE_KEY.c.field, UNIQUE_KEY.c.value).where(_at_key(UNIQUE_KEY.c))
DROP_KEYS = delete(UNIQUE_KEY).where(_at_key(UNIQUE_KEY.c))
REFERENCES_OF = select(
    REFERENCE.c.field, REFERENCE.c.target_workspace, REFERENCE.c.target_type, REFERENCE.c.target_id
).where(_at_key(REFERENCE.c))
DROP_REFERENCES = delete(REFERENCE).where(_at_key(REFERENCE.c))
DROP_TAGS = delete(TAG).where(_at_key(TAG.c))

TO_TARGET = and_(
    in_realm(REFERENCE.c),
    REFERENCE.c.target_workspace == bindparam("tw"),
    REFERENCE.c.target_type == bindparam("tt"),
    REFERENCE.c.target_id == bindparam("ti"),
)
REFERRERS = (
    select(REFERENCE.c.workspace, REFERENCE.c.type, REFERENCE.c.id, REFERENCE.c.field)
    .where(TO_TARGET)
    .order_by(REFERENCE.c.type, REFERENCE.c.field, REFERENCE.c.id)
)
DEPENDENTS = (
    select(REFERENCE.c.type, REFERENCE.c.field, func.count())
    .where(
        in_realm(REFERENCE.c),
        REFERENCE.c.target_workspace == bindparam("w"),
        REFERENCE.c.target_type == bindparam("t"),
        REFERENCE.c.target_id.in_(bindparam("ids", expanding=True)),
    )
    .group_by(REFERENCE.c.type, REFERENCE.c.field)
)
OWNER = and_(
    REFERENCE.c.organization_id == _E.organization_id,
    REFERENCE.c.control_plane_id == _E.control_plane_id,
    REFERENCE.c.workspace == _E.workspace,
    REFERENCE.c.type == _E.type,
    REFERENCE.c.id == _E.id,
)

SEVERAL = select(*COLUMNS).where(OF_TYPE, _E.id.in_(bindparam("ids", expanding=True)), ALIVE)
PAGE = select(*COLUMNS).where(OF_TYPE, _E.id > bindparam("after"), ALIVE).order_by(_E.id).limit(bindparam("n"))
# Driven by the index on targets, which has the ids in order: a page costs its size, however many children there are.
PAGE_UNDER = (
    select(*COLUMNS)
    .select_from(REFERENCE)
    .join(ENTITY, OWNER)
    .where(
        TO_TARGET,
        REFERENCE.c.type == bindparam("t"),
        REFERENCE.c.field == bindparam("f"),
        REFERENCE.c.workspace == bindparam("w"),
        REFERENCE.c.id > bindparam("after"),
        ALIVE,
    )
    .order_by(REFERENCE.c.id)
    .limit(bindparam("n"))
)
NAMING = (
    select(REFERENCE.c.target_id, _E.body)
    .select_from(REFERENCE)
    .join(ENTITY, OWNER)
    .where(
        in_realm(REFERENCE.c),
        REFERENCE.c.target_workspace == bindparam("w"),
        REFERENCE.c.target_type == bindparam("tt"),
        REFERENCE.c.target_id.in_(bindparam("ids", expanding=True)),
        REFERENCE.c.type == bindparam("t"),
        REFERENCE.c.field == bindparam("f"),
    )
)

# All of them by the key alone, and those whose time is over by their index: no row is read.
COUNTS = (
    select(_E.workspace, _E.type, func.count())
    .where(in_realm(_E), _E.workspace.in_(bindparam("ws", expanding=True)))
    .where(_E.type.in_(bindparam("types", expanding=True)))
    .group_by(_E.workspace, _E.type)
)
COUNTS_EXPIRED = COUNTS.where(_E.expires_at <= bindparam("now"))
HOLDS_TEXT = _E.body.ilike(bindparam("text"), escape="\\")
PAGE_FOUND = PAGE.where(HOLDS_TEXT)
WITH_ANY_TAG = select(TAG.c.id).where(
    in_realm(TAG.c),
    TAG.c.workspace == bindparam("w"),
    TAG.c.type == bindparam("t"),
    TAG.c.tag.in_(bindparam("tags", expanding=True)),
)
PAGE_ANY_TAG = (
    select(*COLUMNS)
    .where(OF_TYPE, _E.id > bindparam("after"), ALIVE, _E.id.in_(WITH_ANY_TAG))
    .order_by(_E.id)
    .limit(bindparam("n"))
)
PAGE_ALL_TAGS = (
    select(*COLUMNS)
    .where(
        OF_TYPE,
        _E.id > bindparam("after"),
        ALIVE,
        _E.id.in_(WITH_ANY_TAG.group_by(TAG.c.id).having(func.count(distinct(TAG.c.tag)) == bindparam("many"))),
    )
    .order_by(_E.id)
    .limit(bindparam("n"))
)
PAGE_FOUND_ANY_TAG = PAGE_ANY_TAG.where(HOLDS_TEXT)
PAGE_FOUND_ALL_TAGS = PAGE_ALL_TAGS.where(HOLDS_TEXT)
TAGS = (
    select(TAG.c.type, TAG.c.id, TAG.c.position, TAG.c.tag)
    .where(
        in_realm(TAG.c),
        TAG.c.workspace.in_(bindparam("ws", expanding=True)),
        tuple_(TAG.c.id, TAG.c.position) > tuple_(bindparam("i"), bindparam("p")),
    )
    .order_by(TAG.c.id, TAG.c.position)
    .limit(bindparam("n"))
)
TAGS_NAMED = TAGS.where(TAG.c.tag == bindparam("tag_"))

ALL = (
    select(_E.type, _E.id, _E.revision, _E.body)
    .where(in_realm(_E), _E.workspace.in_(bindparam("ws", expanding=True)))
    .order_by(_E.type, _E.id)
)
DISABLED = select(_E.workspace, _E.type, _E.id).where(
    in_realm(_E), _E.workspace.in_(bindparam("ws", expanding=True)), _E.enabled.is_(False)
)
ALL_REFERENCES = select(REFERENCE.c.type, REFERENCE.c.id, REFERENCE.c.target_type, REFERENCE.c.target_id).where(
    in_realm(REFERENCE.c), REFERENCE.c.workspace.in_(bindparam("ws", expanding=True))
)
NAMING_TYPES = select(REFERENCE.c.type, REFERENCE.c.id).where(
    in_realm(REFERENCE.c),
    REFERENCE.c.target_workspace.in_(bindparam("ws", expanding=True)),
    REFERENCE.c.target_type.in_(bindparam("types", expanding=True)),
)
EXPIRED = (
    select(_E.organization_id, _E.control_plane_id, _E.workspace, _E.type, _E.id)
    .where(_E.expires_at <= bindparam("now"))
    .limit(bindparam("n"))
)
COUNT = select(func.count()).select_from(ENTITY).where(in_realm(_E))
