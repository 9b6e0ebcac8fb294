"""The entities of one declarative configuration, to be found as those of a store are: by id, name, parent, tag.

Rows are kept as text, so that a large configuration costs little more than its size. Never changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from twinplane.control.declarative.migrate import NEWEST
from twinplane.control.errors import InvalidPrimaryKey, NotFound, UnknownType
from twinplane.control.naming import check_name, is_uuid, name_field
from twinplane.control.paging import TagFilter
from twinplane.control.scope import Parent, Row
from twinplane.control.stored_form import LIFETIME_FIELD, to_body, to_row
from twinplane.registry import EntityType, RouterFlavor, entity_type, entity_types, route_type

_CERTIFICATES, _SNIS = "certificates", "snis"
_Name = tuple[str, str, str | None]
"""Field, its value, and the parent beside whose children it is unique."""


class TagRow(NamedTuple):
    """One tag of one entity, at its place among all."""

    id: str
    position: int
    tag: str
    type_name: str


@dataclass(slots=True)
class _Collection:
    """The entities of one type."""

    bodies: dict[str, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    names: dict[_Name, str] = field(default_factory=dict)
    under: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    tagged: dict[str, list[str]] = field(default_factory=dict)


class DeclaredEntities:
    """What `control.declarative` has read, by collection."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], flavor: RouterFlavor = "traditional_compatible") -> None:
        self.flavor: RouterFlavor = flavor
        self._collections: dict[str, _Collection] = {}
        self._tags: list[TagRow] = []
        for name in entity_types():
            collection = self._collections[name] = _Collection()
            for row in rows.get(name, ()):
                self._take(collection, self.type(name), row)
            collection.ids.sort()
            for ids in (*collection.under.values(), *collection.tagged.values()):
                ids.sort()
        self._tags.sort()

    def type(self, name: str) -> EntityType:
        """The type of a collection name. Raises UnknownType."""
        if name not in entity_types():
            raise UnknownType(name)
        return route_type(self.flavor) if name == "routes" else entity_type(name)

    def types(self) -> Iterable[str]:
        """The names of all collections."""
        return self._collections.keys()

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not any(collection.ids for collection in self._collections.values())

    def count(self, name: str) -> int:
        """How many entities a collection has."""
        return len(self._collections[name].ids)

    def all(self, name: str, *, now: float) -> Iterator[Row]:
        """The living entities of a collection, by id."""
        collection, entity = self._collections[name], self.type(name)
        for entity_id in collection.ids:
            row = self._row(entity, collection.bodies[entity_id], now)
            if row is not None:
                yield row

    def require(self, entity: EntityType, key: str, parent: Parent | None, *, now: float) -> Row:
        """The entity at `key`. Raises NotFound, InvalidKey, InvalidPrimaryKey."""
        found = self.find(entity, key, parent, now=now)
        if found is None:
            raise NotFound(entity.name, named_by(entity, key), nested=parent is not None)
        return found

    def find(self, entity: EntityType, key: str, parent: Parent | None, *, now: float) -> Row | None:
        """The entity at `key`; None also where it stands under another parent. Raises NotFound for the parent."""
        if parent is None:
            return self.by_id(entity, key, now=now) if is_uuid(key) else self._by_name(entity, key, None, now)
        place, target = self.parent(entity, parent, now=now)
        found = self.by_id(entity, key, now=now) if is_uuid(key) else self._by_name(entity, key, target, now)
        is_its_own = found is not None and found.get(place) == {"id": target}
        return found if is_its_own else None

    def by_id(self, entity: EntityType, entity_id: str, *, now: float) -> Row | None:
        """The living entity of an id."""
        body = self._collections[entity.name].bodies.get(entity_id.lower())
        return None if body is None else self._row(entity, body, now)

    def parent(self, entity: EntityType, parent: Parent, *, now: float) -> tuple[str, str]:
        """By which field a nested entity names its parent, and the parent's id. Raises NotFound for the parent."""
        target = self.type(parent.type_name)
        place = next((name for name, foreign in entity.foreign.items() if foreign.target == target.name), None)
        if place is None:
            raise UnknownType(f"{target.name}/{entity.name}")
        try:
            found = self.find(target, parent.key, None, now=now)
        except NotFound as error:
            raise NotFound(error.kind, error.key, parent=True) from error
        if found is None:
            raise NotFound(target.name, named_by(target, parent.key), parent=True)
        return place, str(found["id"])

    def named(self, entity: EntityType, name: str) -> str | None:
        """The id of the entity that bears a name among all of its type."""
        return self._collections[entity.name].names.get((entity.endpoint_key or "", name, None))

    def unique(self, entity: EntityType, place: str, value: str, *, now: float) -> Row | None:
        """The entity that holds the value of a unique field."""
        found = self._collections[entity.name].names.get((place, value, None))
        return None if found is None else self.by_id(entity, found, now=now)

    def page(
        self,
        entity: EntityType,
        *,
        after: str,
        size: int,
        now: float,
        under: tuple[str, str] | None = None,
        tags: TagFilter | None = None,
    ) -> tuple[list[Row], bool]:
        """Entities by id, past `after`, and whether more follow."""
        collection = self._collections[entity.name]
        if under is not None:
            ids: Sequence[str] = collection.under.get(under, ())
        elif tags is not None:
            ids = self._tagged(collection, tags)
        else:
            ids = collection.ids
        rows: list[Row] = []
        for entity_id in ids[bisect_right(ids, after) :]:
            row = self._row(entity, collection.bodies[entity_id], now)
            if row is None:
                continue
            if len(rows) == size:
                return rows, True
            rows.append(row)
        return rows, False

    def tags(self, tag: str | None, *, after: tuple[str, int], limit: int) -> list[TagRow]:
        """Tags of all entities, or where one of them is, past a place."""
        found: list[TagRow] = []
        for row in self._tags[bisect_right(self._tags, (*after, "\U0010ffff")) :]:
            if tag is None or row.tag == tag:
                found.append(row)
            if len(found) == limit:
                break
        return found

    def document(self, *, now: float) -> dict[str, Any]:
        """The whole as a document that reads back to the same: flat, ids and all, secrets as they are kept."""
        document: dict[str, Any] = {"_format_version": NEWEST, "_transform": False}
        for name, collection in self._collections.items():
            entity = self.type(name)
            living = [
                _whole(entity, orjson.loads(collection.bodies[entity_id]))
                for entity_id in collection.ids
                if self._row(entity, collection.bodies[entity_id], now) is not None
            ]
            if living:
                document[name] = living
        return document

    def _take(self, collection: _Collection, entity: EntityType, row: Row) -> None:
        entity_id = row["id"]
        ends_at = row.get(LIFETIME_FIELD) if entity.ttl else None
        collection.ids.append(entity_id)
        collection.bodies[entity_id] = to_body(entity, row, expires_at=ends_at)
        for place in entity.foreign:
            if row.get(place) is not None:
                collection.under.setdefault((place, row[place]["id"]), []).append(entity_id)
        for position, tag in enumerate(row.get("tags") or ()):
            self._tags.append(TagRow(entity_id, position, tag, entity.name))
            collection.tagged.setdefault(tag, []).append(entity_id)
        collection.names.update((name, entity_id) for name in _names(entity, row))

    def _row(self, entity: EntityType, body: str, now: float) -> Row | None:
        row = to_row(entity, body, now=now)
        if entity.ttl and row[LIFETIME_FIELD] is None:
            # Without a database a real node shows a lifetime only where there is one (vectors: config/post-json).
            del row[LIFETIME_FIELD]
        elif entity.ttl and row[LIFETIME_FIELD] == 0:
            return None
        if entity.name == _CERTIFICATES:
            row["snis"] = sorted(self._names_of_certificate(row["id"]))
        return row

    def _names_of_certificate(self, certificate: str) -> Iterator[str]:
        snis = self._collections[_SNIS]
        for entity_id in snis.under.get(("certificate", certificate), ()):
            yield orjson.loads(snis.bodies[entity_id])["name"]

    def _by_name(self, entity: EntityType, name: str, parent: str | None, now: float) -> Row | None:
        if entity.name == _CERTIFICATES:
            return self._by_certificate_name(entity, name, now)
        place = name_field(entity)
        if place is None:
            raise InvalidPrimaryKey({"id": "expected a valid UUID"})
        names = self._collections[entity.name].names
        if place in entity.unique_fields:
            check_name(entity, place, name)
            found = names.get((place, name, None))
        elif parent is None:
            raise InvalidPrimaryKey({"id": "expected a valid UUID"})
        else:
            found = names.get((place, name, parent))
        return None if found is None else self.by_id(entity, found, now=now)

    def _by_certificate_name(self, entity: EntityType, name: str, now: float) -> Row | None:
        snis = entity_type(_SNIS)
        check_name(snis, "name", name)
        found = self._collections[_SNIS].names.get(("name", name, None))
        if found is None:
            raise NotFound(_SNIS, {"name": name})
        return self.by_id(entity, orjson.loads(self._collections[_SNIS].bodies[found])["certificate"], now=now)

    def _tagged(self, collection: _Collection, wanted: TagFilter) -> Sequence[str]:
        found = [set(collection.tagged.get(tag, ())) for tag in wanted.tags]
        return sorted(set.intersection(*found) if wanted.match_all else set.union(*found))


def named_by(entity: EntityType, key: str) -> Mapping[str, str]:
    """The field that a key is a value of, with it."""
    return {"id": key.lower()} if is_uuid(key) else {name_field(entity) or "id": key}


def _whole(entity: EntityType, body: dict[str, Any]) -> dict[str, Any]:
    """A body as documents hold it: what Kong 3.9 does not know is named only where it says something."""

    def is_told(name: str, value: Any) -> bool:
        if name in entity.beyond:
            return bool(value) and value != entity.fields[name].default
        return value is not None or name != LIFETIME_FIELD

    return {name: value for name, value in body.items() if is_told(name, value)}


def _names(entity: EntityType, row: Row) -> Iterable[_Name]:
    for place in entity.unique_fields:
        if isinstance(row.get(place), str):
            yield place, row[place], None
    place = name_field(entity) or ""
    if place not in entity.unique_fields and isinstance(row.get(place), str):
        for foreign in entity.foreign:
            if row.get(foreign) is not None:
                yield place, row[place], row[foreign]["id"]
