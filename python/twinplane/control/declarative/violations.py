"""Violations of a document in two shapes: nested as the document is, and flat by entity. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from twinplane.schema import ENTITY

Path = tuple[str | int, ...]

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def put(tree: dict[str, Any], path: Path, violation: Any) -> None:
    """Set a violation at a place; lists are filled up with None, violations of one entity are joined."""
    at: Any = tree
    for step, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        at = _child(at, step, fresh)
    last = path[-1]
    if isinstance(last, int):
        at.extend([None] * (last + 1 - len(at)))
    known = at[last] if isinstance(last, int) else at.get(last)
    if isinstance(known, dict) and isinstance(violation, Mapping):
        known.update(violation)
    else:
        at[last] = dict(violation) if isinstance(violation, Mapping) else violation


def flatten(entity: str, given: Mapping[str, Any], violation: Mapping[str, Any] | str) -> dict[str, Any]:
    """The violations of one entity as a list, with what tells which entity it is."""
    told: dict[str, Any] = {"entity_type": entity, "entity": dict(given)}
    for field, is_telling in (("id", _is_uuid), ("name", _is_text), ("tags", _is_list)):
        if is_telling(given.get(field)):
            told[f"entity_{field}"] = given[field]
    if isinstance(violation, str):
        told["errors"] = [{"type": "entity", "message": violation}]
    else:
        told["errors"] = _errors(violation, ())
    return told


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _errors(violation: Any, path: Sequence[str]) -> list[dict[str, Any]]:
    if violation is None:
        return []
    if isinstance(violation, Mapping):
        return [error for key, inner in violation.items() for error in _keyed(key, inner, path)]
    if isinstance(violation, list):
        return [
            error for position, inner in enumerate(violation, 1) for error in _errors(inner, (*path, str(position)))
        ]
    return [{"type": "field", "field": ".".join(path), "message": violation}]


def _keyed(key: str, inner: Any, path: Sequence[str]) -> list[dict[str, Any]]:
    if key != ENTITY:
        return _errors(inner, (*path, str(key)))
    messages = inner if isinstance(inner, list) else [inner]
    place = {"field": ".".join(path)} if path else {}
    return [{"type": "entity", **place, "message": message} for message in messages]


def _child(at: Any, step: str | int, fresh: Any) -> Any:
    if isinstance(step, int):
        at.extend([None] * (step + 1 - len(at)))
        if at[step] is None:
            at[step] = fresh
        return at[step]
    return at.setdefault(step, fresh)
