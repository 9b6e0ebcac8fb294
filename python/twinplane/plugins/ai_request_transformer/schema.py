"""The configuration of `ai-request-transformer`."""

from typing import Annotated, ClassVar

from twinplane.schema import (
    Between,
    Equals,
    GreaterThan,
    Plugin,
    Record,
    Since,
    mutually_required,
    not_in,
    when,
)
from twinplane.schema.parts.llm import Llm
from twinplane.schema.shared import Host, HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    prompt: Annotated[str, "What the model is told to do."]
    transformation_extract_pattern: Annotated[
        str | None, "Pattern that finds the part of the model's answer that is used."
    ] = None
    http_timeout: Annotated[int, "How long a call to the model may take, in milliseconds."] = 60000
    https_verify: Annotated[bool, "Verify the server's certificate."] = True
    max_request_body_size: Annotated[
        int | None, GreaterThan(0), Since("3.8"), "Largest request body looked at, in bytes."
    ] = 8192
    http_proxy_host: Annotated[Host | None, "Host of the forward proxy for clear text."] = None
    http_proxy_port: Annotated[int | None, Between(0, 65535), "Port of the forward proxy for clear text."] = None
    https_proxy_host: Annotated[Host | None, "Host of the forward proxy for TLS."] = None
    https_proxy_port: Annotated[int | None, Between(0, 65535), "Port of the forward proxy for TLS."] = None
    llm: Annotated[Llm, "The model and how it is reached."]


class AiRequestTransformer(
    Plugin,
    name="ai-request-transformer",
    version="3.9.3",
    priority=777,
    phases=("access",),
):
    """Has a model change requests on their way up."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    consumer: NoConsumer = None
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        when("config.llm.route_type", not_in("llm/v1/chat")).then(
            "config.llm.route_type",
            Equals("llm/v1/chat"),
            error="'config.llm.route_type' must be 'llm/v1/chat' for AI transformer plugins",
        ),
        mutually_required("config.http_proxy_host", "config.http_proxy_port"),
        mutually_required("config.https_proxy_host", "config.https_proxy_port"),
    )


PLUGIN = AiRequestTransformer
