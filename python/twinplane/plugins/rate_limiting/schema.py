"""The configuration of `rate-limiting`."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Check,
    Equals,
    GreaterThan,
    Length,
    Plugin,
    Record,
    Required,
    Since,
    at_least_one_of,
    when,
)
from twinplane.schema.parts.limits import falling_limit
from twinplane.schema.parts.redis import Redis, flat_redis_names
from twinplane.schema.shared import HeaderName, HttpProtocols, Path


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
    header_name: Annotated[HeaderName | None, "Header to count by."] = None
    path: Annotated[Path | None, "Path to count by."] = None
    policy: Annotated[Literal["local", "cluster", "redis"] | None, Length(minimum=0), "Where counts are kept."] = (
        "local"
    )
    fault_tolerant: Annotated[bool, "Let requests through while counts cannot be kept."] = True
    redis: Annotated[Redis, "The Redis that keeps the data."]
    hide_client_headers: Annotated[bool, "Tell clients nothing of their limits."] = False
    error_code: Annotated[float | None, GreaterThan(0), Since("3.1"), "Status of a refusal."] = 429
    error_message: Annotated[str | None, Since("3.1"), "Text of the refusal."] = "API rate limit exceeded"
    sync_rate: Annotated[float, Since("3.4"), "How often counts are exchanged, in seconds; -1 with each request."] = -1

    shorthands: ClassVar = flat_redis_names("rate-limiting")


def _bad_limits(config: dict[str, Any]) -> str | None:
    """Longer periods allow no less than shorter ones; counters are written late only to Redis."""
    wrong = falling_limit(config)
    if wrong is not None:
        return f"The limit for {wrong}"
    if config["policy"] != "redis" and config["sync_rate"] != -1:
        return "sync_rate can only be used with the redis policy"
    return None


class RateLimiting(
    Plugin,
    name="rate-limiting",
    version="3.9.3",
    priority=910,
    phases=("access",),
):
    """Limits how many requests may come in a second, minute, hour, day, month or year."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, Check(_bad_limits), "Settings of the plugin."]
    checks: ClassVar = (
        at_least_one_of("config.second", "config.minute", "config.hour", "config.day", "config.month", "config.year"),
        when("config.policy", Equals("redis")).then("config.redis.host", Required()),
        when("config.policy", Equals("redis")).then("config.redis.port", Required()),
        when("config.policy", Equals("redis")).then("config.redis.timeout", Required()),
        when("config.limit_by", Equals("header")).then("config.header_name", Required()),
        when("config.limit_by", Equals("path")).then("config.path", Required()),
    )


PLUGIN = RateLimiting
