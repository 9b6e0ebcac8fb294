"""The rules that test a field's value, each a fact that stands beside its type in `Annotated`.

A rule knows how it is served in Kong's schema format and what Kong says when a value breaks it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.schema.facts import Fact
from twinplane.schema.lua_pattern import matches


class Rule(Fact, ABC):
    """A test of one value. `rank` is the order in which rules run; the first that fails speaks."""

    __slots__ = ()
    rank: int = 99

    def served(self) -> dict[str, Any]:
        """The rule in the served schema."""
        return {}

    @abstractmethod
    def violation(self, value: Any) -> str | None:
        """What Kong says about the value, or None."""


def kong_text(value: Any) -> str:
    """A value as Lua's `tostring` prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(kong_text(value) for value in values)


@dataclass(frozen=True, slots=True)
class Equals(Rule):
    """The value must be this one; `Equals(None)` means it must be unset."""

    value: Any
    rank = 0

    def served(self) -> dict[str, Any]:
        return {"eq": self.value}

    def violation(self, value: Any) -> str | None:
        same = value == self.value and isinstance(value, bool) == isinstance(self.value, bool)
        return None if same else f"value must be {kong_text(self.value)}"


def null() -> Equals:
    """The value must be unset."""
    return Equals(None)


@dataclass(frozen=True, slots=True)
class NotOneOf(Rule):
    """The value must be none of these."""

    values: tuple[Any, ...]
    rank = 2

    def served(self) -> dict[str, Any]:
        return {"not_one_of": list(self.values)}

    def violation(self, value: Any) -> str | None:
        return f"must not be one of: {_listed(self.values)}" if value in self.values else None


def not_in(*values: Any) -> NotOneOf:
    """The value must be none of these."""
    return NotOneOf(values)


@dataclass(frozen=True, slots=True)
class OneOf(Rule):
    """The value must be one of these. `Literal[…]` as a field's type says the same.

    Those of `enterprise` are taken too, but schemas and errors, which are those of an open node, do not name them.
    """

    values: tuple[Any, ...]
    enterprise: tuple[Any, ...] = ()
    rank = 3

    def served(self) -> dict[str, Any]:
        return {"one_of": list(self.values)}

    def violation(self, value: Any) -> str | None:
        known = value in self.values or value in self.enterprise
        return None if known else f"expected one of: {_listed(self.values)}"


def one_of(*values: Any, enterprise: tuple[Any, ...] = ()) -> OneOf:
    """The value must be one of these."""
    return OneOf(values, enterprise)


@dataclass(frozen=True, slots=True)
class GreaterThan(Rule):
    """The number must lie above this one."""

    bound: float
    rank = 4

    def served(self) -> dict[str, Any]:
        return {"gt": self.bound}

    def violation(self, value: Any) -> str | None:
        return None if value > self.bound else f"value must be greater than {kong_text(self.bound)}"


@dataclass(frozen=True, slots=True)
class Timestamp(Rule):
    """A moment in seconds since 1970."""

    rank = 5

    def served(self) -> dict[str, Any]:
        return {"timestamp": True}

    def violation(self, value: Any) -> str | None:
        return None if value > 0 else "expected a valid timestamp"


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Uuid(Rule):
    """A UUID in its usual text form."""

    rank = 6

    def served(self) -> dict[str, Any]:
        return {"uuid": True}

    def violation(self, value: Any) -> str | None:
        return None if _UUID.fullmatch(value) else "expected a valid UUID"


@dataclass(frozen=True, slots=True)
class Regex(Rule):
    """A regular expression."""

    rank = 7

    def served(self) -> dict[str, Any]:
        return {"is_regex": True}

    def violation(self, value: Any) -> str | None:
        try:
            re.compile(value)
        except re.error:
            return f"not a valid regex: {value}"
        return None


@dataclass(frozen=True, slots=True)
class Between(Rule):
    """The number must lie within these bounds, both included."""

    low: float
    high: float
    rank = 8

    def served(self) -> dict[str, Any]:
        return {"between": [self.low, self.high]}

    def violation(self, value: Any) -> str | None:
        if self.low <= value <= self.high:
            return None
        return f"value should be between {int(self.low)} and {int(self.high)}"


@dataclass(frozen=True, slots=True)
class Length(Rule):
    """Bounds on the length of a string, list or map. A string that names no minimum must not be empty."""

    minimum: int | None = None
    maximum: int | None = None
    exactly: int | None = None
    rank = 9

    def served(self) -> dict[str, Any]:
        bounds = {"len_eq": self.exactly, "len_min": self.minimum, "len_max": self.maximum}
        return {name: bound for name, bound in bounds.items() if bound is not None}

    def violation(self, value: Any) -> str | None:
        length = len(value.encode(errors="surrogateescape")) if isinstance(value, str) else len(value)
        if self.exactly is not None and length != self.exactly:
            return f"length must be {self.exactly}"
        if self.minimum is not None and length < self.minimum:
            return f"length must be at least {self.minimum}"
        if self.maximum is not None and length > self.maximum:
            return f"length must be at most {self.maximum}"
        return None


@dataclass(frozen=True, slots=True)
class StartsWith(Rule):
    """The string must begin so."""

    prefix: str
    rank = 12

    def served(self) -> dict[str, Any]:
        return {"starts_with": self.prefix}

    def violation(self, value: Any) -> str | None:
        return None if value.startswith(self.prefix) else f"should start with: {self.prefix}"


@dataclass(frozen=True, slots=True)
class MatchNone(Rule):
    """The Lua pattern must not occur."""

    pattern: str
    error: str | None = None
    rank = 14

    def served(self) -> dict[str, Any]:
        return {"match_none": [_with_error(self.error, pattern=self.pattern)]}

    def violation(self, value: Any) -> str | None:
        return (self.error or "invalid value") if matches(self.pattern, value) else None


@dataclass(frozen=True, slots=True)
class Match(Rule):
    """The Lua pattern must occur."""

    pattern: str
    rank = 15

    def served(self) -> dict[str, Any]:
        return {"match": self.pattern}

    def violation(self, value: Any) -> str | None:
        return None if matches(self.pattern, value) else f"invalid value: {value}"


@dataclass(frozen=True, slots=True)
class MatchAll(Rule):
    """The Lua pattern must occur; a text of its own says so."""

    pattern: str
    error: str | None = None
    rank = 16

    def served(self) -> dict[str, Any]:
        return {"match_all": [_with_error(self.error, pattern=self.pattern)]}

    def violation(self, value: Any) -> str | None:
        return None if matches(self.pattern, value) else (self.error or f"invalid value: {value}")


@dataclass(frozen=True, slots=True)
class MatchAny(Rule):
    """One of the Lua patterns must occur."""

    patterns: tuple[str, ...]
    error: str | None = None
    rank = 17

    def served(self) -> dict[str, Any]:
        return {"match_any": _with_error(self.error, patterns=list(self.patterns))}

    def violation(self, value: Any) -> str | None:
        return None if any(matches(p, value) for p in self.patterns) else (self.error or "invalid value")


@dataclass(frozen=True, slots=True)
class Contains(Rule):
    """The list must hold this element."""

    element: Any
    rank = 18

    def served(self) -> dict[str, Any]:
        return {"contains": self.element}

    def violation(self, value: Any) -> str | None:
        return None if self.element in value else f"expected to contain: {self.element}"


@dataclass(frozen=True, slots=True)
class ExclusiveSubsets(Rule):
    """The elements must all come from one of these subsets."""

    subsets: tuple[tuple[Any, ...], ...]
    rank = 19

    def served(self) -> dict[str, Any]:
        return {"mutually_exclusive_subsets": [list(subset) for subset in self.subsets]}

    def violation(self, value: Any) -> str | None:
        touched = [subset for subset in self.subsets if any(element in subset for element in value)]
        if len(touched) <= 1:
            return None
        shown = ", ".join("(" + ", ".join(f"'{element}'" for element in subset) + ")" for subset in touched[:2])
        return f"these sets are mutually exclusive: {shown}"


@dataclass(frozen=True, slots=True)
class Check(Rule):
    """A test that no other rule expresses; not part of the served schema."""

    test: Callable[[Any], str | dict[str, Any] | None]
    rank = 30

    def violation(self, value: Any) -> Any:
        return self.test(value)


@dataclass(frozen=True, slots=True)
class Elements(Rule):
    """Within a condition: what every element of a list must satisfy."""

    rule: Rule
    rank = 31

    def served(self) -> dict[str, Any]:
        return {"elements": {"type": "string", **self.rule.served()}}

    def violation(self, value: Any) -> str | None:
        return next(filter(None, map(self.rule.violation, value)), None)


NOT_EMPTY = Length(minimum=1)
"""What holds for every string that names no minimum of its own; goes unsaid in served schemas."""


def _with_error(error: str | None, **content: Any) -> dict[str, Any]:
    return content if error is None else {**content, "err": error}
