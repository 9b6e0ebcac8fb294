"""The configuration of `grpc-gateway`."""

from typing import Annotated

from twinplane.schema import Plugin, Record
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    proto: Annotated[str | None, "Path of the file that describes the service."] = None


class GrpcGateway(
    Plugin,
    name="grpc-gateway",
    version="3.9.3",
    priority=998,
    phases=("access", "header_filter", "body_filter"),
):
    """Lets clients call gRPC services with JSON over HTTP."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = GrpcGateway
