"""The configuration of `request-size-limiting`."""

from typing import Annotated, Literal

from twinplane.schema import Plugin, Record
from twinplane.schema.shared import HttpProtocols


class Config(Record):
    """The configuration."""

    allowed_payload_size: Annotated[int | None, "Largest body."] = 128
    size_unit: Annotated[Literal["megabytes", "kilobytes", "bytes"], "Unit of that size."] = "megabytes"
    require_content_length: Annotated[bool, "Ask for a Content-Length."] = False


class RequestSizeLimiting(
    Plugin,
    name="request-size-limiting",
    version="3.9.3",
    priority=951,
    phases=("access",),
):
    """Refuses requests with large bodies."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = RequestSizeLimiting
