"""A form over a row that somebody changed meanwhile: what they changed, what the person here changed, and both. Pure.

A form carries a digest of each field as it stood when the form was made. A field that only the others changed takes
their value; one that both changed is a conflict, in which the person chooses. Lists count as one field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from twinplane.schema import Shape
from twinplane.web.console.entities.spelled import AS_JSON, index_of

_DIGITS = 8
HIDDEN = "••••••"

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """One field that others changed: its value now, and what stands in the form. `is_conflict` if it is both."""

    field: str
    theirs: str
    yours: str
    is_conflict: bool


def seen_of(texts: Texts, shape: Shape) -> str:
    """Digests of every field, for the form to carry."""
    digests = {field: _digest(value) for field, value in _fields(texts, _sets(shape)).items()}
    return json.dumps(digests, separators=(",", ":"), sort_keys=True)


def is_stale(seen: str, now: Texts, shape: Shape) -> bool:
    """Whether the row is another one than the form was made for."""
    return _read(seen) != _read(seen_of(now, shape))


def merge(typed: Texts, now: Texts, shown: Texts, seen: str, shape: Shape) -> tuple[dict[str, str], list[Meanwhile]]:
    """The form's texts with what only others changed taken over, and everything that they changed.

    `shown` are the texts of the row without its secrets.
    """
    before, sets = _read(seen), _sets(shape)
    current, here, visible = _fields(now, sets), _fields(typed, sets), _fields(shown, sets)
    texts = dict(typed)
    found = []
    for field in sorted({*current, *before}):
        theirs = current.get(field, ())
        if _digest(theirs) == before.get(field, _digest(())):
            continue
        yours = here.get(field, ())
        is_mine = _digest(yours) != before.get(field, _digest(()))
        if is_mine and yours == theirs:
            continue
        if not is_mine:
            texts = taken(texts, now, field)
        is_open = visible.get(field, ()) == theirs
        pair = (_shown(theirs), _shown(yours)) if is_open else (HIDDEN, HIDDEN)
        found.append(Meanwhile(field, *pair, is_conflict=is_mine))
    return texts, found


def taken(typed: Texts, now: Texts, field: str) -> dict[str, str]:
    """The form's texts with one field as it stands in the row."""
    kept = {path: text for path, text in typed.items() if _field(path) != field}
    theirs = {path: text for path, text in now.items() if _field(path) == field}
    return {**kept, **(theirs or {field: ""})}


def still(conflicts: Collection[str], typed: Texts, now: Texts, shown: Texts, shape: Shape) -> Sequence[Meanwhile]:
    """Of these fields, those in which the form and the row still differ."""
    sets = _sets(shape)
    current, here, visible = _fields(now, sets), _fields(typed, sets), _fields(shown, sets)
    found = []
    for field in sorted(conflicts):
        theirs, yours = current.get(field, ()), here.get(field, ())
        if theirs != yours and (field in current or field in here):
            is_open = visible.get(field, ()) == theirs
            pair = (_shown(theirs), _shown(yours)) if is_open else (HIDDEN, HIDDEN)
            found.append(Meanwhile(field, *pair, is_conflict=True))
    return found


def _field(path: str) -> str:
    """The field that a dotted path belongs to: a list, with all that is in it, is one."""
    parts = path.removesuffix(AS_JSON).split(".")
    place = next((place for place, part in enumerate(parts) if index_of(part) is not None), len(parts))
    return ".".join(parts[:place])


def _fields(texts: Texts, sets: Collection[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for path, text in texts.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        value = "\n".join(sorted(lines) if path in sets else lines)
        # What is empty says as little as what is not there.
        if value:
            found.setdefault(_field(path), []).append((path, value))
    return {field: tuple(sorted(values)) for field, values in found.items()}


def _sets(shape: Shape, prefix: str = "") -> set[str]:
    """Fields whose order says nothing."""
    found = {f"{prefix}{name}" for name, known in shape.fields.items() if known.kind == "set"}
    for name, known in shape.fields.items():
        if known.record is not None:
            found |= _sets(known.record, f"{prefix}{name}.")
    return found


def _digest(value: Sequence[tuple[str, str]]) -> str:
    return hashlib.sha256(repr(tuple(value)).encode()).hexdigest()[:_DIGITS]


def _read(seen: str) -> dict[str, str]:
    """The digests that a form carries; none of one that is no form of ours."""
    try:
        read = json.loads(seen) if seen else {}
    except ValueError:
        return {}
    return {str(field): str(digest) for field, digest in read.items()} if isinstance(read, dict) else {}


def _shown(value: Sequence[tuple[str, str]]) -> str:
    return "\n".join(text for _, text in value)[:400]
