"""The configuration of `redirect`."""

from typing import Annotated

from twinplane.schema import Between, Plugin, Record
from twinplane.schema.shared import HttpProtocols, Url


class Config(Record):
    """The configuration."""

    status_code: Annotated[int, Between(100, 599), "Status of the answer."] = 301
    location: Annotated[Url, "Where clients are sent."]
    keep_incoming_path: Annotated[bool | None, "Keep path and query of the request."] = False


class Redirect(
    Plugin,
    name="redirect",
    version="3.9.3",
    priority=779,
    phases=("access",),
):
    """Sends clients to another address."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Redirect
