"""The configuration of `request-termination`."""

from typing import Annotated, Any

from twinplane.schema import Between, Check, Plugin, Record
from twinplane.schema.shared import HeaderName, HttpProtocols


class Config(Record):
    """The configuration."""

    status_code: Annotated[int, Between(100, 599), "Status of the answer."] = 503
    message: Annotated[str | None, "Text of the answer, as JSON."] = None
    content_type: Annotated[str | None, "Content type of the body."] = None
    body: Annotated[str | None, "Body of the answer."] = None
    echo: Annotated[bool, "Answer with what was asked."] = False
    trigger: Annotated[HeaderName | None, "Header or query argument without which requests go through."] = None


def _two_answers(config: dict[str, Any]) -> str | None:
    """A message makes a body of its own, and a content type needs one."""
    if config["message"] is not None and (config["content_type"] is not None or config["body"] is not None):
        return "message cannot be used with content_type or body"
    if config["content_type"] is not None and config["body"] is None:
        return "content_type requires a body"
    return None


class RequestTermination(
    Plugin,
    name="request-termination",
    version="3.9.3",
    priority=2,
    phases=("access",),
):
    """Answers requests itself."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, Check(_two_answers), "Settings of the plugin."]


PLUGIN = RequestTermination
