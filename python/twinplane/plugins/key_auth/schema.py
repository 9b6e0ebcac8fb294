"""The configuration of `key-auth`."""

from typing import Annotated

from twinplane.schema import Plugin, Record, Since
from twinplane.schema.shared import HeaderName, HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    key_names: Annotated[list[HeaderName], "Names that a key is looked for under."] = ["apikey"]
    hide_credentials: Annotated[bool, "Take the credential out of the request before it goes upstream."] = False
    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    key_in_header: Annotated[bool, "Look for the key in headers."] = True
    key_in_query: Annotated[bool, "Look for the key in the query."] = True
    key_in_body: Annotated[bool, "Look for the key in the body."] = False
    run_on_preflight: Annotated[bool, "Whether requests of method OPTIONS are asked for a credential."] = True
    realm: Annotated[str | None, Since("3.7"), "Realm named in the challenge of a refusal."] = None


class KeyAuth(
    Plugin,
    name="key-auth",
    version="3.9.3",
    priority=1250,
    phases=("access",),
):
    """Asks for a key."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = KeyAuth
