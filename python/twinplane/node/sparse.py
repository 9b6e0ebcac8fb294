"""Fills in what a sparse configuration table leaves out, by the reading of declarative documents.

Control planes of other makers send rows without what is unset, or nested, or by name; the core wants every field of
every row, flat.
"""

from __future__ import annotations

import time

import orjson

from twinplane.control.errors import DeclarativeViolation
from twinplane.node.errors import PayloadRefused


def complete_table(table: bytes) -> bytes:
    """The table with every field of every row. Raises PayloadRefused with every violation."""
    # Loaded where it is needed: a node of a twinplane control plane spares the memory of all declarations.
    from twinplane.control import declarative  # noqa: PLC0415

    document = orjson.loads(table)
    if not isinstance(document, dict):
        raise PayloadRefused([{"message": "the configuration is not an object"}])
    try:
        return declarative.load(document, now=time.time()).json()
    except DeclarativeViolation as violation:
        raise PayloadRefused(faults_of(violation)) from violation


def faults_of(violation: DeclarativeViolation) -> list[dict[str, object]]:
    """Each violation of a document as a fault of a payload."""
    faults: list[dict[str, object]] = []
    for entry in violation.flattened:
        for error in entry["errors"]:
            fault: dict[str, object] = {"entity": f"{entry['entity_type']}s", "message": error["message"]}
            fault |= {"id": entry["entity_id"]} if entry.get("entity_id") else {}
            fault |= {"field": error["field"]} if error.get("field") else {}
            faults.append(fault)
    return faults or [{"message": f"declarative config is invalid: {dict(violation.fields)}"}]
