"""The words of the language: facts that stand beside a field's type in `Annotated`. They hold data only."""

from dataclasses import dataclass
from typing import Any, Literal

OnDelete = Literal["cascade", "restrict", "null"]


class Fact:
    """Something true of a field that its type does not say."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Error(Fact):
    """The one text for every broken rule of this field."""

    text: str
    served: bool = True


@dataclass(frozen=True, slots=True)
class Required(Fact):
    """In a condition or for an element: must be set. Fields say it by a type without None."""


@dataclass(frozen=True, slots=True)
class Unordered(Fact):
    """A list that is a set: duplicates are dropped, order means nothing."""


@dataclass(frozen=True, slots=True)
class Unique(Fact):
    """No two rows of a workspace, or of all workspaces, share the value."""

    across_workspaces: bool = False


@dataclass(frozen=True, slots=True)
class References(Fact):
    """A reference to a row of another collection, and what its deletion does to this one."""

    collection: str
    on_delete: OnDelete = "restrict"


@dataclass(frozen=True, slots=True)
class Automatic(Fact):
    """Filled in by us when absent: a UUID, a moment, or a random string."""


@dataclass(frozen=True, slots=True)
class Referenceable(Fact):
    """May hold a `{vault://…}` reference instead of the value."""


@dataclass(frozen=True, slots=True)
class Encrypted(Fact):
    """A secret: kept encrypted where the store can, never logged."""


@dataclass(frozen=True, slots=True)
class Transient(Fact):
    """Accepted and answered, not stored in the row."""


@dataclass(frozen=True, slots=True)
class Abstract(Fact):
    """A record whose form a subschema decides."""


@dataclass(frozen=True, slots=True)
class Since(Fact):
    """First Kong version whose nodes know the field."""

    version: str


@dataclass(frozen=True, slots=True)
class Removed(Fact):
    """First Kong version whose nodes do not know the field any more."""

    version: str


@dataclass(frozen=True, slots=True)
class Enterprise(Fact):
    """Known to Enterprise nodes only."""


@dataclass(frozen=True, slots=True)
class Deprecated(Fact):
    """An old name, the warning it earns, and the path of the field that took its place, if one did."""

    message: str
    removal: str = "4.0"
    replaced_with: tuple[str, ...] = ()
    old_default: Any = None


@dataclass(frozen=True, slots=True)
class Defaulted(Fact):
    """A record, or a list of them, that is filled in when absent: with these values, or with all of its own."""

    value: dict[str, Any] | list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Json(Fact):
    """Any JSON value, described by a JSON Schema."""

    schema: dict[str, Any]
