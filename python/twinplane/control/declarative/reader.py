"""A document to the flat form: unfolded, named, referenced, checked. Every violation of a step is told at once."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.declarative.ids import entity_id
from twinplane.control.declarative.migrate import FORMATS, NEWEST, migrate
from twinplane.control.declarative.parse import parse
from twinplane.control.declarative.unfold import Item, Unfolding
from twinplane.control.declarative.violations import flatten, put
from twinplane.control.errors import DeclarativeViolation
from twinplane.control.scope import Row
from twinplane.control.stored_form import TRANSIENT_FIELDS
from twinplane.registry import EntityType, RouterFlavor, entity_types, route_type
from twinplane.schema import SchemaViolation

_META_FIELDS = ("_format_version", "_transform", "_comment", "_ignore")
# Rows that a control plane adds to its payloads; they are no entities of a document's own. Licences of other makers
# are taken as they are.
_PASSED_ON = ("parameters", "workspaces", "licenses")
# What types change on the way in; `_transform: false` says that it was done before.
_TRANSFORMED = {
    "basicauth_credentials": ("password",),
    "oauth2_credentials": ("client_secret",),
    "ca_certificates": ("cert_digest",),
}
# A lifetime beyond this is the second in which it ends, as payloads of control planes have it.
_LIFETIME_MAX = 1_000_000_000
# The last second of the year 9999.
_SECOND_MAX = 253_402_300_799


@dataclass(frozen=True)
class Declared:
    """A checked document. `rows` are its entities as clients see them, `config_table` is what a node runs."""

    rows: Mapping[str, Sequence[Row]]
    config_table: Mapping[str, Any]

    def json(self) -> bytes:
        """The config table as a payload."""
        return orjson.dumps(self.config_table)


def read(text: bytes, *, now: float, flavor: RouterFlavor = "traditional_compatible") -> Declared:
    """Read a document from text; its routes are written for a flavour. Raises DeclarativeViolation, LimitExceeded."""
    return load(parse(text), now=now, flavor=flavor)


def load(document: Mapping[str, Any], *, now: float, flavor: RouterFlavor = "traditional_compatible") -> Declared:
    """Read a document. Raises DeclarativeViolation."""
    types = {name: entity for name, entity in entity_types().items() if name not in _PASSED_ON}
    types["routes"] = route_type(flavor)
    _check_top(document, types)
    own: dict[str, Any] = copy.deepcopy(dict(document))
    migrate(own)
    unfolding = Unfolding(types)
    for collection in types:
        if collection in own:
            unfolding.take(collection, own[collection])
    loading = _Loading(types, unfolding, now)
    rows = loading.run(transforms=own.get("_transform") is not False)
    passed_on = {name: own[name] for name in _PASSED_ON if own.get(name)}
    return Declared(rows, _config_table(types, rows, passed_on))


def _check_top(document: Mapping[str, Any], types: Mapping[str, EntityType]) -> None:
    wrong: dict[str, Any] = {
        name: "unknown field" for name in document if name not in types and name not in (*_META_FIELDS, *_PASSED_ON)
    }
    version = document.get("_format_version")
    if version is None:
        wrong["_format_version"] = "required field missing"
    elif not isinstance(version, str):
        wrong["_format_version"] = "expected a string"
    elif version not in FORMATS:
        wrong["_format_version"] = f"expected one of: {', '.join(FORMATS)}"
    if not isinstance(document.get("_transform", True), bool):
        wrong["_transform"] = "expected a boolean"
    for name in _PASSED_ON:
        try:
            orjson.dumps(document.get(name))
        except TypeError as error:
            wrong[name] = f"expected what can be written as JSON: {error}"
    if wrong:
        raise DeclarativeViolation(wrong, rest=wrong)


class _Loading:
    """The steps over the entities of one document."""

    def __init__(self, types: Mapping[str, EntityType], unfolding: Unfolding, now: float) -> None:
        self._types = types
        self._items = unfolding.items
        self._misfits = unfolding.misfits
        self._now = now
        self._by_id: dict[tuple[str, str], Item] = {}
        self._by_key: dict[tuple[str, str], Item] = {}
        self._dangling: list[tuple[Item, str, Any]] = []

    def run(self, *, transforms: bool) -> dict[str, list[Row]]:
        """Rows by collection. Raises DeclarativeViolation."""
        self._name_all()
        rows = [self._row(item) for item in self._items]
        self._raise_schema_violations()
        self._raise_dangling()
        self._raise_duplicates()
        by_type: dict[str, list[Row]] = {}
        for item, row in zip(self._items, rows, strict=True):
            if not transforms:
                row.update(
                    {name: item.given[name] for name in _TRANSFORMED.get(item.entity.name, ()) if name in item.given}
                )
            by_type.setdefault(item.entity.name, []).append(row)
        return by_type

    def _name_all(self) -> None:
        """Find references and give ids, those of parents first: ids of children are made of theirs."""
        by_type: dict[str, list[Item]] = {}
        for item in self._items:
            by_type.setdefault(item.entity.name, []).append(item)
        for name in self._types:
            for item in by_type.get(name, ()):
                self._refer(item)
                given_id = item.given.get("id")
                if isinstance(given_id, str):
                    item.id = given_id.lower()
                else:
                    item.id = entity_id(item.entity, item.given, item.references)
                self._by_id.setdefault((name, item.id), item)
                key = item.entity.endpoint_key
                if key is not None and isinstance(item.given.get(key), str):
                    self._by_key.setdefault((name, item.given[key]), item)

    def _refer(self, item: Item) -> None:
        for field, foreign in item.entity.foreign.items():
            if field == item.parent_field and item.parent is not None:
                item.references[field] = item.parent.id
                continue
            given = item.given.get(field)
            named = given.get("id") if isinstance(given, Mapping) else given
            if not isinstance(named, str):
                continue
            target = self._by_id.get((foreign.target, named.lower())) or self._by_key.get((foreign.target, named))
            if target is None:
                self._dangling.append((item, field, given))
                # Something of the right form, so that the other checks can go on.
                item.references[field] = str(uuid.uuid4())
            else:
                item.references[field] = target.id

    def _row(self, item: Item) -> Row:
        body = {**item.given, "id": item.given.get("id") if item.has_own_id else item.id}
        for field, reference in item.references.items():
            # What is nested is checked by itself: a plugin that takes no consumer may stand in one without an id.
            is_left_out = (
                field == item.parent_field
                and item.parent is not None
                and not item.parent.has_own_id
                and not item.entity.foreign[field].required
            )
            if is_left_out:
                body.pop(field, None)
            else:
                body[field] = {"id": reference}
        lifetime = body.pop("ttl", None) if item.entity.ttl else None
        # Not a number is beyond any bound.
        if isinstance(lifetime, int | float) and not -_SECOND_MAX <= lifetime <= _SECOND_MAX:
            item.violations["ttl"] = f"value should be between 0 and {_SECOND_MAX}"
            lifetime = None
        try:
            row = item.entity.prepare_insert(body, now=self._now)
        except SchemaViolation as violation:
            item.violations = {**violation.errors, **item.violations}
            return body
        for field, reference in item.references.items():
            row[field] = {"id": reference}
        if isinstance(item.given.get("updated_at"), int) and "updated_at" in row:
            row["updated_at"] = item.given["updated_at"]
        if item.entity.ttl:
            row["ttl"] = self._ends_at(lifetime)
        return row

    def _ends_at(self, lifetime: Any) -> int | None:
        if not isinstance(lifetime, int | float):
            return None
        return int(lifetime if lifetime > _LIFETIME_MAX else self._now + lifetime)

    def _raise_schema_violations(self) -> None:
        nested: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        flat = []
        for path, misfit in self._misfits:
            put(nested, path, misfit)
            put(rest, path, misfit)
        for item in self._items:
            if item.violations:
                put(nested, item.path, item.violations)
                flat.append(flatten(item.entity.singular, item.given, item.violations))
        if nested:
            raise DeclarativeViolation(nested, flat, rest)

    def _raise_dangling(self) -> None:
        nested: dict[str, Any] = {}
        for item, field, given in self._dangling:
            shown = given if isinstance(given, str) else _plain_json(given)
            target = item.entity.foreign[field].target
            text = f"invalid reference '{field}: {shown}' (no such entry in '{target}')"
            nested.setdefault(item.entity.name, {}).setdefault(item.key, []).append(text)
        if nested:
            raise DeclarativeViolation(nested)

    def _raise_duplicates(self) -> None:
        nested: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        flat = []
        held: dict[tuple[str, ...], Item] = {}
        for item in self._items:
            found = _duplicate(item, held)
            if found is None:
                continue
            field, value = found
            name = item.entity.name
            text = f"uniqueness violation: '{name}' entity with {field} set to '{value}' already declared"
            is_by_place = field in ("primary key", item.entity.endpoint_key)
            put(nested, (name, item.path[-1] if is_by_place else item.key), text)
            if not is_by_place:
                continue
            if item.parent is None:
                flat.append(flatten(item.entity.singular, {**item.given, "id": item.id}, text))
            else:
                put(rest, (name, item.path[-1]), text)
        if nested:
            raise DeclarativeViolation(nested, flat, rest)


def _plain_json(given: Any) -> str:
    """JSON for people, whatever a document holds: integers of any size, keys of any type."""
    return json.dumps(given, separators=(",", ":"), ensure_ascii=False, default=str)


def _duplicate(item: Item, held: dict[tuple[str, ...], Item]) -> tuple[str, str] | None:
    """The first field whose value an earlier entity holds; else note all that this one holds."""
    entity = item.entity
    holds: list[tuple[tuple[str, ...], tuple[str, str]]] = []
    for field in entity.unique_fields:
        value = item.given.get(field)
        if value is not None:
            holds.append(((entity.name, field, str(value)), (field, str(value))))
    for fields in (*entity.composite_unique, *([entity.cache_key] if len(entity.cache_key) > 1 else [])):
        parts = [str(item.references.get(field, item.given.get(field) or "")) for field in fields]
        holds.append(((entity.name, "+".join(fields), *parts), ("primary key", item.id)))
    holds.append(((entity.name, "id", item.id), ("primary key", item.id)))
    for place, told in holds:
        if place in held:
            return told
    held.update((place, item) for place, _ in holds)
    return None


def _config_table(
    types: Mapping[str, EntityType], rows: Mapping[str, Sequence[Row]], passed_on: Mapping[str, Any]
) -> dict[str, Any]:
    """What a node runs: without what is switched off and what stands on it, references as bare ids."""
    left_out: set[tuple[str, str]] = set()
    table: dict[str, Any] = {"_format_version": NEWEST, "_transform": False, **passed_on}
    for name, entity in types.items():
        kept = []
        for row in rows.get(name, ()):
            if row.get("enabled") is False or any((t, i) in left_out for t, i in _targets(entity, row)):
                left_out.add((name, row["id"]))
            else:
                transient = TRANSIENT_FIELDS.get(name, ())
                kept.append({f: _bare(entity, f, value) for f, value in row.items() if f not in transient})
        if kept:
            table[name] = kept
    return table


def _targets(entity: EntityType, row: Row) -> Iterable[tuple[str, str]]:
    for field, foreign in entity.foreign.items():
        if row.get(field) is not None:
            yield foreign.target, row[field]["id"]


def _bare(entity: EntityType, field: str, value: Any) -> Any:
    return value["id"] if field in entity.foreign and value is not None else value
