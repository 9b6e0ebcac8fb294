"""Fills in what a sparse configuration table leaves out, through the same declarations as the APIs.

Control planes of other makers send rows without what is unset; the core wants every field of every row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from twinplane.node.errors import PayloadRefused
from twinplane.registry import EntityType, entity_types
from twinplane.schema import SchemaViolation

_HEADS = frozenset({"_format_version", "_transform", "_comment", "_ignore"})
# Rows of the protocol itself: no API takes them in, so there is nothing to check them by.
_AS_THEY_COME = frozenset({"workspaces", "parameters"})


def complete_table(table: bytes) -> bytes:
    """The table with every field of every row. Raises PayloadRefused with every violation."""
    document = orjson.loads(table)
    if not isinstance(document, dict):
        raise PayloadRefused([{"message": "the configuration is not an object"}])
    faults: list[dict[str, Any]] = []
    complete: dict[str, Any] = {}
    now = time.time()
    for name, rows in document.items():
        if name in _HEADS or name in _AS_THEY_COME:
            complete[name] = rows
        elif name not in entity_types():
            faults.append({"entity": name, "message": f"unknown collection '{name}'"})
        else:
            # An empty list and an empty object look alike to some senders; null means the same.
            given = rows if isinstance(rows, list) else []
            complete[name] = [_complete_row(entity_types()[name], row, now, faults) for row in given]
    if faults:
        raise PayloadRefused(faults)
    return orjson.dumps(complete)


def _complete_row(
    entity: EntityType, row: Mapping[str, Any], now: float, faults: list[dict[str, Any]]
) -> dict[str, Any]:
    body = dict(row)
    for field in entity.foreign:
        if isinstance(body.get(field), str):
            body[field] = {"id": body[field]}
    try:
        prepared = entity.prepare_insert(body, now=now)
    except SchemaViolation as violation:
        faults.append({"entity": entity.name, "id": row.get("id"), "message": violation.message()})
        return {}
    for field in entity.foreign:
        reference = prepared.get(field)
        prepared[field] = reference["id"] if isinstance(reference, dict) else reference
    return {**prepared, **{name: row[name] for name in ("created_at", "updated_at") if name in row}}
