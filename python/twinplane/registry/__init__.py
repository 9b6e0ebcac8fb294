"""Which entities and plugins exist: built by reading the rooms `entities` and `plugins`."""

from collections.abc import Mapping

from twinplane.registry.entity_type import EntityType, Foreign, OnDelete, Row
from twinplane.registry.plugin_type import PluginType

__all__ = ["EntityType", "Foreign", "OnDelete", "PluginType", "Row", "entity_type", "entity_types", "plugin_type", "plugin_types"]


def entity_types() -> Mapping[str, EntityType]:
    """Every collection by name, parents before children."""
    return {}


def entity_type(name: str) -> EntityType:
    """The collection called `name`; KeyError if there is none."""
    return entity_types()[name]


def plugin_types() -> Mapping[str, PluginType]:
    """Every bundled plugin by name."""
    return {}


def plugin_type(name: str) -> PluginType:
    """The plugin called `name`; KeyError if there is none."""
    return plugin_types()[name]
