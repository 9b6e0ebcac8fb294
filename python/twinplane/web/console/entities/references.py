"""References in forms: what they may name, found by typing where there are too many for a list, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinplane.control import Scope
from twinplane.control.change import Changes
from twinplane.control.errors import ControlError
from twinplane.control.naming import is_uuid
from twinplane.registry import EntityType, entity_type
from twinplane.web.console.entities.inputs import UNSET, Input
from twinplane.web.console.entities.kinds import KINDS, name_of

LISTED_MAX = 100
"""Entities that a form lists to choose from; of more, one is found by typing."""

FOUND_MAX = 20


def offer(changes: Changes, scope: Scope, inputs: Sequence[Input]) -> None:
    """Give references the rows that they may name, or the way to find one."""
    wanted = [one for one in inputs if one.kind == "reference" and one.target]
    counts = changes.counts(scope, sorted({one.target for one in wanted}))
    for one in wanted:
        if counts[one.target] <= LISTED_MAX:
            rows = changes.page(scope, one.target, size=LISTED_MAX).rows
            options = sorted(((str(row["id"]), name_of(row)) for row in rows), key=lambda option: option[1])
            one.options = [(UNSET, "not set"), *options]
        else:
            one.hint = f"Type a part of it, or the id; there are {counts[one.target]:,}"
            one.value = _shown(changes, scope, one.target, one.value)


def found(changes: Changes, scope: Scope, collection: str, text: str) -> list[tuple[str, str]]:
    """What a text leads to: what to put into the input, and how it is shown."""
    rows = changes.find(scope, collection, text, size=FOUND_MAX).rows
    return [(_key(entity_type(collection), row), _described(row)) for row in rows]


def resolve(
    changes: Changes, scope: Scope, entity: EntityType, body: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body with references by name turned into ids, and problems of names that nobody bears."""
    known, problems = dict(body), {}
    for field, foreign in entity.foreign.items():
        given = body.get(field)
        text = str(given.get("id", "")) if isinstance(given, Mapping) else ""
        if not text or is_uuid(text):
            continue
        try:
            known[field] = {"id": changes.get(scope, foreign.target, text)["id"]}
        except ControlError:
            kind = KINDS[foreign.target].singular.lower() if foreign.target in KINDS else "entity"
            problems[field] = f"there is no {kind} of this name or id"
    return known, problems


def _shown(changes: Changes, scope: Scope, collection: str, value: str) -> str:
    """An id as people name it; what is no id, or of nobody, as it is."""
    rows = changes.several(scope, {collection: [value]}) if is_uuid(value) else {}
    return next((_key(entity_type(collection), row) for row in rows.values()), value)


def _key(entity: EntityType, row: Mapping[str, Any]) -> str:
    name = row.get(entity.endpoint_key) if entity.endpoint_key in entity.unique_fields else None
    return name if isinstance(name, str) and name else str(row["id"])


def _described(row: Mapping[str, Any]) -> str:
    """A row for choosing: its name, and what tells it from others."""
    more = [str(row.get(field)) for field in ("host", "custom_id", "paths", "hosts") if row.get(field)]
    return " · ".join([name_of(row), *more])[:120]
