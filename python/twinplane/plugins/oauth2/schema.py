"""The configuration of `oauth2`."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import Automatic, Between, Check, Encrypted, Equals, Plugin, Record, Required, Since, Unique, when
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    scopes: Annotated[list[str] | None, "Scopes that exist."] = None
    mandatory_scope: Annotated[bool, "Ask for a scope."] = False
    provision_key: Annotated[str, Encrypted(), Automatic(), Unique(), "Key that the application proves itself with."]
    token_expiration: Annotated[float, "Life of a token, in seconds."] = 7200
    enable_authorization_code: Annotated[bool, "Whether codes are given out."] = False
    enable_implicit_grant: Annotated[bool, "Whether tokens are given out by redirect."] = False
    enable_client_credentials: Annotated[bool, "Whether applications get tokens for themselves."] = False
    enable_password_grant: Annotated[bool, "Whether passwords are traded for tokens."] = False
    hide_credentials: Annotated[bool, "Take the credential out of the request before it goes upstream."] = False
    accept_http_if_already_terminated: Annotated[bool, "Believe a trusted hop that it spoke TLS."] = False
    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    global_credentials: Annotated[bool, "Accept credentials made elsewhere."] = False
    auth_header_name: Annotated[str | None, "Header that carries the token."] = "authorization"
    refresh_token_ttl: Annotated[float, Between(0, 100000000), "Life of a refresh token, in seconds."] = 1209600
    reuse_refresh_token: Annotated[bool, "Let a refresh token be used again."] = False
    pkce: Annotated[Literal["none", "lax", "strict"] | None, "How strictly proof of the code is asked for."] = "lax"
    realm: Annotated[str | None, Since("3.8"), "Realm named in the challenge of a refusal."] = None

    checks: ClassVar = (when("mandatory_scope", Equals(True)).then("scopes", Required()),)


_GRANTS = ("enable_authorization_code", "enable_implicit_grant", "enable_client_credentials", "enable_password_grant")


def _no_grant(config: dict[str, Any]) -> str | None:
    """Some grant has to be offered."""
    return (
        None
        if any(config[grant] for grant in _GRANTS)
        else f"at least one of these fields must be true: {', '.join(_GRANTS)}"
    )


class Oauth2(
    Plugin,
    name="oauth2",
    version="3.9.3",
    priority=1400,
    phases=("access",),
):
    """Asks for a token, and hands tokens out by the grants of OAuth 2."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, Check(_no_grant), "Settings of the plugin."]


PLUGIN = Oauth2
