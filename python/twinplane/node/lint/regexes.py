"""Regexes of routes: which ones mean trouble in other engines, and a text that one matches."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

# The parser of the standard library; its result has no public home.
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_SET_OPERATION = re.compile(r"\[[^\]]*(?:&&|--|~~|\[)[^\]]*\]")
_LONGEST = 64


def trouble(pattern: str) -> Iterator[tuple[str, str]]:
    """Codes and details of what is wrong with a pattern elsewhere."""
    if _SET_OPERATION.search(re.sub(r"\\.", "", pattern)):
        yield "regex-differs", f"'{pattern}' has a set within a set, which other engines take for letters"
    parsed = _parsed(pattern)
    if parsed is None:
        yield "regex-differs", f"'{pattern}' is no pattern for engines that backtrack"
    elif _has_nested_repeat(parsed, within=False):
        yield "regex-backtracks", f"'{pattern}' repeats what repeats; nodes take linear time, other engines may not"


def example(pattern: str) -> str | None:
    """A text that the pattern matches; None where none is found."""
    parsed = _parsed(pattern)
    if parsed is None:
        return None
    text = "".join(_letters(parsed))
    with warnings.catch_warnings():
        # Sets within sets are told as such; here they are what this engine takes them for.
        warnings.simplefilter("ignore")
        return text if re.match(_plain(pattern), text) else None


def _plain(pattern: str) -> str:
    """Names of groups as the standard library writes them."""
    return re.sub(r"\(\?<([A-Za-z_])", r"(?P<\1", pattern)


def _parsed(pattern: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _parser.parse(_plain(pattern))
        except (re.error, OverflowError, RecursionError):
            return None


def _has_nested_repeat(parsed: Any, *, within: bool) -> bool:
    for kind, value in parsed:
        if kind in _REPEATS:
            _least, most, inner = value
            is_open = most == _constants.MAXREPEAT
            if (within and is_open) or _has_nested_repeat(inner, within=within or is_open):
                return True
        elif any(_has_nested_repeat(part, within=within) for part in _parts(kind, value)):
            return True
    return False


def _parts(kind: Any, value: Any) -> list[Any]:
    if kind is _constants.SUBPATTERN:
        return [value[3]]
    return list(value[1]) if kind is _constants.BRANCH else []


def _letters(parsed: Any) -> Iterator[str]:
    for kind, value in parsed:
        if kind is _constants.LITERAL:
            yield chr(value)
        elif kind is _constants.ANY:
            yield "x"
        elif kind is _constants.NOT_LITERAL:
            yield "y" if value == ord("x") else "x"
        elif kind is _constants.IN:
            yield _member(value)
        elif kind in _REPEATS:
            least, most, inner = value
            yield "".join(_letters(inner)) * min(max(least, 1 if most else 0), _LONGEST)
        elif kind is _constants.BRANCH:
            yield from _letters(value[1][0])
        else:
            for part in _parts(kind, value):
                yield from _letters(part)


def _member(members: Any) -> str:
    """A letter that a class takes."""
    if members[0][0] is _constants.NEGATE:
        taken = re.compile("[" + "".join(_class(kind, value) for kind, value in members[1:]) + "]")
        return next((letter for letter in "x1-_Z" if not taken.fullmatch(letter)), "x")
    kind, value = members[0]
    if kind is _constants.LITERAL:
        return chr(value)
    if kind is _constants.RANGE:
        return chr(value[0])
    return {_constants.CATEGORY_DIGIT: "1", _constants.CATEGORY_SPACE: " "}.get(value, "x")


def _class(kind: Any, value: Any) -> str:
    if kind is _constants.LITERAL:
        return re.escape(chr(value))
    if kind is _constants.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    return {_constants.CATEGORY_DIGIT: r"\d", _constants.CATEGORY_SPACE: r"\s"}.get(value, r"\w")
