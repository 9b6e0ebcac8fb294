"""The configuration of `bot-detection`."""

from typing import Annotated

from twinplane.schema import Plugin, Record, Regex
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    allow: Annotated[
        list[Annotated[str, Regex()]] | None, "Regular expressions of user agents that are let in whatever else holds."
    ] = []
    deny: Annotated[list[Annotated[str, Regex()]] | None, "Regular expressions of user agents that are kept out."] = []


class BotDetection(
    Plugin,
    name="bot-detection",
    version="3.9.3",
    priority=2500,
    phases=("access",),
):
    """Keeps out clients that say they are bots."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = BotDetection
