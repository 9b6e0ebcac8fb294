"""The part of the compatibility table that the schema itself says: since when, until when and in which edition.

Read once from the registry. Older history than the schema tells stands in `compat_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from twinplane.hybrid.wire import NodeVersion
from twinplane.registry import entity_types, plugin_types
from twinplane.schema import Field, Shape
from twinplane.schema.shape import ABSENT


@dataclass(frozen=True, slots=True)
class SchemaRule:
    """A field that not every node knows. `path` leads through records, and through each element of lists."""

    path: tuple[str, ...]
    since: str | None
    removed: str | None
    is_enterprise: bool
    default: Any

    def is_known(self, version: NodeVersion) -> bool:
        """Whether nodes of that version and edition know the field."""
        if self.is_enterprise and not version.is_enterprise:
            return False
        is_there = self.since is None or version.number >= _number(self.since)
        return is_there and (self.removed is None or version.number < _number(self.removed))


@cache
def entity_rules() -> Mapping[str, Sequence[SchemaRule]]:
    """Rules for the rows of each collection."""
    found = {name: tuple(_rules(entity.shape, ())) for name, entity in entity_types().items()}
    return {name: rules for name, rules in found.items() if rules}


@cache
def plugin_rules() -> Mapping[str, Sequence[SchemaRule]]:
    """Rules for the configurations of each plugin."""
    found: dict[str, Sequence[SchemaRule]] = {}
    for name, plugin in plugin_types().items():
        config = plugin.shape.fields.get("config")
        if config is not None and config.record is not None and (rules := tuple(_rules(config.record, ()))):
            found[name] = rules
    return found


def _rules(shape: Shape, above: tuple[str, ...]) -> Iterator[SchemaRule]:
    for name, field in shape.fields.items():
        path = (*above, name)
        if field.since or field.removed or field.enterprise:
            yield SchemaRule(path, field.since, field.removed, field.enterprise, _default(field))
        inner = field.record or (field.elements.record if field.elements is not None else None)
        if inner is not None:
            yield from _rules(inner, path)


def _default(field: Field) -> Any:
    """What a field holds that nobody set; a record, what its own fields hold then."""
    own = None if field.default is ABSENT else field.default
    if field.record is None or not isinstance(own, dict | None):
        return own
    return {name: _default(inner) for name, inner in field.record.fields.items()} | (own or {})


def _number(version: str) -> int:
    major, minor, *rest = (int(part) for part in version.split("."))
    return NodeVersion(major, minor, *rest[:2]).number if rest else NodeVersion(major, minor, 0).number
