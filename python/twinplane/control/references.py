"""References between entities: resolved from names, checked for existence, and followed when something goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.control import certificate_names
from twinplane.control.errors import (
    ForeignKeysUnresolved,
    ForeignKeyViolation,
    ReferencedViolation,
    StillReferenced,
)
from twinplane.control.stored_form import to_row
from twinplane.control.uniqueness import single_key
from twinplane.registry import EntityType, OnDelete, entity_type
from twinplane.schema import SchemaViolation
from twinplane.store.sql import SHARED_BY_ALL, EntityKey, EntityTable, Realm, ReferenceRow, Referrer

# Lists of ids that are no foreign keys, but whose targets must not go while they are named.
_LISTED_TARGET = "ca_certificates"
_LISTED_IN = ("services", "plugins")


def workspace_of(entity: EntityType, workspace: str) -> str:
    """Where entities of a type are kept: in the caller's workspace, or in what all workspaces share."""
    return workspace if entity.workspaced else SHARED_BY_ALL


def resolve(entities: EntityTable, realm: Realm, workspace: str, entity: EntityType, body: dict[str, Any]) -> None:
    """Turn references by name (`{"name": "orders"}`) into references by id, in place. Raises ForeignKeysUnresolved."""
    unresolved: dict[str, tuple[str, Any, str]] = {}
    for field, foreign in entity.foreign.items():
        given = body.get(field)
        target = entity_type(foreign.target)
        key = target.endpoint_key
        if not isinstance(given, Mapping) or "id" in given or key is None or key not in given:
            continue
        name = given[key]
        if not isinstance(name, str) or not name:
            raise SchemaViolation({field: {key: "length must be at least 1" if name == "" else "expected a string"}})
        holder = entities.holder(realm, target.name, single_key(target, key, name, workspace))
        if holder is None:
            unresolved[field] = (key, name, target.name)
        else:
            body[field] = {"id": holder.id}
    if unresolved:
        raise ForeignKeysUnresolved(unresolved)


def told_precisely(entity: EntityType, given: Mapping[str, Any], errors: Mapping[str, Any]) -> dict[str, Any]:
    """Violations with the fields named that a reference gives and its target does not know."""
    told = dict(errors)
    for field, foreign in entity.foreign.items():
        reference = given.get(field)
        if isinstance(reference, Mapping) and "id" not in reference and isinstance(told.get(field), Mapping):
            unknown = [name for name in reference if name not in entity_type(foreign.target).fields]
            if unknown:
                told[field] = dict.fromkeys(unknown, "unknown field")
    return told


def reference_rows(entity: EntityType, row: Mapping[str, Any], workspace: str) -> list[ReferenceRow]:
    """Every reference that a row sets."""
    found = []
    for field, foreign in entity.foreign.items():
        reference = row.get(field)
        if reference is not None:
            target = entity_type(foreign.target)
            key = EntityKey(workspace_of(target, workspace), target.name, reference["id"])
            found.append(ReferenceRow(field, key))
    return found


def check_targets(entities: EntityTable, realm: Realm, references: list[ReferenceRow]) -> None:
    """Raise ForeignKeyViolation for the first reference to something that is not there."""
    for reference in references:
        if not entities.exists(realm, reference.target):
            raise ForeignKeyViolation(reference.field, reference.target.type, {"id": reference.target.id})


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion means: `doomed` goes, children first; `emptied` fields of others lose their reference."""

    doomed: Sequence[EntityKey]
    emptied: Sequence[tuple[EntityKey, str]]


def plan_deletion(entities: EntityTable, realm: Realm, key: EntityKey) -> Deletion:
    """Follow every reference to an entity. Raises ReferencedViolation where something that stays names what goes."""
    seen: set[EntityKey] = set()
    doomed: list[EntityKey] = []
    emptied: dict[tuple[EntityKey, str], None] = {}
    restricting: list[tuple[EntityKey, EntityKey]] = []

    def visit(target: EntityKey) -> None:
        seen.add(target)
        for referrer in entities.referrers(realm, target):
            rule = _rule(referrer)
            if rule == "null":
                emptied[(referrer.key, referrer.field)] = None
            elif rule != "cascade":
                restricting.append((target, referrer.key))
            elif referrer.key not in seen:
                visit(referrer.key)
        doomed.append(target)

    visit(key)
    for target, referrer_key in restricting:
        if referrer_key not in seen:
            raise ReferencedViolation(target.type, referrer_key.type)
    return Deletion(doomed, [(owner, field) for owner, field in emptied if owner not in seen])


def _rule(referrer: Referrer) -> OnDelete:
    """What becomes of a referrer. The names of a certificate go with it: clients see them as a field of it."""
    if (referrer.key.type, referrer.field) == (certificate_names.SNIS, certificate_names.REFERENCE):
        return "cascade"
    return entity_type(referrer.key.type).foreign[referrer.field].on_delete


def check_not_listed(entities: EntityTable, realm: Realm, key: EntityKey) -> None:
    """Raise StillReferenced while a service or a plugin lists this CA certificate."""
    if key.type != _LISTED_TARGET:
        return
    for row in entities.mentioning(realm, _LISTED_IN, key.id):
        body = to_row(entity_type(row.key.type), row.body, now=0.0)
        listed = [*(body.get(_LISTED_TARGET) or ()), *((body.get("config") or {}).get(_LISTED_TARGET) or ())]
        if key.id in listed:
            raise StillReferenced(key.type, key.id, row.key.type, row.key.id)
