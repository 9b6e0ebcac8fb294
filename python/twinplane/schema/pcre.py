"""Syntax of PCRE patterns, checked by way of Python's engine, with PCRE's words for the common mistakes.

Patterns are compiled for use in the data plane; here they are only refused or accepted.
"""

import re

_NAMED_GROUP = re.compile(r"(?<!\\)\(\?<(?![=!])")
_INLINE_FLAGS = re.compile(r"(?<!\\)\(\?[imsxJU]+\)")
_POSSESSIVE = re.compile(r"(?<=[*+?}])\+")


def bad_pcre(pattern: str) -> str | None:
    """PCRE's complaint about a pattern, or None."""
    python = _INLINE_FLAGS.sub("", _NAMED_GROUP.sub("(?P<", pattern)).replace(r"\h", r"\s").replace(r"\z", r"\Z")
    try:
        re.compile(_POSSESSIVE.sub("", python))
    except re.error as error:
        return _worded(error.msg, pattern)
    return None


def _worded(complaint: str, pattern: str) -> str:
    if complaint.startswith("unterminated character set"):
        return f'missing terminating ] for character class in "{pattern}"'
    if complaint.startswith(("missing ), unterminated", "unterminated subpattern")):
        return f'missing closing parenthesis in "{pattern}"'
    if complaint.startswith("unbalanced parenthesis"):
        return f'unmatched closing parenthesis in "{pattern}"'
    if complaint.startswith("min repeat greater"):
        return f'numbers out of order in {{}} quantifier in "{pattern}" at "}}"'
    if complaint.startswith("invalid group reference"):
        return f'reference to non-existent subpattern in "{pattern}" at "{complaint.rsplit(" ", 1)[-1]}"'
    if complaint.startswith(("nothing to repeat", "multiple repeat")):
        return f'quantifier does not follow a repeatable item in "{pattern}"'
    return f'{complaint} in "{pattern}"'
