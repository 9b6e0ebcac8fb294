"""Documents that a real node was given, and what it said of them; read from the recordings where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from twinplane.control.declarative import load
from twinplane.control.errors import DeclarativeViolation

FOLDER = Path(__file__).resolve().parents[5] / "shared" / "vectors" / "admin"
NOW = 1_800_000_000.0

# Where the real node crashes, or shows how it is made, an answer of our own is right.
DIFFERENT = {
    "config/load-certificate-bad": "texts of a TLS library; names of a certificate are checked with it, not after it",
    "config/load-route-regex-bad": "text of a regular expression library",
    "config/load-ref-by-name-object": "the real node blames the service that is named, not the route that names it",
}

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"recordings are not at {FOLDER}")


def _cases() -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any], bool]]:
    if not FOLDER.exists():
        return
    fixtures = json.loads((FOLDER / "fixtures.json").read_text())
    with (FOLDER / "dbless.jsonl").open() as lines:
        for line in lines:
            case = json.loads(line)
            if not case["id"].startswith(("config/load-", "config/format-", "config/meta-")):
                continue
            for step in case["steps"][1:]:
                document = _filled(step["request"].get("body"), fixtures)
                flat = "flatten_errors=1" in step["request"]["path"]
                if step["request"]["method"] == "POST" and isinstance(document, dict):
                    yield case["id"], document, _filled(step["response"], fixtures), flat


def _filled(value: Any, fixtures: Mapping[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("$fx_"):
        return fixtures[value.removeprefix("$")]
    if isinstance(value, dict):
        return {key: _filled(inner, fixtures) for key, inner in value.items()}
    return [_filled(inner, fixtures) for inner in value] if isinstance(value, list) else value


def _same(expected: Any, got: Any) -> bool:
    """Equal, where `$…` in the recording stands for anything and lists of violations come in any order."""
    if isinstance(expected, str) and "$" in expected:
        return isinstance(got, str | int | float)
    if isinstance(expected, dict) and isinstance(got, Mapping):
        if any(key.startswith("$") for key in expected):
            return len(expected) == len(got)
        return expected.keys() == got.keys() and all(_same(expected[key], got[key]) for key in expected)
    if isinstance(expected, list) and isinstance(got, list | tuple):
        left = list(got)
        for one in expected:
            found = next((other for other in left if _same(one, other)), _ABSENT)
            if found is _ABSENT:
                return False
            left.remove(found)
        return not left
    return bool(expected == got)


_ABSENT = object()


@pytest.mark.parametrize(
    ("case", "document", "response", "flat"), [pytest.param(*one, id=f"{one[0]}-{one[3]}") for one in _cases()]
)
def test_documents_are_answered_as_recorded(
    case: str, document: Mapping[str, Any], response: Mapping[str, Any], flat: bool
) -> None:
    if case in DIFFERENT:
        with pytest.raises(DeclarativeViolation):
            load(document, now=NOW)
        return
    if response["status"] == 500:
        with pytest.raises(DeclarativeViolation):
            load(document, now=NOW)
        return
    if response["status"] == 201:
        declared = load(document, now=NOW)
        counts = {name: len(rows) for name, rows in declared.rows.items()}
        assert counts == {name: len(rows) for name, rows in response["body"].items()}
        return
    with pytest.raises(DeclarativeViolation) as refusal:
        load(document, now=NOW)
    expected = response["body"]
    if flat:
        assert _same(expected["flattened_errors"] or [], list(refusal.value.flattened)), refusal.value.flattened
        assert _same(expected["fields"], refusal.value.rest), refusal.value.rest
    else:
        assert _same(expected["fields"], refusal.value.fields), refusal.value.fields
