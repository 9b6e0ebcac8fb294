"""The configuration of `basic-auth`."""

from typing import Annotated

from twinplane.schema import Plugin, Record, Since
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    hide_credentials: Annotated[bool, "Take the credential out of the request before it goes upstream."] = False
    realm: Annotated[str, Since("3.6"), "Realm named in the challenge of a refusal."] = "service"


class BasicAuth(
    Plugin,
    name="basic-auth",
    version="3.9.3",
    priority=1100,
    phases=("access",),
):
    """Asks for a user name and password."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = BasicAuth
