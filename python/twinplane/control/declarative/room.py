"""The entities of a node without control plane behind the door that those of a store have: read, never written singly.

A write is checked as far as Kong checks it without a database, and then refused.
"""

# ruff: noqa: ARG002 - a node has one scope and one actor; the door is that of a store with many.
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from twinplane.control.declarative.entities import DeclaredEntities, named_by
from twinplane.control.errors import ForeignKeysUnresolved, InvalidKey, InvalidOffset, NotFound, WithoutStore
from twinplane.control.lifetime import Lifetime
from twinplane.control.naming import is_uuid, name_field
from twinplane.control.operation import Operation
from twinplane.control.paging import check_size, decode_offset, encode_offset, parse_tags
from twinplane.control.scope import Actor, Page, Parent, Row, Scope
from twinplane.control.settings import ControlSettings
from twinplane.registry import EntityType, entity_type


class DeclaredRoom:
    """`control.change.Changes` of a configuration that is only ever replaced whole."""

    def __init__(self, entities: DeclaredEntities, clock: Callable[[], float] = time.time) -> None:
        self._entities = entities
        self._clock = clock
        self._settings = ControlSettings()
        self.scope = Scope("", "")
        """Where the entities are, as those who ask have to name it."""

    def now(self) -> float:
        """This moment, in Unix seconds."""
        return self._clock()

    @property
    def entities(self) -> DeclaredEntities:
        """The configuration in force."""
        return self._entities

    def replace(self, entities: DeclaredEntities) -> None:
        """Show another configuration from now on."""
        self._entities = entities

    def get(self, scope: Scope, type_name: str, key: str, *, parent: Parent | None = None) -> Row:
        """The entity at `key`: an id, an endpoint key, or an SNI for certificates. Raises NotFound."""
        entities = self._entities
        return entities.require(entities.type(type_name), key, parent, now=self._clock())

    def page(
        self,
        scope: Scope,
        type_name: str,
        *,
        size: int = 100,
        offset: str | None = None,
        tags: str | None = None,
        parent: Parent | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        """One page, by id, as `Changes.page`."""
        check_size(size, self._settings.page_size_max)
        wanted = None if tags is None else parse_tags(tags, self._settings.tags_max)
        entities, now = self._entities, self._clock()
        entity = entities.type(type_name)
        under = None if parent is None else entities.parent(entity, parent, now=now)
        if where:
            place, value = next(iter(where.items()))
            found = entities.unique(entity, place, value, now=now)
            return Page([] if found is None else [found], None)
        after = _after(offset)
        if after is None:
            return Page([], None)
        rows, is_more = entities.page(entity, after=after, size=size, now=now, under=under, tags=wanted)
        return Page(rows, encode_offset(rows[-1]["id"]) if is_more else None)

    def tags(self, scope: Scope, tag: str | None = None, *, size: int = 100, offset: str | None = None) -> Page:
        """Rows {tag, entity_name, entity_id}, of all tags or of one."""
        check_size(size, self._settings.page_size_max)
        if tag is not None and (not tag or any(ord(character) < 32 for character in tag)):
            reason = f"invalid tag '{tag}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
            raise InvalidKey("tag", reason)
        after = ("", -1)
        if offset is not None:
            entity_id, position = decode_offset(offset, str, int)
            after = (entity_id, position)
        found = self._entities.tags(tag, after=after, limit=size + 1)
        rows = [{"tag": row.tag, "entity_name": row.type_name, "entity_id": row.id} for row in found[:size]]
        last = found[size - 1] if len(found) > size else None
        return Page(rows, None if last is None else encode_offset(last.id, last.position))

    def create(
        self, scope: Scope, actor: Actor, type_name: str, body: Mapping[str, Any], *, parent: Parent | None = None
    ) -> NoReturn:
        """Check a body, then refuse it. Raises SchemaViolation, NotFound, WithoutStore."""
        entity = self._entities.type(type_name)
        self._check_new(entity, body, parent)
        raise WithoutStore("create", entity.name)

    def upsert(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        body: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> NoReturn:
        """Check a body, then refuse it. Raises SchemaViolation, NotFound, WithoutStore."""
        entity = self._entities.type(type_name)
        self._check_new(entity, {**body, **named_by(entity, key)}, parent)
        raise WithoutStore("create or update", entity.name, _by(entity, key))

    def update(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        patch: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> NoReturn:
        """Check a patch of what is there, then refuse it. Raises SchemaViolation, NotFound, WithoutStore."""
        entities, now = self._entities, self._clock()
        entity = entities.type(type_name)
        before = entities.require(entity, key, parent, now=now)
        given = self._resolved(entity, patch)
        before.pop("ttl", None)
        lifetime = Lifetime.taken_from(entity, given)
        lifetime.prepared(lambda: entity.prepare_update(given, existing=before, now=now))
        raise WithoutStore("update", entity.name, _by(entity, key))

    def delete(self, scope: Scope, actor: Actor, type_name: str, key: str, *, parent: Parent | None = None) -> bool:
        """False for what is not there. Raises NotFound, WithoutStore."""
        entities = self._entities
        entity = entities.type(type_name)
        if entities.find(entity, key, parent, now=self._clock()) is not None:
            raise WithoutStore("remove", entity.name, _by(entity, key))
        if parent is not None:
            raise NotFound(entity.name, named_by(entity, key), nested=True)
        return False

    def apply(self, scope: Scope, actor: Actor, operations: Sequence[Operation]) -> NoReturn:
        """Refuse a batch by its first step. Raises as `create`."""
        first = operations[0]
        self.create(scope, actor, first.type_name, first.body or {}, parent=first.parent)

    def _check_new(self, entity: EntityType, body: Mapping[str, Any], parent: Parent | None) -> None:
        now = self._clock()
        given = dict(body)
        if parent is not None:
            place, target = self._entities.parent(entity, parent, now=now)
            given[place] = {"id": target}
        given = self._resolved(entity, given)
        lifetime = Lifetime.taken_from(entity, given)
        lifetime.prepared(lambda: entity.prepare_insert(given, now=now))

    def _resolved(self, entity: EntityType, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body with references by name turned into references by id. Raises ForeignKeysUnresolved."""
        given = dict(body)
        unresolved: dict[str, tuple[str, Any, str]] = {}
        for place, foreign in entity.foreign.items():
            target = entity_type(foreign.target)
            reference, key = given.get(place), target.endpoint_key
            if not isinstance(reference, Mapping) or "id" in reference or key is None:
                continue
            name = reference.get(key)
            if not isinstance(name, str) or not name:
                continue
            found = self._entities.named(target, name)
            if found is None:
                unresolved[place] = (key, name, target.name)
            else:
                given[place] = {"id": found}
        if unresolved:
            raise ForeignKeysUnresolved(unresolved)
        return given


def _by(entity: EntityType, key: str) -> str | None:
    return None if is_uuid(key) else name_field(entity)


def _after(offset: str | None) -> str | None:
    """The id that an offset leads past; None for one that leads nowhere."""
    if offset is None:
        return ""
    try:
        return str(decode_offset(offset, str)[0])
    except InvalidOffset:
        # A real node without database shows an empty page for it (vectors: config/post-json).
        return None
