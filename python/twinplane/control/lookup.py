"""Finds the entity that a path names: by id, by endpoint key, under a parent, or a certificate by one of its names."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from twinplane.control import certificate_names
from twinplane.control.errors import InvalidPrimaryKey, NotFound, UnknownType
from twinplane.control.naming import check_name, is_uuid, name_field
from twinplane.control.references import workspace_of
from twinplane.control.scope import Parent, Scope
from twinplane.control.uniqueness import composite_key, single_key
from twinplane.registry import EntityType, RouterFlavor, entity_type, entity_types, route_type
from twinplane.store.sql import EntityKey, EntityRow, EntityTable, Realm, UniqueKeyRow


class Lookup:
    """Finding within one scope and transaction, at one moment: what has expired by then is not there."""

    def __init__(self, entities: EntityTable, scope: Scope, now: float) -> None:
        self._entities = entities
        self.scope = scope
        self.realm = Realm(scope.organization_id, scope.control_plane_id)
        self.now = now
        self.flavor: RouterFlavor = "traditional_compatible"
        """How the control plane's routes are written; who writes sets it."""

    def type(self, name: str) -> EntityType:
        """The type of a collection name. Raises UnknownType."""
        if name not in entity_types():
            raise UnknownType(name)
        return route_type(self.flavor) if name == "routes" else entity_type(name)

    def workspace_of(self, entity: EntityType) -> str:
        """Where entities of this type are kept."""
        return workspace_of(entity, self.scope.workspace)

    def at(self, entity: EntityType, entity_id: str) -> EntityKey:
        """The place of an id."""
        return EntityKey(self.workspace_of(entity), entity.name, entity_id.lower())

    def parent(self, entity: EntityType, parent: Parent) -> tuple[str, EntityKey]:
        """By which field a nested entity names its parent, and who that is. Raises NotFound for the parent."""
        target = self.type(parent.type_name)
        field = next((name for name, foreign in entity.foreign.items() if foreign.target == target.name), None)
        if field is None:
            raise UnknownType(f"{target.name}/{entity.name}")
        try:
            found = self.find(target, parent.key)
        except NotFound as error:
            raise NotFound(error.kind, error.key, parent=True) from error
        if found is None:
            raise NotFound(target.name, self.named_by(target, parent.key), parent=True)
        return field, found.key

    def require(self, entity: EntityType, key: str, parent: Parent | None = None) -> EntityRow:
        """The entity at `key`. Raises NotFound, InvalidKey, InvalidPrimaryKey."""
        found = self.find(entity, key, parent)
        if found is None:
            raise NotFound(entity.name, self.named_by(entity, key), nested=parent is not None)
        return found

    def find(self, entity: EntityType, key: str, parent: Parent | None = None) -> EntityRow | None:
        """The entity at `key`; None also where it stands under another parent. Raises NotFound for the parent."""
        if parent is None:
            return self.by_id(entity, key) if is_uuid(key) else self._by_name(entity, key)
        field, target = self.parent(entity, parent)
        found = self.by_id(entity, key) if is_uuid(key) else self._by_name(entity, key, {field: target.id})
        return found if found is not None and orjson.loads(found.body).get(field) == target.id else None

    def by_id(self, entity: EntityType, entity_id: str) -> EntityRow | None:
        """The living entity of an id."""
        return self._living(self._entities.get(self.realm, self.at(entity, entity_id)))

    def by_unique(self, entity: EntityType, key: UniqueKeyRow) -> EntityRow | None:
        """The living entity that holds a unique value."""
        holder = self._entities.holder(self.realm, entity.name, key)
        return None if holder is None else self._living(self._entities.get(self.realm, holder))

    def named_by(self, entity: EntityType, key: str) -> Mapping[str, str]:
        """The field that a key is a value of, with it."""
        return {"id": key.lower()} if is_uuid(key) else {name_field(entity) or "id": key}

    def beside(self, entity: EntityType, name: str, parent: Mapping[str, str]) -> EntityRow | None:
        """The entity that `name` means beside its parent: a group of a consumer, a target of an upstream."""
        field = name_field(entity)
        if field is None:
            return None
        return self.by_unique(entity, composite_key(entity, {**parent, field: name}, self.scope.workspace))

    def _living(self, row: EntityRow | None) -> EntityRow | None:
        is_expired = row is not None and row.expires_at is not None and row.expires_at <= self.now
        return None if is_expired else row

    def _by_name(self, entity: EntityType, name: str, parent: Mapping[str, str] | None = None) -> EntityRow | None:
        if entity.name == certificate_names.CERTIFICATES:
            return self._by_certificate_name(entity, name)
        field = name_field(entity)
        if field is None:
            raise InvalidPrimaryKey({"id": "expected a valid UUID"})
        if field in entity.unique_fields:
            check_name(entity, field, name)
            return self.by_unique(entity, single_key(entity, field, name, self.scope.workspace))
        if parent is None:
            raise InvalidPrimaryKey({"id": "expected a valid UUID"})
        return self.beside(entity, name, parent)

    def _by_certificate_name(self, entity: EntityType, name: str) -> EntityRow | None:
        snis = entity_type(certificate_names.SNIS)
        check_name(snis, "name", name)
        sni = self.by_unique(snis, single_key(snis, "name", name, self.scope.workspace))
        if sni is None:
            raise NotFound(certificate_names.SNIS, {"name": name})
        return self.by_id(entity, orjson.loads(sni.body)["certificate"])
