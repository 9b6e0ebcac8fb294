"""What entity endpoints ask of whoever keeps the entities: a control plane's store, or a node without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twinplane.control import Actor, Operation, Page, Parent, Row, Scope
from twinplane.registry import RouterFlavor


class EntityRoom(Protocol):
    """Entities, as `control.change.Changes` keeps them."""

    def create(
        self, scope: Scope, actor: Actor, type_name: str, body: Mapping[str, Any], *, parent: Parent | None = None
    ) -> Row:
        """Create an entity."""

    def upsert(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        body: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> Row:
        """Create or replace the entity at `key`."""

    def update(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        patch: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> Row:
        """Merge a patch into the entity at `key`."""

    def delete(self, scope: Scope, actor: Actor, type_name: str, key: str, *, parent: Parent | None = None) -> bool:
        """Delete the entity at `key`; False where there was none."""

    def apply(self, scope: Scope, actor: Actor, operations: Sequence[Operation]) -> list[Row | None]:
        """All of the operations, or none."""

    def get(self, scope: Scope, type_name: str, key: str, *, parent: Parent | None = None) -> Row:
        """The entity at `key`."""

    def page(
        self,
        scope: Scope,
        type_name: str,
        *,
        size: int = 100,
        offset: str | None = None,
        tags: str | None = None,
        parent: Parent | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        """One page, by id."""

    def tags(self, scope: Scope, tag: str | None = None, *, size: int = 100, offset: str | None = None) -> Page:
        """Tags of all entities, or the entities of one tag."""


class Source(Protocol):
    """Where entities are."""

    @property
    def changes(self) -> EntityRoom:
        """The entities."""

    def router_flavor(self, scope: Scope) -> RouterFlavor:
        """How routes are written there."""
