"""What a field takes, in words: its range, its length, whether it may be a reference to a secret."""

from __future__ import annotations

from collections.abc import Iterator

from twinplane.schema import Field
from twinplane.schema.rules import (
    NOT_EMPTY,
    Between,
    Contains,
    Equals,
    ExclusiveSubsets,
    GreaterThan,
    Length,
    NotOneOf,
    Regex,
    Rule,
    StartsWith,
    Uuid,
)


def bounds(known: Field) -> str:
    """All of them, the field's own and then those of its elements."""
    own = list(_words(known))
    each = list(_words(known.elements)) if known.elements is not None else []
    return "; ".join([*own, *(f"each {word}" for word in each)])


def _words(known: Field) -> Iterator[str]:
    for rule in known.rules:
        if word := _word(rule, is_text=known.kind == "string"):
            yield word
    if known.referenceable:
        yield "may be a reference to a vault"
    if known.encrypted:
        yield "a secret"


def _word(rule: Rule, *, is_text: bool) -> str:
    match rule:
        case Between(low, high):
            return f"{low:,} to {high:,}"
        case GreaterThan(bound):
            return f"more than {bound}"
        case Equals(value):
            return f"`{value}` alone" if value is not None else "unset alone"
        case NotOneOf(values):
            return f"none of {', '.join(f'`{value}`' for value in values)}"
        case StartsWith(prefix):
            return f"starts with `{prefix}`"
        case Contains(element):
            return f"holds `{element}`"
        case ExclusiveSubsets(subsets):
            return f"from one of {len(subsets)} sets alone"
        case Uuid():
            return "a UUID"
        case Regex():
            return "a regular expression"
        case Length() if rule != NOT_EMPTY:
            return _length(rule, "bytes" if is_text else "of them")
        case _:
            return ""


def _length(rule: Length, unit: str) -> str:
    if rule.exactly is not None:
        return f"exactly {rule.exactly} {unit}"
    least = f"at least {rule.minimum}" if rule.minimum else ""
    most = f"at most {rule.maximum}" if rule.maximum is not None else ""
    said = ", ".join(filter(None, (least, most)))
    return f"{said} {unit}" if said else "may be empty"
