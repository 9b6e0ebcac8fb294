"""Patterns that Rust's regex engine refuses, in its words.

Nodes match routes with that engine; what it cannot compile must not get as far as a node.
"""

import re

from twinplane.schema.pcre import bad_pcre

_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE = re.compile(r"\\[1-9]")
_UNESCAPED = re.compile(r"\\.|\[(?:\^?\])?(?:\\.|[^\]\\])*\]", re.DOTALL)


def bad_rust_regex(pattern: str) -> str | None:
    """The engine's complaint about a pattern, or None."""
    bare = _UNESCAPED.sub(
        lambda found: found[0] if _BACK_REFERENCE.fullmatch(found[0]) else " " * len(found[0]), pattern
    )
    found = _LOOK_AROUND.search(bare)
    if found is not None:
        return _complaint(pattern, found.span(), "look-around, including look-ahead and look-behind, is not supported")
    found = _BACK_REFERENCE.search(bare)
    if found is not None:
        return _complaint(pattern, found.span(), "backreferences are not supported")
    wrong = bad_pcre(pattern)
    if wrong is None:
        return None
    if wrong.startswith("missing terminating ]"):
        return _complaint(pattern, (at := bare.rfind("["), at + 1), "unclosed character class")
    if wrong.startswith("missing closing parenthesis"):
        return _complaint(pattern, (at := bare.rfind("("), at + 1), "unclosed group")
    return _complaint(pattern, (0, len(pattern)), wrong)


def _complaint(pattern: str, span: tuple[int, int], text: str) -> str:
    start, end = span
    return f"regex parse error:\n    {pattern}\n    {' ' * start}{'^' * (end - start)}\nerror: {text}"
