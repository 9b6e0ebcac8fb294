"""What changed between two forms of one entity, field by field at every depth. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LEFT_OUT = frozenset({"created_at", "updated_at", "id"})
_LENGTH_MAX = 400


@dataclass(frozen=True, slots=True)
class Line:
    """One field that is not what it was. None where it was not set."""

    path: str
    before: str | None
    after: str | None


def lines_of(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Line]:
    """Fields that differ; of a new or deleted entity those that are set."""
    return list(_lines(before or {}, after or {}, ""))


def _lines(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[Line]:
    for name in sorted({*before, *after}):
        if not prefix and name in _LEFT_OUT:
            continue
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _lines(old, new, f"{prefix}{name}.")
        else:
            line = Line(f"{prefix}{name}", _text(old), _text(new))
            if line.before != line.after:
                yield line


def _text(value: Any) -> str | None:
    if value is None or value in ([], {}):
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}…"
