"""The configuration of `correlation-id`."""

from typing import Annotated, Literal

from twinplane.schema import Plugin, Record
from twinplane.schema.shared import HttpProtocols


class Config(Record):
    """The configuration."""

    header_name: Annotated[str | None, "Header that carries the id."] = "Kong-Request-ID"
    generator: Annotated[Literal["uuid", "uuid#counter", "tracker"], "How ids are made."] = "uuid#counter"
    echo_downstream: Annotated[bool, "Show the id to clients too."] = False


class CorrelationId(
    Plugin,
    name="correlation-id",
    version="3.9.3",
    priority=100001,
    phases=("init_worker", "access", "header_filter"),
):
    """Gives each request an id that all its hops can log."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = CorrelationId
