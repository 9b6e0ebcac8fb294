"""The configuration of `pre-function`."""

from typing import Annotated, ClassVar

from twinplane.schema import Plugin, Record, at_least_one_of
from twinplane.schema.shared import NoConsumer, Protocols


class Config(Record):
    """The configuration."""

    certificate: Annotated[list[str], "Code for the TLS handshake."] = []
    rewrite: Annotated[list[str], "Code before the route is known."] = []
    access: Annotated[list[str], "Code before the upstream is asked."] = []
    header_filter: Annotated[list[str], "Code on the head of the answer."] = []
    body_filter: Annotated[list[str], "Code on each piece of the answer."] = []
    log: Annotated[list[str], "Code after the answer."] = []


class PreFunction(
    Plugin,
    name="pre-function",
    version="3.9.3",
    priority=1000000,
    phases=("certificate", "rewrite", "access", "header_filter", "body_filter", "log"),
):
    """Runs code of the configuration before all other plugins."""

    consumer: NoConsumer = None
    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        at_least_one_of(
            "config.certificate",
            "config.rewrite",
            "config.access",
            "config.header_filter",
            "config.body_filter",
            "config.log",
        ),
    )


PLUGIN = PreFunction
