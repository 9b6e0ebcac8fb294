"""The configuration of `ai-prompt-template`."""

from typing import Annotated

from twinplane.schema import GreaterThan, Plugin, Record, Required, Since
from twinplane.schema.shared import HttpProtocols


class Templates(Record):
    """Prompts by name."""

    name: Annotated[str, "Name of the template."]
    template: Annotated[str, "The prompt."]


class Config(Record):
    """The configuration."""

    templates: Annotated[list[Annotated[Templates, Required()]], "Prompts by name."]
    allow_untemplated_requests: Annotated[bool, "Let other prompts through."] = True
    log_original_request: Annotated[bool, "Log what the client sent."] = False
    max_request_body_size: Annotated[
        int | None, GreaterThan(0), Since("3.8"), "Largest request body looked at, in bytes."
    ] = 8192


class AiPromptTemplate(
    Plugin,
    name="ai-prompt-template",
    version="3.9.3",
    priority=773,
    phases=("access",),
):
    """Has clients fill in prompts that are written here."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = AiPromptTemplate
