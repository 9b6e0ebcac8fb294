"""Which entities and plugins exist: built by reading the rooms `entities` and `plugins`."""

import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from twinplane import plugins as plugins_room
from twinplane.entities import ENTITIES, VARIANTS
from twinplane.entities.route import EXPRESSION_VARIANTS, ExpressionRoute
from twinplane.pdk import Plugin as PythonPlugin
from twinplane.registry.entity_type import EntityType, Foreign, OnDelete, Row
from twinplane.registry.plugin_type import PluginType
from twinplane.registry.python_plugins import PluginsUnusable, declared, find_plugins, problems_of
from twinplane.schema import Entity, Plugin, Shape, Variant
from twinplane.schema.read import merged, shape_of

__all__ = [
    "EntityType",
    "Foreign",
    "OnDelete",
    "PluginType",
    "PluginsUnusable",
    "Row",
    "disable_plugins",
    "enable_plugins",
    "entity_type",
    "entity_types",
    "find_plugins",
    "plugin_type",
    "plugin_types",
    "route_type",
]

_brought: dict[str, type[PythonPlugin[Any]]] = {}

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
    """Every plugin by name: the bundled ones, and those that were enabled."""
    return MappingProxyType({name: plugin_type(name) for name in sorted({*_plugin_folders(), *_brought})})


@cache
def plugin_type(name: str) -> PluginType:
    """The plugin called `name`; KeyError if there is none."""
    if name in _brought:
        return _plugin(declared(_brought[name]), folder="")
    folder = _plugin_folders()[name]
    with warnings.catch_warnings():
        # Some fields are called as Kong calls them (`json`), which is also the name of an old method of the base class.
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
        found: type[Plugin] = import_module(f"{plugins_room.__name__}.{folder.name}.schema").PLUGIN
    return _plugin(found, folder=folder.name)


def enable_plugins(plugins: Iterable[type[PythonPlugin[Any]]]) -> None:
    """Let configurations name plugins in Python; once at the start of a process. Raises PluginsUnusable."""
    found = {each.name: each for each in plugins}
    problems = [problem for each in found.values() for problem in problems_of(each)]
    if problems:
        raise PluginsUnusable(problems)
    if all(_brought.get(name) is each for name, each in found.items()):
        return
    _brought.update(found)
    _forget_types()


def disable_plugins(plugins: Iterable[type[PythonPlugin[Any]]]) -> None:
    """Configurations name these no longer."""
    for each in plugins:
        _brought.pop(each.name, None)
    _forget_types()


def _forget_types() -> None:
    for kept in (plugin_types, plugin_type, entity_types):
        kept.cache_clear()


def _plugin(declared: type[Plugin], *, folder: str) -> PluginType:
    return PluginType(
        name=declared.name,
        folder=folder,
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
            return merged(kind, base, plugin_type(kind).shape) if kind in plugin_types() else None
        variant = (variants or {}).get(kind)
        return None if variant is None else merged(kind, base, shape_of(variant))

    return find
