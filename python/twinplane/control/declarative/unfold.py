"""Takes a document apart: every entity by itself, wherever it is nested, knowing its parent and its place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from twinplane.control.declarative.violations import Path
from twinplane.registry import EntityType

_META = ("_comment", "_ignore")


@dataclass
class Item:
    """One entity of a document. `given` is what the document says of it, without what is nested in it."""

    entity: EntityType
    given: dict[str, Any]
    path: Path
    parent: Item | None = None
    parent_field: str | None = None
    violations: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    references: dict[str, str] = field(default_factory=dict)

    @property
    def has_own_id(self) -> bool:
        """Whether the document gives its id."""
        return self.given.get("id") is not None

    @property
    def key(self) -> str:
        """What the entity is called in messages: its endpoint key, else its id."""
        endpoint_key = self.entity.endpoint_key
        value = None if endpoint_key is None else self.given.get(endpoint_key)
        return value if isinstance(value, str) else self.id


class Unfolding:
    """Collects the entities of a document, parents before what is nested in them."""

    def __init__(self, types: Mapping[str, EntityType]) -> None:
        self._types = types
        self._children: dict[str, dict[str, str]] = {name: {} for name in types}
        for name, entity in types.items():
            for foreign_field, foreign in entity.foreign.items():
                self._children.setdefault(foreign.target, {}).setdefault(name, foreign_field)
        self.items: list[Item] = []
        self.misfits: list[tuple[Path, str]] = []

    def take(self, collection: str, value: Any) -> None:
        """Take the entities of a top-level array."""
        self._take_all(self._types[collection], value, (collection,), None, None)

    def _take_all(
        self, entity: EntityType, value: Any, path: Path, parent: Item | None, parent_field: str | None
    ) -> None:
        if value is None:
            return
        if not isinstance(value, list):
            self.misfits.append((path, "expected an array"))
            return
        for position, raw in enumerate(value):
            here = (*path, position)
            if isinstance(raw, str) and entity.name == "snis" and parent is not None:
                self._take({"name": raw}, entity, here, parent, parent_field)
            elif isinstance(raw, dict):
                self._take(raw, entity, here, parent, parent_field)
            else:
                self.misfits.append((here, "expected a record"))

    def _take(
        self, raw: dict[str, Any], entity: EntityType, path: Path, parent: Item | None, parent_field: str | None
    ) -> None:
        nested = dict(self._nested(entity, raw))
        given = {name: value for name, value in raw.items() if name not in nested and name not in _META}
        item = Item(entity, given, path, parent, parent_field)
        if parent_field is not None and given.get(parent_field) is not None:
            item.violations[parent_field] = "value must be null"
        self.items.append(item)
        for name, value in nested.items():
            child_field = self._children[entity.name][name]
            self._take_all(self._types[name], value, (*path, name), item, child_field)

    def _nested(self, entity: EntityType, raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name in self._children.get(entity.name, ()):
            if name in raw:
                yield name, raw[name]
