"""The schemas we serve, held against those of a real Kong 3.9.3. Descriptions are ours; order means nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.known_differences import known_differences
from tests.conformance.schema.recording import SHARED

from twinplane.registry import entity_type, plugin_type, plugin_types

SERVED = SHARED / "kong-3.9.3"
SUITE = "served-schemas"

pytestmark = pytest.mark.skipif(not SERVED.exists(), reason=f"recorded schemas are not at {SERVED}")


def recorded(kind: str) -> dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (SERVED / "schemas" / kind).glob("*.json")
    }


def settled(value: Any) -> Any:
    """A schema without texts of its own, with fields by name and without what says nothing."""
    if isinstance(value, list):
        return [settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, inner in value.items():
        if (key == "description" and isinstance(inner, str)) or (key in ("required", "unique") and inner is False):
            continue
        if (key == "default" and inner is None) or (key == "entity_checks" and not inner):
            continue
        if key in ("fields", "shorthand_fields"):
            out[key] = {name: settled(field) for entry in inner for name, field in entry.items()}
        else:
            out[key] = settled(inner)
    return out


def differences(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in ours or key not in theirs:
                yield f"{path}.{key}"
            else:
                yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif ours != theirs:
        yield path


def test_entities_are_served_as_recorded() -> None:
    found = [
        place
        for name, schema in recorded("entities").items()
        for place in differences(settled(entity_type(name).kong_schema()), settled(schema), name)
    ]
    assert sorted(found) == sorted(
        place for place in known_differences(SUITE) if place.partition(".")[0] not in plugin_types()
    )


def test_plugins_are_served_as_recorded() -> None:
    found = [
        place
        for name, schema in recorded("plugins").items()
        for place in differences(settled(plugin_type(name).kong_schema()), settled(schema), name)
    ]
    assert sorted(found) == sorted(
        place for place in known_differences(SUITE) if place.partition(".")[0] in plugin_types()
    )


def test_bundled_plugins_have_their_versions_and_priorities() -> None:
    theirs = json.loads((SERVED / "plugins.json").read_text(encoding="utf-8"))
    ours = {name: {"priority": plugin.priority, "version": plugin.version} for name, plugin in plugin_types().items()}
    assert ours == theirs


def test_the_folder_of_recordings_is_whole() -> None:
    assert len(recorded("plugins")) == 45
    assert Path(SERVED / "README.md").exists()
