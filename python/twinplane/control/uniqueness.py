"""What no two entities of a type may share: single fields, and sets of fields taken together. Pure.

The store keeps one row for each value held; its primary key is what forbids a second holder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.naming import unique_sets
from twinplane.registry import EntityType
from twinplane.store.sql import SHARED_BY_ALL, UniqueKeyRow

# Longer values are kept as digests: an index of any database takes them, however long a name is.
_VALUE_LENGTH_MAX = 200

# A plugin's scope is told before its instance name; see vectors/admin, `plugins/create-duplicate-key`.
_SETS_FIRST = frozenset({"plugins"})


@dataclass(frozen=True, slots=True)
class Claim:
    """One value that an entity holds, and the fields to name where another holds it already."""

    key: UniqueKeyRow
    fields: Mapping[str, Any]


def claims(entity: EntityType, row: Mapping[str, Any], workspace: str) -> list[Claim]:
    """Everything unique that a row holds, in the order in which violations are told."""
    singles = [
        Claim(single_key(entity, field, row[field], workspace), {field: row[field]})
        for field in entity.unique_fields
        if row.get(field) is not None
    ]
    together = []
    for fields in unique_sets(entity):
        parts = {field: row.get(field) for field in fields}
        told = {field: value for field, value in parts.items() if value is not None or field not in entity.beyond}
        together.append(Claim(composite_key(entity, parts, workspace), told))
    return [*together, *singles] if entity.name in _SETS_FIRST else [*singles, *together]


def single_key(entity: EntityType, field: str, value: Any, workspace: str) -> UniqueKeyRow:
    """The row that holds the value of one unique field."""
    is_shared = not entity.workspaced or field in entity.unique_across_workspaces
    return UniqueKeyRow(SHARED_BY_ALL if is_shared else workspace, field, _text(_bare(value)))


def composite_key(entity: EntityType, parts: Mapping[str, Any], workspace: str) -> UniqueKeyRow:
    """The row that holds a set of fields; absent parts count as a value."""
    fields = sorted(parts)
    values = orjson.dumps([_bare(parts[field]) for field in fields]).decode()
    return UniqueKeyRow(workspace if entity.workspaced else SHARED_BY_ALL, "+".join(fields), _text(values))


def _bare(value: Any) -> Any:
    return value.get("id") if isinstance(value, Mapping) else value


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if len(text) > _VALUE_LENGTH_MAX or "\x00" in text:
        return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return text
