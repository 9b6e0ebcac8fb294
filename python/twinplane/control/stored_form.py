"""Two forms of an entity: as clients see it, and as it is kept and sent to nodes. Pure.

Kept: canonical JSON (keys sorted), references as bare ids, a lifetime as the second it ends. So an export is a join of
what is kept, and reading costs one parse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from typing import Any

import orjson

from twinplane.control.scope import Row
from twinplane.registry import EntityType

LIFETIME_FIELD = "ttl"
"""Seconds left to live, where a type can expire; kept as the second in which it ends."""

TRANSIENT_FIELDS: Mapping[str, tuple[str, ...]] = {"certificates": ("snis",)}
"""Fields that answers show but no row holds: they live in entities of their own."""


def to_body(entity: EntityType, row: Mapping[str, Any], *, expires_at: float | None = None) -> str:
    """The kept form of a row."""
    kept = dict(row)
    for field in entity.foreign:
        reference = kept.get(field)
        if isinstance(reference, Mapping):
            kept[field] = reference.get("id")
    for field in TRANSIENT_FIELDS.get(entity.name, ()):
        kept.pop(field, None)
    if entity.ttl:
        kept[LIFETIME_FIELD] = None if expires_at is None else int(expires_at)
    return canonical(kept)


def to_row(entity: EntityType, body: str, *, now: float) -> Row:
    """The form that clients see."""
    row: Row = orjson.loads(body)
    for field in entity.foreign:
        reference = row.get(field)
        if reference is not None:
            row[field] = {"id": reference}
    ends_at = row.get(LIFETIME_FIELD)
    if ends_at is not None:
        row[LIFETIME_FIELD] = max(0, ceil(ends_at - now))
    return row


def canonical(value: Any) -> str:
    """JSON that is the same for the same value, whoever writes it."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        # Integers beyond 64 bits, which the fast writer refuses.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
