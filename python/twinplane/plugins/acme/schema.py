"""The configuration of `acme`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Check,
    Encrypted,
    Equals,
    Length,
    Match,
    MatchAll,
    MatchAny,
    Plugin,
    Record,
    Referenceable,
    Required,
    Since,
    check,
    one_of,
    renamed,
    when,
)
from twinplane.schema.hosts import bad_route_host
from twinplane.schema.parts.redis import Redis
from twinplane.schema.shared import Host, HttpProtocols, NoConsumer, NoRoute, NoService, Url


class AccountKey(Record):
    """Key of the account, kept as a key entity."""

    key_id: Annotated[str, "Id of the key."]
    key_set: Annotated[str | None, "Set that the key is in."] = None


class Shm(Record):
    """Kept in memory of the node."""

    shm_name: Annotated[str | None, "Name of the memory zone."] = "kong"


class Kong(Record):
    """Kept in the configuration store."""


class ExtraOptions(Record):
    """Further settings."""

    namespace: Annotated[str, Length(minimum=0), "Prefix of the keys."] = ""
    scan_count: Annotated[float | None, "Keys looked at in one go."] = 10


class AcmeRedis(Redis):
    """The Redis that keeps the data."""

    extra_options: Annotated[ExtraOptions, "Further settings."]

    shorthands: ClassVar = (
        renamed(
            "auth",
            Annotated[str, Length(minimum=0)],
            "password",
            message="acme: config.storage_config.redis.auth is deprecated, "
            "please use config.storage_config.redis.password instead",
        ),
        renamed(
            "ssl_server_name",
            str,
            "server_name",
            message="acme: config.storage_config.redis.ssl_server_name is deprecated, "
            "please use config.storage_config.redis.server_name instead",
        ),
        renamed(
            "namespace",
            Annotated[str, Length(minimum=0)],
            "extra_options",
            "namespace",
            message="acme: config.storage_config.redis.namespace is deprecated, "
            "please use config.storage_config.redis.extra_options.namespace instead",
        ),
        renamed(
            "scan_count",
            int,
            "extra_options",
            "scan_count",
            message="acme: config.storage_config.redis.scan_count is deprecated, "
            "please use config.storage_config.redis.extra_options.scan_count instead",
        ),
    )


class Consul(Record):
    """Kept in Consul."""

    https: Annotated[bool | None, "Speak TLS to the sink."] = False
    host: Annotated[Host | None, "Host that is spoken to."] = None
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = None
    kv_path: Annotated[str | None, "Path of the keys."] = None
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = None
    token: Annotated[str | None, Referenceable(), "Token at the server."] = None


class Vault(Record):
    """Kept in Vault."""

    https: Annotated[bool | None, "Speak TLS to the sink."] = False
    host: Annotated[Host | None, "Host that is spoken to."] = None
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = None
    kv_path: Annotated[str | None, "Path of the keys."] = None
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = None
    token: Annotated[str | None, Referenceable(), "Token at the server."] = None
    tls_verify: Annotated[bool | None, "Verify the server's certificate."] = True
    tls_server_name: Annotated[str | None, "Server name asked for in TLS."] = None
    auth_method: Annotated[Literal["token", "kubernetes"] | None, "How the server knows us."] = "token"
    auth_path: Annotated[str | None, "Path of the login."] = None
    auth_role: Annotated[str | None, "Role that is asked for."] = None
    jwt_path: Annotated[str | None, "Path of the file with the token."] = None


class StorageConfig(Record):
    """How the data is kept."""

    shm: Annotated[Shm, "Kept in memory of the node."]
    kong: Annotated[Kong, "Kept in the configuration store."]
    redis: Annotated[AcmeRedis, "The Redis that keeps the data."]
    consul: Annotated[Consul, "Kept in Consul."]
    vault: Annotated[Vault, "Kept in Vault."]


class Config(Record):
    """The configuration."""

    account_email: Annotated[
        str, Match("%w*%p*@+%w*%.?%w*"), Referenceable(), Encrypted(), "Mail address of the account."
    ]
    account_key: Annotated[AccountKey | None, Since("3.3"), "Key of the account, kept as a key entity."] = None
    api_uri: Annotated[Url | None, "Address of the authority's directory."] = (
        "https://acme-v02.api.letsencrypt.org/directory"
    )
    tos_accepted: Annotated[bool | None, "Whether the authority's terms are accepted."] = False
    eab_kid: Annotated[str | None, Referenceable(), Encrypted(), "Key id of the external account."] = None
    eab_hmac_key: Annotated[str | None, Referenceable(), Encrypted(), "Key of the external account."] = None
    cert_type: Annotated[Literal["rsa", "ecc"] | None, "Kind of key of the certificates."] = "rsa"
    rsa_key_size: Annotated[float | None, one_of(2048, 3072, 4096), "Bits of an RSA key."] = 4096
    renew_threshold_days: Annotated[float | None, "Days before the end when a certificate is renewed."] = 14
    domains: Annotated[
        list[
            Annotated[
                str,
                MatchAll("^[^*]*%*?[^*]*$", "invalid wildcard: must have at most one wildcard"),
                MatchAny(
                    ("^%*%.", "%.%*$", "^[^*]*$"), "invalid wildcard: must be placed at leftmost or rightmost label"
                ),
                Check(bad_route_host),
            ]
        ]
        | None,
        "Names that certificates are made for.",
    ] = None
    allow_any_domain: Annotated[bool | None, "Make certificates for any name."] = False
    fail_backoff_minutes: Annotated[float | None, "Minutes to wait after a failure."] = 5
    storage: Annotated[Literal["kong", "shm", "redis", "consul", "vault"] | None, "Where the data is kept."] = "shm"
    storage_config: Annotated[StorageConfig, "How the data is kept."]
    preferred_chain: Annotated[str | None, "Issuer whose chain is preferred."] = None
    enable_ipv4_common_name: Annotated[bool | None, Since("3.1"), "Let IPv4 addresses be names."] = True


def _storage_fits(_row: Mapping[Any, Any]) -> None:
    """Every storage can be chosen; one that a node lacks shows when it starts."""


class Acme(
    Plugin,
    name="acme",
    version="3.9.3",
    priority=1705,
    phases=("init_worker", "configure", "certificate", "access"),
):
    """Gets and renews certificates from an authority by the ACME protocol."""

    consumer: NoConsumer = None
    service: NoService = None
    route: NoRoute = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        when(
            "config.api_uri",
            one_of("https://acme-v02.api.letsencrypt.org", "https://acme-staging-v02.api.letsencrypt.org"),
        ).then(
            "config.tos_accepted",
            Equals(True),
            error="terms of service must be accepted, see https://letsencrypt.org/repository/",
        ),
        when("config.storage", Equals("redis")).then("config.storage_config.redis.host", Required()),
        when("config.storage", Equals("redis")).then("config.storage_config.redis.port", Required()),
        check(_storage_fits, "config.storage"),
    )


PLUGIN = Acme
