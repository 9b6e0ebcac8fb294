"""Which entities and plugins exist: built by reading the rooms `entities` and `plugins`."""

import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from twinplane import plugins as plugins_room
from twinplane.entities import ENTITIES, VARIANTS
from twinplane.entities.route import EXPRESSION_VARIANTS, ExpressionRoute
from twinplane.registry.entity_type import EntityType, Foreign, OnDelete, Row
from twinplane.registry.plugin_type import PluginType
from twinplane.schema import Entity, Plugin, Shape, Variant
from twinplane.schema.read import merged, shape_of

__all__ = [
    "EntityType",
    "Foreign",
    "OnDelete",
    "PluginType",
    "Row",
    "entity_type",
    "entity_types",
    "plugin_type",
    "plugin_types",
    "route_type",
]

RouterFlavor = Literal["traditional", "traditional_compatible", "expressions"]


@cache
def entity_types() -> Mapping[str, EntityType]:
    """Every collection by name, parents before children."""
    return MappingProxyType(
        {declared.collection: _entity(declared, VARIANTS.get(declared.collection)) for declared in ENTITIES}
    )


def entity_type(name: str) -> EntityType:
    """The collection called `name`; KeyError if there is none."""
    return entity_types()[name]


@cache
def route_type(flavor: RouterFlavor = "traditional_compatible") -> EntityType:
    """The collection of routes as a router flavour knows it."""
    return _entity(ExpressionRoute, EXPRESSION_VARIANTS) if flavor == "expressions" else entity_type("routes")


@cache
def plugin_types() -> Mapping[str, PluginType]:
    """Every bundled plugin by name."""
    return MappingProxyType({name: plugin_type(name) for name in sorted(_plugin_folders())})


@cache
def plugin_type(name: str) -> PluginType:
    """The plugin called `name`; KeyError if there is none."""
    folder = _plugin_folders()[name]
    with warnings.catch_warnings():
        # Some fields are called as Kong calls them (`json`), which is also the name of an old method of the base class.
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
        declared: type[Plugin] = import_module(f"{plugins_room.__name__}.{folder.name}.schema").PLUGIN
    return PluginType(
        name=declared.name,
        folder=folder.name,
        version=declared.version,
        priority=declared.priority,
        phases=declared.phases,
        observes_only=declared.observes_only,
        since=declared.since,
        declared=declared,
        shape=shape_of(declared),
    )


@cache
def _plugin_folders() -> Mapping[str, Path]:
    room = Path(plugins_room.__path__[0])
    return {path.parent.name.replace("_", "-"): path.parent for path in room.glob("*/schema.py")}


def _entity(declared: type[Entity], variants: Mapping[Any, type[Variant]] | None) -> EntityType:
    shape = shape_of(declared)
    fields = shape.fields
    return EntityType(
        name=declared.collection,
        singular=declared.singular,
        admin_path=declared.admin_path,
        nested_path=declared.nested_path,
        endpoint_key=declared.endpoint_key,
        fields=fields,
        foreign={
            name: Foreign(
                field.references.collection, field.required, field.references.on_delete, field.unique is not None
            )
            for name, field in fields.items()
            if field.references is not None
        },
        unique_fields=tuple(name for name, field in fields.items() if field.unique is not None),
        unique_across_workspaces=tuple(
            name for name, field in fields.items() if field.unique and field.unique.across_workspaces
        ),
        cache_key=declared.cache_key,
        workspaced=declared.workspaced,
        ttl=declared.ttl,
        edition=declared.edition,
        since=declared.since,
        declared=declared,
        shape=shape,
        variant=_variant_finder(declared, shape, variants),
    )


def _variant_finder(declared: type[Entity], base: Shape, variants: Mapping[Any, type[Variant]] | None) -> Any:
    if declared.chosen_by is None:
        return None

    @cache
    def find(kind: str) -> Shape | None:
        if declared.collection == "plugins":
            return merged(kind, base, plugin_type(kind).shape) if kind in _plugin_folders() else None
        variant = (variants or {}).get(kind)
        return None if variant is None else merged(kind, base, shape_of(variant))

    return find
