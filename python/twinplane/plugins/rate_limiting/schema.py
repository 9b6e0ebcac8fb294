"""The configuration of `rate-limiting`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import (
    Between,
    Encrypted,
    Equals,
    GreaterThan,
    Length,
    MatchNone,
    Plugin,
    Record,
    Referenceable,
    Required,
    StartsWith,
    at_least_one_of,
    renamed,
    when,
)
from twinplane.schema.shared import HttpProtocols


class Redis(Record):
    """The Redis that keeps the data."""

    host: Annotated[str | None, "Host that is spoken to."] = None
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = 6379
    timeout: Annotated[
        int | None, Between(0, 2147483646), "How long a connection, a send or a read may take, in milliseconds."
    ] = 2000
    username: Annotated[str | None, Referenceable(), "User name at the server."] = None
    password: Annotated[str | None, Length(minimum=0), Referenceable(), Encrypted(), "Password at the server."] = None
    database: Annotated[int | None, "Number of the database."] = 0
    ssl: Annotated[bool | None, "Speak TLS."] = False
    ssl_verify: Annotated[bool | None, "Verify the server's certificate."] = False
    server_name: Annotated[str | None, "Server name asked for in TLS."] = None


class Config(Record):
    """The configuration."""

    second: Annotated[float | None, GreaterThan(0), "Requests in a second."] = None
    minute: Annotated[float | None, GreaterThan(0), "Requests in a minute."] = None
    hour: Annotated[float | None, GreaterThan(0), "Requests in an hour."] = None
    day: Annotated[float | None, GreaterThan(0), "Requests in a day."] = None
    month: Annotated[float | None, GreaterThan(0), "Requests in a month."] = None
    year: Annotated[float | None, GreaterThan(0), "Requests in a year."] = None
    limit_by: Annotated[
        Literal["consumer", "credential", "ip", "service", "header", "path"] | None,
        "Whose requests are counted together.",
    ] = "consumer"
    header_name: Annotated[str | None, "Header that is read or written."] = None
    path: Annotated[
        str | None, StartsWith("/"), MatchNone("//", "must not have empty segments"), "Path that is matched or used."
    ] = None
    policy: Annotated[Literal["local", "redis"] | None, Length(minimum=0), "Where counts are kept."] = "local"
    fault_tolerant: Annotated[bool, "Let requests through while counts cannot be kept."] = True
    redis: Annotated[Redis, "The Redis that keeps the data."]
    hide_client_headers: Annotated[bool, "Tell clients nothing of their limits."] = False
    error_code: Annotated[float | None, GreaterThan(0), "Status of a refusal."] = 429
    error_message: Annotated[str | None, "Text of a refusal."] = "API rate limit exceeded"
    sync_rate: Annotated[float, "How often counts are exchanged, in seconds; -1 with each request."] = -1

    shorthands: ClassVar = (
        renamed(
            "redis_host",
            str,
            "redis",
            "host",
            message="rate-limiting: config.redis_host is deprecated, please use config.redis.host instead",
        ),
        renamed(
            "redis_port",
            int,
            "redis",
            "port",
            message="rate-limiting: config.redis_port is deprecated, please use config.redis.port instead",
        ),
        renamed(
            "redis_password",
            Annotated[str, Length(minimum=0)],
            "redis",
            "password",
            message="rate-limiting: config.redis_password is deprecated, please use config.redis.password instead",
        ),
        renamed(
            "redis_username",
            str,
            "redis",
            "username",
            message="rate-limiting: config.redis_username is deprecated, please use config.redis.username instead",
        ),
        renamed(
            "redis_ssl",
            bool,
            "redis",
            "ssl",
            message="rate-limiting: config.redis_ssl is deprecated, please use config.redis.ssl instead",
        ),
        renamed(
            "redis_ssl_verify",
            bool,
            "redis",
            "ssl_verify",
            message="rate-limiting: config.redis_ssl_verify is deprecated, please use config.redis.ssl_verify instead",
        ),
        renamed(
            "redis_server_name",
            str,
            "redis",
            "server_name",
            message="rate-limiting: config.redis_server_name is deprecated, please use config.redis.server_name instead",
        ),
        renamed(
            "redis_timeout",
            int,
            "redis",
            "timeout",
            message="rate-limiting: config.redis_timeout is deprecated, please use config.redis.timeout instead",
        ),
        renamed(
            "redis_database",
            int,
            "redis",
            "database",
            message="rate-limiting: config.redis_database is deprecated, please use config.redis.database instead",
        ),
    )


class RateLimiting(
    Plugin,
    name="rate-limiting",
    version="3.9.3",
    priority=910,
    phases=("access",),
):
    """Limits how many requests may come in a second, minute, hour, day, month or year."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        at_least_one_of("config.second", "config.minute", "config.hour", "config.day", "config.month", "config.year"),
        when("config.policy", Equals("redis")).then("config.redis.host", Required()),
        when("config.policy", Equals("redis")).then("config.redis.port", Required()),
        when("config.policy", Equals("redis")).then("config.redis.timeout", Required()),
        when("config.limit_by", Equals("header")).then("config.header_name", Required()),
        when("config.limit_by", Equals("path")).then("config.path", Required()),
    )


PLUGIN = RateLimiting
