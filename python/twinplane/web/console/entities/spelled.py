"""How a value is spelled in a form: as plain text, or as JSON where plain text would not come back as it was. Pure.

The name of an input carries the spelling, so that what is sent is read without guessing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

AS_JSON = "~json"
"""What the name of an input ends with whose text is JSON although its field is asked for as plain text."""

NUMBER_MAX = 1e15
"""From here on a number does not come back from text as it was."""

_DIGITS_MAX = 4


def index_of(part: str) -> int | None:
    """The number that one part of a dotted path is; None of a name, and of what no form of ours numbers."""
    is_number = part.isascii() and part.isdecimal() and len(part) <= _DIGITS_MAX
    return int(part) if is_number else None


def is_spelled_out(kind: str, value: Any, known: Collection[str] = ()) -> bool:
    """Whether an input of a kind gives the value back as it is; `known` are the only values that ticks can say."""
    if kind == "lines":
        return isinstance(value, list) and all(_is_line(one) and (not known or one in known) for one in value)
    if kind == "map":
        return isinstance(value, Mapping) and all(_is_pair(key, one) for key, one in value.items())
    if kind == "text":
        return not isinstance(value, str) or not value or _is_line(value)
    if kind == "long":
        # Browsers end lines with CR LF, and drop a line end that a text area begins with.
        return not isinstance(value, str) or ("\r" not in value and not value.startswith("\n"))
    return True


def _is_pair(key: Any, value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_pair(key, one) for one in value)
    return isinstance(key, str) and _is_line(key) and ":" not in key and _is_line(value)


def _is_line(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and value.strip() == value and value.splitlines() == [value]
    return isinstance(value, int | float) and abs(value) < NUMBER_MAX
