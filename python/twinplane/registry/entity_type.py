"""One collection of entities as the rooms above see it: its names, its references, and how bodies become rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

OnDelete = Literal["cascade", "restrict", "null"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A reference of one collection to another."""

    target: str
    required: bool
    on_delete: OnDelete
    unique: bool = False


@dataclass(frozen=True, slots=True)
class EntityType:
    """A collection. Rows are plain dicts in which every field is present, None where unset; references are `{"id": …}`."""

    name: str
    singular: str
    admin_path: str
    endpoint_key: str | None
    foreign: Mapping[str, Foreign]
    unique_fields: tuple[str, ...]
    unique_across_workspaces: tuple[str, ...]
    cache_key: tuple[str, ...]
    composite_unique: tuple[tuple[str, ...], ...]
    workspaced: bool
    ttl: bool
    edition: Literal["oss", "ee"]

    def prepare_insert(self, body: Mapping[str, Any], *, now: float) -> Row:
        """A whole new row from a body: shorthands, defaults, automatic values, every check. Raises SchemaViolation."""
        raise NotImplementedError

    def prepare_replace(self, body: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row that takes the place of `existing`; keeps its id. Raises SchemaViolation."""
        raise NotImplementedError

    def prepare_update(self, patch: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row `existing` with `patch` merged in: records merge, maps and lists are replaced. Raises SchemaViolation."""
        raise NotImplementedError

    def key_violation(self, field: str, value: str) -> str | None:
        """What is wrong with a value used as key in a path, or None."""
        raise NotImplementedError

    def kong_schema(self) -> dict[str, Any]:
        """The answer of `GET /schemas/{name}`."""
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        """The answer of `GET /v1/schemas/json/{singular}`: properties with their defaults."""
        raise NotImplementedError
