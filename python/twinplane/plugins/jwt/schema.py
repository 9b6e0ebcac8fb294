"""The configuration of `jwt`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import Between, Contains, GreaterThan, Plugin, Record, Since, when
from twinplane.schema.shared import HttpProtocols, NoConsumer, SetOf


class Config(Record):
    """The configuration."""

    uri_param_names: Annotated[SetOf[str] | None, "Arguments of the query that carry the token."] = ["jwt"]
    cookie_names: Annotated[SetOf[str] | None, "Cookies that carry the token."] = []
    key_claim_name: Annotated[str | None, "Claim that names the credential."] = "iss"
    secret_is_base64: Annotated[bool, "The secret is base64."] = False
    claims_to_verify: Annotated[SetOf[Literal["exp", "nbf"]] | None, "Claims that are checked."] = None
    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    run_on_preflight: Annotated[bool, "Whether requests of method OPTIONS are asked for a credential."] = True
    maximum_expiration: Annotated[
        float | None, Between(0, 31536000), "Longest life of a token, in seconds; 0 for no limit."
    ] = 0
    header_names: Annotated[SetOf[str] | None, "Headers that carry the token."] = ["authorization"]
    realm: Annotated[str | None, Since("3.8"), "Realm named in the challenge of a refusal."] = None


class Jwt(
    Plugin,
    name="jwt",
    version="3.9.3",
    priority=1450,
    phases=("access",),
):
    """Asks for a signed JSON web token."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        when("config.maximum_expiration", GreaterThan(0)).then("config.claims_to_verify", Contains("exp")),
    )


PLUGIN = Jwt
