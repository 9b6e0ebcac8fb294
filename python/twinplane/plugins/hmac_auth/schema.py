"""The configuration of `hmac-auth`."""

from typing import Annotated, Literal

from twinplane.schema import GreaterThan, Plugin, Record, Since
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    hide_credentials: Annotated[bool, "Take the credential out of the request before it goes upstream."] = False
    clock_skew: Annotated[float | None, GreaterThan(0), "How far clocks may differ, in seconds."] = 300
    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    validate_request_body: Annotated[bool, "Check the digest of the body."] = False
    enforce_headers: Annotated[list[str] | None, "Headers that must be signed."] = []
    algorithms: Annotated[
        list[Literal["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]] | None, "Algorithms that are accepted."
    ] = ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
    realm: Annotated[str | None, Since("3.8"), "Realm named in the challenge of a refusal."] = None


class HmacAuth(
    Plugin,
    name="hmac-auth",
    version="3.9.3",
    priority=1030,
    phases=("access",),
):
    """Asks for a signature over the request."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = HmacAuth
