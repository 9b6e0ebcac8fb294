"""Credentials of consumers, one collection for each way of proving who they are."""

import base64
import hashlib
import os
from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Automatic,
    Check,
    Encrypted,
    Entity,
    MatchAny,
    Reference,
    References,
    Required,
    Transformation,
    Unique,
    when,
)
from twinplane.schema.pem import bad_any_key
from twinplane.schema.shared import AutoId, CreatedAt, Tags, ToConsumer
from twinplane.schema.texts import bad_redirect_uri

Owner = Annotated[ToConsumer, "Consumer it belongs to."]


class KeyauthCredential(
    Entity,
    collection="keyauth_credentials",
    admin_path="key-auths",
    nested_path="key-auth",
    endpoint_key="key",
    cache_key=("key",),
    ttl=True,
):
    """A key that a client shows."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    key: Annotated[str | None, Automatic(), Unique(), "The key; made up when absent."] = None
    tags: Tags = None


def _hash_password(row: dict[str, Any]) -> None:
    """Passwords are kept as the hash that nodes compare with: SHA-1 over password and consumer id."""
    salted = row["password"] + row["consumer"]["id"]
    row["password"] = hashlib.sha1(salted.encode(), usedforsecurity=False).hexdigest()


class BasicauthCredential(
    Entity,
    collection="basicauth_credentials",
    admin_path="basic-auths",
    nested_path="basic-auth",
    endpoint_key="username",
    cache_key=("username",),
):
    """A user name and a password."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    username: Annotated[str, Unique(), "Name of the user."]
    password: Annotated[str, Encrypted(), "The password; kept and answered as a hash."]
    tags: Tags = None

    transformations: ClassVar = (Transformation(_hash_password, of="password", needs="consumer.id", alone=True),)


class HmacauthCredential(
    Entity,
    collection="hmacauth_credentials",
    admin_path="hmac-auths",
    nested_path="hmac-auth",
    endpoint_key="username",
    cache_key=("username",),
):
    """A secret that requests are signed with."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    username: Annotated[str, Unique(), "Name of the signer."]
    secret: Annotated[str | None, Automatic(), "The secret; made up when absent."] = None
    tags: Tags = None


Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"
]
_ASYMMETRIC = ("^RS256$", "^RS384$", "^RS512$", "^PS256$", "^PS384$", "^PS512$", "^EdDSA$")


class JwtSecret(
    Entity,
    collection="jwt_secrets",
    singular="jwt_secret",
    admin_path="jwts",
    nested_path="jwt",
    endpoint_key="key",
    cache_key=("key",),
):
    """A secret or public key that tokens are verified with."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    key: Annotated[
        str | None, Automatic(), Unique(), "Value of the claim that names the credential; made up when absent."
    ] = None
    secret: Annotated[str | None, Automatic(), "Secret of symmetric algorithms; made up when absent."] = None
    rsa_public_key: Annotated[str | None, "Public key of asymmetric algorithms."] = None
    algorithm: Annotated[Algorithm | None, "Algorithm of the signature."] = "HS256"
    tags: Tags = None

    checks: ClassVar = (
        when("algorithm", MatchAny(_ASYMMETRIC)).then("rsa_public_key", Required(), Check(bad_any_key)),
    )


class Acl(Entity, collection="acls", endpoint_key="group", cache_key=("consumer", "group")):
    """Membership of a consumer in a group that acl plugins know."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    group: Annotated[str, "Name of the group."]
    tags: Tags = None


def _hash_client_secret(row: dict[str, Any]) -> None:
    """A secret that shall be hashed is kept as PBKDF2, in the text form that nodes read."""
    if not row["hash_secret"] or row["client_secret"] is None:
        return
    salt = os.urandom(16)
    digest = hashlib.pbkdf2_hmac("sha512", row["client_secret"].encode(), salt, 10000, 32)
    salt_text, digest_text = (base64.b64encode(part).decode().rstrip("=") for part in (salt, digest))
    row["client_secret"] = f"$pbkdf2-sha512$i=10000,l=32${salt_text}${digest_text}"


class Oauth2Credential(
    Entity, collection="oauth2_credentials", admin_path="oauth2", endpoint_key="client_id", cache_key=("client_id",)
):
    """An application that may ask for tokens."""

    id: AutoId = None
    created_at: CreatedAt = None
    consumer: Owner
    name: Annotated[str, "Name of the application."]
    client_id: Annotated[str | None, Automatic(), Unique(), "Id of the client; made up when absent."] = None
    client_secret: Annotated[str | None, Automatic(), Encrypted(), "Secret of the client; made up when absent."] = None
    hash_secret: Annotated[bool, "Whether the secret is kept as a hash."] = False
    redirect_uris: Annotated[
        list[Annotated[str, Check(bad_redirect_uri)]] | None, "Where users may be sent back to."
    ] = None
    tags: Tags = None
    client_type: Annotated[Literal["confidential", "public"], "Whether the client can keep a secret."] = "confidential"

    transformations: ClassVar = (Transformation(_hash_client_secret, of="hash_secret", needs="client_secret"),)


class Oauth2AuthorizationCode(Entity, collection="oauth2_authorization_codes", ttl=True):
    """A code that an application trades for a token."""

    id: AutoId = None
    created_at: CreatedAt = None
    service: Annotated[Reference | None, References("services", on_delete="cascade"), "Service the code is for."] = None
    credential: Annotated[
        Reference, References("oauth2_credentials", on_delete="cascade"), "Application it was given to."
    ]
    code: Annotated[str | None, Automatic(), Unique(), "The code; made up when absent."] = None
    authenticated_userid: Annotated[str | None, "User who consented."] = None
    scope: Annotated[str | None, "What was consented to."] = None
    challenge: Annotated[str | None, "Challenge of PKCE."] = None
    challenge_method: Annotated[Literal["S256"] | None, "How the challenge was made."] = None
    plugin: Annotated[Reference | None, References("plugins", on_delete="cascade"), "Plugin that gave it out."] = None


class Oauth2Token(
    Entity, collection="oauth2_tokens", endpoint_key="access_token", cache_key=("access_token",), ttl=True
):
    """A token given to an application."""

    id: AutoId = None
    created_at: CreatedAt = None
    service: Annotated[Reference | None, References("services", on_delete="cascade"), "Service the token is for."] = (
        None
    )
    credential: Annotated[
        Reference, References("oauth2_credentials", on_delete="cascade"), "Application it was given to."
    ]
    token_type: Annotated[Literal["bearer"], "Kind of token."] = "bearer"  # noqa: S105 - a kind, no secret
    expires_in: Annotated[int, "Seconds it is good for; 0 is for ever."]
    access_token: Annotated[str | None, Automatic(), Unique(), "The token; made up when absent."] = None
    refresh_token: Annotated[str | None, Unique(), "Token that a new one can be had for."] = None
    authenticated_userid: Annotated[str | None, "User who consented."] = None
    scope: Annotated[str | None, "What was consented to."] = None


class AcmeStorage(
    Entity,
    collection="acme_storage",
    singular="acme_storage",
    endpoint_key="key",
    cache_key=("key",),
    workspaced=False,
    ttl=True,
):
    """What the acme plugin keeps: accounts, orders, certificates."""

    id: AutoId = None
    key: Annotated[str, Automatic(), Unique(), "Name of the value."]
    value: Annotated[str, Automatic(), "The value."]
    created_at: CreatedAt = None


class Session(Entity, collection="sessions", endpoint_key="session_id", cache_key=("session_id",), ttl=True):
    """What the session plugin keeps."""

    id: AutoId = None
    session_id: Annotated[str, Unique(), "Id of the session."]
    expires: Annotated[int | None, "When it expires, in seconds since 1970."] = None
    data: Annotated[str | None, "Its content."] = None
    created_at: CreatedAt = None
