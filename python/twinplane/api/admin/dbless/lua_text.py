"""A tree of violations as one line in the form of a Lua table, which clients of Kong find in messages. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LENGTH_MAX = 65_536
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\\n"})


def lua_text(value: Any) -> str:
    """The text; of a very long one only the beginning."""
    text = _text(value)
    return text if len(text) <= _LENGTH_MAX else text[:_LENGTH_MAX] + "…"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(str(key))}={_text(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, list):
        return "{" + ",".join(_elements(value)) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPES) + '"'
    return "nil" if value is None else str(value)


def _elements(values: list[Any]) -> list[str]:
    """Elements in order; behind a gap each says its place."""
    gap = next((place for place, value in enumerate(values) if value is None), len(values))
    told = [_text(value) for value in values[:gap]]
    return told + [
        f"[{place + 1}]={_text(values[place])}" for place in range(gap, len(values)) if values[place] is not None
    ]


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else f"[{_text(key)}]"
