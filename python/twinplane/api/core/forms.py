"""Which type each name in a form has: the served schemas, with the config of the named plugin or vault put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twinplane.api.core.decode import Spec, field_specs


class Schemas(Protocol):
    """Where served schemas come from."""

    def entity(self, type_name: str) -> Mapping[str, Any] | None:
        """The schema of a collection."""

    def sub(self, type_name: str, name: str) -> Mapping[str, Any] | None:
        """What a plugin or vault of that name adds to it."""


class FormSpecs:
    """Field types by collection, kept once made."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._kept: dict[tuple[str, str | None], dict[str, Spec]] = {}

    def specs(
        self, type_name: str, fields: Mapping[str, Any], stored: Callable[[], Mapping[str, Any]]
    ) -> Mapping[str, Spec]:
        """The fields of a collection; `stored` gives the entity as it is, where a form does not name its kind."""
        kind = None
        if type_name in {"plugins", "vaults"}:
            named = fields.get("name") or stored().get("name")
            kind = named if isinstance(named, str) and self._schemas.sub(type_name, named) else None
        kept = self._kept.get((type_name, kind))
        if kept is None:
            kept = field_specs(self._schemas.entity(type_name) or {})
            if kind is not None:
                kept = {**kept, **field_specs(self._schemas.sub(type_name, kind) or {})}
            self._kept[type_name, kind] = kept
        return kept
