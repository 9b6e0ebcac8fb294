"""Filter chains: Wasm filters on a service or route."""

from typing import Annotated, Any, ClassVar

from twinplane.schema import (
    Entity,
    Error,
    Json,
    Length,
    Record,
    Reference,
    References,
    Unique,
    at_least_one_of,
    check,
    mutually_exclusive,
    one_of,
)
from twinplane.schema.shared import AutoId, CreatedAt, Tags, UniqueName, UpdatedAt

_ANY_TEXT = {
    "default": {"$schema": "http://json-schema.org/draft-04/schema#", "type": ["string", "null"]},
    "namespace": "proxy-wasm-filters",
    "optional": True,
    "parent_subschema_key": "name",
}


class Filter(Record):
    """One filter of a chain. No filters are bundled."""

    name: Annotated[str, one_of(), Error("no such filter"), "Name of the filter."]
    enabled: Annotated[bool, "Whether the filter runs."] = True
    config: Annotated[Any | None, Json(_ANY_TEXT), "Configuration of the filter."] = None


def _configs_fit(_row: Any) -> None:
    """No bundled filter has a configuration to test."""


class FilterChain(
    Entity, collection="filter_chains", admin_path="filter-chains", endpoint_key="name", cache_key=("route", "service")
):
    """Filters that run one after another on a service or a route."""

    id: AutoId = None
    name: UniqueName = None
    enabled: Annotated[bool, "Whether the chain runs."] = True
    route: Annotated[Reference | None, References("routes", on_delete="cascade"), Unique(), "Route it runs on."] = None
    service: Annotated[
        Reference | None, References("services", on_delete="cascade"), Unique(), "Service it runs on."
    ] = None
    filters: Annotated[list[Filter], Length(minimum=1), "Filters in their order."]
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    tags: Tags = None

    checks: ClassVar = (
        mutually_exclusive("service", "route"),
        at_least_one_of("service", "route"),
        check(_configs_fit, "filters", with_broken=True),
    )
