"""The configuration of `ai-prompt-guard`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import Equals, GreaterThan, Length, Plugin, Record, Since, at_least_one_of, when
from twinplane.schema.shared import HttpProtocols


class Config(Record):
    """The configuration."""

    allow_patterns: Annotated[
        list[Annotated[str, Length(minimum=1, maximum=500)]] | None,
        Length(maximum=10),
        "Patterns that let a prompt in.",
    ] = None
    deny_patterns: Annotated[
        list[Annotated[str, Length(minimum=1, maximum=500)]] | None,
        Length(maximum=10),
        "Patterns that keep a prompt out.",
    ] = None
    allow_all_conversation_history: Annotated[bool, "Look at the last message only."] = False
    max_request_body_size: Annotated[
        int | None, GreaterThan(0), Since("3.8"), "Largest request body looked at, in bytes."
    ] = 8192
    match_all_roles: Annotated[bool, Since("3.8"), "Look at messages of all roles."] = False
    llm_format: Annotated[
        Literal["openai", "bedrock", "gemini"] | None,
        Since("3.9.3"),
        "Whose form of requests and answers clients speak.",
    ] = "openai"


class AiPromptGuard(
    Plugin,
    name="ai-prompt-guard",
    version="3.9.3",
    priority=771,
    phases=("access",),
):
    """Lets prompts in or keeps them out by patterns."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        at_least_one_of("config.allow_patterns", "config.deny_patterns"),
        when("config.match_all_roles", Equals(True)).then("config.allow_all_conversation_history", Equals(False)),
    )


PLUGIN = AiPromptGuard
