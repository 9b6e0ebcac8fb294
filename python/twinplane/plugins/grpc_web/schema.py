"""The configuration of `grpc-web`."""

from typing import Annotated

from twinplane.schema import Plugin, Record
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    proto: Annotated[str | None, "Path of the file that describes the service."] = None
    pass_stripped_path: Annotated[bool | None, "Send only what the route's path left over."] = None
    allow_origin_header: Annotated[str | None, "Value of the header that lets origins in."] = "*"


class GrpcWeb(
    Plugin,
    name="grpc-web",
    version="3.9.3",
    priority=3,
    phases=("access", "header_filter", "body_filter"),
):
    """Lets browsers call gRPC services."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = GrpcWeb
