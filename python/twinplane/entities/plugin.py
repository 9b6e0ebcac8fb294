"""Plugins: behaviour attached to routes, services and consumers."""

from typing import Annotated, Any, ClassVar

from twinplane.schema import Abstract, ChosenBy, Enterprise, Entity, Record, Reference, References, Since, named_kind
from twinplane.schema.expression import bad_expression
from twinplane.schema.rules import Check, Length, kong_text
from twinplane.schema.shared import AutoId, CreatedAt, Protocols, Tags, UniqueName, UpdatedAt


class Config(Record):
    """The configuration; its form is the plugin's own."""


class AccessOrder(Record):
    """Plugins of the access phase that order is set against."""

    access: Annotated[list[str] | None, "Names of plugins."] = None


class Ordering(Record):
    """Where the plugin runs, apart from its own priority."""

    before: Annotated[AccessOrder | None, "Plugins it runs before."] = None
    after: Annotated[AccessOrder | None, "Plugins it runs after."] = None


class PartialLink(Record):
    """A shared part of the configuration."""

    id: Annotated[str | None, "Id of the shared part."] = None
    name: Annotated[str | None, "Name of the shared part."] = None
    path: Annotated[str | None, "Where in the configuration it belongs."] = None


CONDITION_BYTES_MAX = 1024


def _bad_condition(text: str) -> str | None:
    wrong = bad_expression(text, stream=False)
    return None if wrong is None else f"not an expression: {wrong}"


def _not_enabled(name: Any) -> dict[str, str]:
    if name is None:
        return {"name": "required field missing"}
    return {"name": f"plugin '{kong_text(name)}' not enabled; add it to the 'plugins' configuration property"}


class PluginEntity(
    Entity,
    collection="plugins",
    singular="plugin",
    endpoint_key="instance_name",
    cache_key=("name", "route", "service", "consumer", "consumer_group"),
):
    """A plugin, configured and attached."""

    id: AutoId = None
    name: Annotated[str, "Name of the plugin."]
    instance_name: UniqueName = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    route: Annotated[Reference | None, References("routes", on_delete="cascade"), "Acts on this route only."] = None
    service: Annotated[Reference | None, References("services", on_delete="cascade"), "Acts on this service only."] = (
        None
    )
    consumer: Annotated[
        Reference | None, References("consumers", on_delete="cascade"), "Acts for this consumer only."
    ] = None
    consumer_group: Annotated[
        Reference | None, References("consumer_groups", on_delete="cascade"), Enterprise(), "Acts for this group only."
    ] = None
    config: Annotated[Config | None, Abstract(), "Configuration, in the form of the plugin."] = None
    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    enabled: Annotated[bool, "Whether the plugin acts."] = True
    ordering: Annotated[Ordering | None, Enterprise(), "Where it runs, apart from its priority."] = None
    partials: Annotated[list[PartialLink] | None, Enterprise(), Since("3.10"), "Shared parts of its configuration."] = (
        None
    )
    condition: Annotated[
        str | None,
        Since("3.15"),
        Length(maximum=CONDITION_BYTES_MAX),
        Check(_bad_condition),
        "Expression that a request has to satisfy.",
    ] = None
    tags: Tags = None

    chosen_by: ClassVar = ChosenBy(named_kind, _not_enabled)
