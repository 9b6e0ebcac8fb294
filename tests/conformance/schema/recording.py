"""The recorded answers of a real Kong's schema code, and how ours are compared with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinplane.registry import EntityType, entity_type, route_type
from twinplane.schema import SchemaViolation, Shape

SHARED = Path(__file__).parents[4] / "shared"
VECTORS = SHARED / "vectors" / "schema.jsonl"

# The legacy flavour; it may be left out (its rules are those of the compatible one but for look-around in regexes).
LEGACY = "(flavor = traditional)"


@dataclass(frozen=True, slots=True)
class Case:
    """One call of the schema code and what came of it."""

    id: str
    schema: str
    call: str
    context: str | None
    source: str
    input: dict[str, Any]
    expected: Any

    @property
    def type(self) -> EntityType:
        """The collection, as the router flavour of the case knows it."""
        if self.schema == "routes":
            return route_type("expressions" if "flavor = expressions" in self.source else "traditional_compatible")
        return entity_type(self.schema)


def cases() -> Iterator[Case]:
    """Every recorded case but those of the legacy flavour."""
    with VECTORS.open(encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            if LEGACY in case["source"]:
                continue
            given = case["input"]
            if case.get("string_encoding") == "latin1":
                given = _decoded(given)
            expected = case["output"] if case["call"] == "process_auto_fields" else case.get("errors") or {}
            yield Case(case["id"], case["schema"], case["call"], case.get("context"), case["source"], given, expected)


def _decoded(value: Any) -> Any:
    """Bytes that are no UTF-8 were recorded as Latin-1; ours would carry them as surrogates."""
    if isinstance(value, str):
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    return value


def difference(case: Case) -> str | None:
    """How our answer differs, or None."""
    found, expected = _settled(_found(case)), _settled(case.expected)
    if found == expected:
        return None
    return f"{case.source}: {found!r} is not {expected!r}"


def _found(case: Case) -> dict[str, Any]:
    if case.schema in _FILLED_FIRST and case.call == "validate":
        return case.type.violations(case.type.shape.fill(case.input))
    if case.call != "process_auto_fields":
        return case.type.violations(case.input)
    shape = _shape(case)
    row = shape.fill(case.input) if case.context == "insert" else shape.fill_given(case.input)
    return {name: value for name, value in row.items() if name not in case.type.beyond}


def _shape(case: Case) -> Shape:
    try:
        return case.type.shape_for(case.input)
    except SchemaViolation:
        return case.type.shape


def _settled(value: Any) -> Any:
    """Lists and tables in one form, without what is filled in anew at each call."""
    if isinstance(value, list):
        value = {str(place): item for place, item in enumerate(value, 1) if item is not None}
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items() if key not in _MADE_UP and item not in ({}, [])}
    return value


# These were validated by a function that fills defaults in before.
_FILLED_FIRST = ("upstreams",)
_MADE_UP = ("id", "created_at", "updated_at")
