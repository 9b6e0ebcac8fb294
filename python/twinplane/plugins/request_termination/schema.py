"""The configuration of `request-termination`."""

from typing import Annotated

from twinplane.schema import Between, Plugin, Record
from twinplane.schema.shared import HttpProtocols


class Config(Record):
    """The configuration."""

    status_code: Annotated[int, Between(100, 599), "Status of the answer."] = 503
    message: Annotated[str | None, "Text of the answer."] = None
    content_type: Annotated[str | None, "Media type of the body."] = None
    body: Annotated[str | None, "Changes to fields of the body, or the body itself."] = None
    echo: Annotated[bool, "Answer with what was asked."] = False
    trigger: Annotated[str | None, "Header or argument that must be there."] = None


class RequestTermination(
    Plugin,
    name="request-termination",
    version="3.9.3",
    priority=2,
    phases=("access",),
):
    """Answers requests itself."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = RequestTermination
