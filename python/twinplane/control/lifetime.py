"""How long an entity lives: `ttl` in a body, taken out before the type checks the rest, for it is no field of its own.

Pure; the second in which a lifetime ends is worked out from the moment handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twinplane.control.scope import Row
from twinplane.control.stored_form import LIFETIME_FIELD
from twinplane.registry import EntityType
from twinplane.schema import SchemaViolation

LIFETIME_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What a body says of its lifetime: nothing, no end, or so many seconds; or something that is none."""

    is_given: bool = False
    seconds: int | None = None
    violation: str | None = None

    @classmethod
    def taken_from(cls, entity: EntityType, given: dict[str, Any]) -> Lifetime:
        """Take the lifetime out of a body of a type that can expire."""
        if not entity.ttl or LIFETIME_FIELD not in given:
            return cls()
        value = given.pop(LIFETIME_FIELD)
        if value is None or value == 0:
            return cls(is_given=True)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return cls(is_given=True, violation="expected a number")
        if value != int(value) or not 0 <= value <= LIFETIME_MAX:
            return cls(is_given=True, violation=f"value should be between 0 and {LIFETIME_MAX}")
        return cls(is_given=True, seconds=int(value))

    def prepared(self, prepare: Callable[[], Row]) -> Row:
        """The row that `prepare` makes; what is wrong with the lifetime is told with all the rest."""
        if self.violation is None:
            return prepare()
        errors: dict[str, Any] = {LIFETIME_FIELD: self.violation}
        try:
            prepare()
        except SchemaViolation as violation:
            errors = {**violation.errors, **errors}
        raise SchemaViolation(errors)

    def ends_at(self, now: float) -> float | None:
        """The second in which it is over."""
        return None if self.seconds is None else float(int(now) + self.seconds)


def without_lifetime(row: Row) -> Row:
    """A row as its type knows it."""
    row.pop(LIFETIME_FIELD, None)
    return row
