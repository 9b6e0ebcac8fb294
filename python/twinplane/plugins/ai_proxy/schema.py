"""The configuration of `ai-proxy`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import (
    Equals,
    GreaterThan,
    Plugin,
    Since,
    one_of,
    when,
)
from twinplane.schema.parts.llm import Llm
from twinplane.schema.shared import HttpProtocols


class Config(Llm):
    """The configuration."""

    response_streaming: Annotated[
        Literal["allow", "deny", "always"] | None, Since("3.7"), "Whether answers may be streamed."
    ] = "allow"
    max_request_body_size: Annotated[
        int | None, GreaterThan(0), Since("3.8"), "Largest request body looked at, in bytes."
    ] = 8192
    model_name_header: Annotated[bool | None, Since("3.8"), "Name the model in a header."] = True
    llm_format: Annotated[
        Literal["openai", "bedrock", "gemini"] | None,
        Since("3.9.3"),
        "Whose form of requests and answers clients speak.",
    ] = "openai"


class AiProxy(
    Plugin,
    name="ai-proxy",
    version="3.9.3",
    priority=770,
    phases=("access", "header_filter", "body_filter"),
):
    """Speaks to models of many providers in one form."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        when("config.llm_format", one_of("bedrock", "gemini")).then(
            "config.route_type",
            Equals("llm/v1/chat"),
            error="native provider options in llm_format can only be used with the 'llm/v1/chat' route_type",
        ),
        when("config.llm_format", Equals("bedrock")).then(
            "config.model.provider",
            Equals("bedrock"),
            error="native llm_format 'bedrock' can only be used with the 'bedrock' model.provider",
        ),
        when("config.llm_format", Equals("gemini")).then(
            "config.model.provider",
            Equals("gemini"),
            error="native llm_format 'gemini' can only be used with the 'gemini' model.provider",
        ),
    )


PLUGIN = AiProxy
