"""One plugin as the rooms above see it: its place in the chain and the form of its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PluginType:
    """A plugin that configurations may name."""

    name: str
    version: str
    priority: int
    phases: tuple[str, ...]
    observes_only: bool
    has_filter: bool

    def kong_schema(self) -> dict[str, Any]:
        """The answer of `GET /schemas/plugins/{name}`."""
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        """The configuration as JSON Schema: properties with their defaults."""
        raise NotImplementedError

    def prepare_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A complete configuration with defaults filled in. Raises SchemaViolation with errors under `config`."""
        raise NotImplementedError
