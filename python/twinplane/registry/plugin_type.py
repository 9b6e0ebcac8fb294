"""One plugin as the rooms above see it: its place in the chain and the form of its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinplane.schema import AliasRefused, Plugin, SchemaViolation, Shape
from twinplane.schema.json_form import json_form
from twinplane.schema.kong_form import kong_form

_PLUGINS = Path(__file__).parents[1] / "plugins"


@dataclass(frozen=True, slots=True, eq=False)
class PluginType:
    """A plugin that configurations may name."""

    name: str
    folder: str
    version: str
    priority: int
    phases: tuple[str, ...]
    observes_only: bool
    since: str
    declared: type[Plugin]
    shape: Shape

    @property
    def is_implemented(self) -> bool:
        """Whether nodes of this version run it. A folder with a schema alone declares a plugin, and no more.

        A plugin that does not come with twinplane has no folder here, and is behaviour.
        """
        return not self.folder or (_PLUGINS / self.folder / "README.md").is_file()

    @property
    def config(self) -> Shape:
        """The shape of the configuration."""
        config = self.shape.fields["config"].record
        assert config is not None
        return config

    def kong_schema(self) -> dict[str, Any]:
        """The answer of `GET /schemas/plugins/{name}`."""
        return kong_form(self.shape)

    def json_schema(self) -> dict[str, Any]:
        """The configuration as JSON Schema: properties with their defaults."""
        return json_form(self.config)

    def prepare_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A complete configuration with defaults filled in. Raises SchemaViolation with errors under `config`."""
        try:
            row = self.config.fill(config)
        except AliasRefused as error:
            raise SchemaViolation({"config": error.errors}) from error
        errors = self.config.violations(row)
        if errors:
            raise SchemaViolation({"config": errors})
        return row
