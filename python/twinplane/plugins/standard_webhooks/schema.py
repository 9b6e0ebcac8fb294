"""The configuration of `standard-webhooks`."""

from typing import Annotated

from twinplane.schema import Encrypted, GreaterThan, Plugin, Record, Referenceable
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    secret_v1: Annotated[str, Referenceable(), Encrypted(), "Secret that messages are signed with."]
    tolerance_second: Annotated[int, GreaterThan(-1), "How far clocks may differ, in seconds."] = 300


class StandardWebhooks(
    Plugin,
    name="standard-webhooks",
    version="3.9.3",
    priority=760,
    phases=("access",),
):
    """Checks the signature of incoming webhooks."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = StandardWebhooks
