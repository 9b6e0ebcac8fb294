"""The configuration of `ai-prompt-decorator`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import GreaterThan, Length, Plugin, Record, Since, at_least_one_of
from twinplane.schema.shared import HttpProtocols


class Prepend(Record):
    """Put before it."""

    role: Annotated[Literal["system", "assistant", "user"], "Who speaks."] = "system"
    content: Annotated[str, Length(minimum=1, maximum=500), "What is said."]


class Prompts(Record):
    """What is put around a conversation."""

    prepend: Annotated[list[Prepend] | None, Length(maximum=15), "Put before it."] = None
    append: Annotated[list[Prepend] | None, Length(maximum=15), "Values added beside those that are there."] = None


class Config(Record):
    """The configuration."""

    prompts: Annotated[Prompts | None, "What is put around a conversation."] = None
    max_request_body_size: Annotated[
        int | None, GreaterThan(0), Since("3.8"), "Largest request body looked at, in bytes."
    ] = 8192
    llm_format: Annotated[
        Literal["openai", "bedrock", "gemini"] | None,
        Since("3.9.3"),
        "Whose form of requests and answers clients speak.",
    ] = "openai"


class AiPromptDecorator(
    Plugin,
    name="ai-prompt-decorator",
    version="3.9.3",
    priority=772,
    phases=("access",),
):
    """Puts messages before and after a conversation with a model."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (at_least_one_of("config.prompts.prepend", "config.prompts.append"),)


PLUGIN = AiPromptDecorator
