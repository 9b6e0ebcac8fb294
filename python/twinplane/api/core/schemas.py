"""Schemas as served, read from the registry once and kept: entities, plugins, vaults, and the types of form fields."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from twinplane.api.core.decode import Spec, field_specs
from twinplane.entities import VARIANTS
from twinplane.registry import entity_types, plugin_types, route_type
from twinplane.schema.kong_form import kong_form
from twinplane.schema.read import shape_of


@cache
def entity_schema(type_name: str) -> Mapping[str, Any] | None:
    """The schema of a collection, by its table name."""
    kind = entity_types().get(type_name)
    return None if kind is None else kind.kong_schema()


@cache
def sub_schema(type_name: str, name: str) -> Mapping[str, Any] | None:
    """What a plugin or vault of that name adds to the schema of its collection."""
    if type_name == "plugins":
        kind = plugin_types().get(name)
        return None if kind is None else kind.kong_schema()
    variant = VARIANTS[type_name].get(name)
    return None if variant is None else kong_form(shape_of(variant))


@cache
def json_schema(singular: str) -> Mapping[str, Any] | None:
    """The JSON schema of an entity, by its name in the singular."""
    kind = next((kind for kind in entity_types().values() if kind.singular == singular), None)
    return None if kind is None else kind.json_schema()


def is_polymorphic(type_name: str) -> bool:
    """Whether a collection's `name` chooses what its `config` holds."""
    return type_name in {"plugins", "vaults"}


@cache
def form_specs(type_name: str, kind: str | None) -> Mapping[str, Spec]:
    """The fields of a collection by name; `kind` is the named plugin or vault, whose config takes its place."""
    # Routes by expression have every field of the others, and two more.
    schema = route_type("expressions").kong_schema() if type_name == "routes" else entity_schema(type_name)
    specs = field_specs(schema or {})
    added = sub_schema(type_name, kind) if kind is not None else None
    return specs if added is None else {**specs, **field_specs(added)}
