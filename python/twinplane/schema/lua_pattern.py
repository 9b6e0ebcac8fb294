"""Lua patterns as Python regular expressions.

Served schemas carry Lua patterns, and clients of Kong read them there; so patterns are declared in that form once and
translated here for our own use. Covers the classes and quantifiers that schemas use; refuses `%b` and `%f`.
"""

import re
from functools import cache

_CLASSES = {
    "a": "A-Za-z",
    "d": "0-9",
    "l": "a-z",
    "s": r"\s",
    "u": "A-Z",
    "w": "A-Za-z0-9",
    "x": "A-Fa-f0-9",
    "p": r"!-/:-@\[-`{-~",
    "c": r"\x00-\x1f\x7f",
}


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression that finds what the Lua pattern finds."""
    return re.compile(_translate(pattern), re.DOTALL)


def matches(pattern: str, value: str) -> bool:
    """Whether the Lua pattern occurs in the value (`^` and `$` anchor, as in Lua)."""
    return compiled(pattern).search(value) is not None


def _translate(pattern: str) -> str:
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        if char == "^" and at == 0:
            out.append(r"\A")
            at += 1
            continue
        if char == "$" and at == end - 1:
            out.append(r"\Z")
            at += 1
            continue
        if char in "()":
            out.append(char)
            at += 1
            continue
        single, at = _single(pattern, at)
        if at < end and pattern[at] in "*+-?":
            single += {"-": "*?"}.get(pattern[at], pattern[at])
            at += 1
        out.append(single)
    return "".join(out)


def _single(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char == "%":
        return _escaped(pattern[at + 1], in_set=False), at + 2
    if char == "[":
        return _set(pattern, at + 1)
    return ("." if char == "." else re.escape(char)), at + 1


def _set(pattern: str, at: int) -> tuple[str, int]:
    out = ["["]
    if pattern[at] == "^":
        out.append("^")
        at += 1
    first = at
    while pattern[at] != "]" or at == first:
        if pattern[at] == "%":
            out.append(_escaped(pattern[at + 1], in_set=True))
            at += 2
        elif pattern[at + 1] == "-" and pattern[at + 2] != "]":
            out.append(f"{re.escape(pattern[at])}-{re.escape(pattern[at + 2])}")
            at += 3
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    return "".join([*out, "]"]), at + 1


def _escaped(char: str, *, in_set: bool) -> str:
    members = _CLASSES.get(char)
    if members is not None:
        return members if in_set else f"[{members}]"
    negated = _CLASSES.get(char.lower())
    if negated is not None and not in_set:
        return f"[^{negated}]"
    if char.isalnum():
        raise ValueError(f"unsupported item %{char} in Lua pattern")
    return re.escape(char)
