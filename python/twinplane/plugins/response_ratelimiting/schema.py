"""The configuration of `response-ratelimiting`."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import Check, Equals, GreaterThan, Length, Plugin, Record, Required, at_least_one_of, when
from twinplane.schema.parts.limits import falling_limit
from twinplane.schema.parts.redis import Redis, flat_redis_names
from twinplane.schema.shared import HttpProtocols


class Limits(Record):
    """Limits by name."""

    second: Annotated[float | None, GreaterThan(0), "Requests in a second."] = None
    minute: Annotated[float | None, GreaterThan(0), "Requests in a minute."] = None
    hour: Annotated[float | None, GreaterThan(0), "Requests in an hour."] = None
    day: Annotated[float | None, GreaterThan(0), "Requests in a day."] = None
    month: Annotated[float | None, GreaterThan(0), "Requests in a month."] = None
    year: Annotated[float | None, GreaterThan(0), "Requests in a year."] = None

    checks: ClassVar = (at_least_one_of("second", "minute", "hour", "day", "month", "year"),)


def _bad_limits(limits: dict[str, dict[str, Any]]) -> str | None:
    """Longer periods allow no less than shorter ones."""
    wrong = next(filter(None, map(falling_limit, limits.values())), None)
    return None if wrong is None else f"the limit for {wrong}"


class Config(Record):
    """The configuration."""

    header_name: Annotated[str | None, "Header of answers that names counters."] = "x-kong-limit"
    limit_by: Annotated[Literal["consumer", "credential", "ip"] | None, "Whose requests are counted together."] = (
        "consumer"
    )
    policy: Annotated[Literal["local", "cluster", "redis"] | None, "Where counts are kept."] = "local"
    fault_tolerant: Annotated[bool, "Let requests through while counts cannot be kept."] = True
    redis: Annotated[Redis, "The Redis that keeps the data."]
    block_on_first_violation: Annotated[bool, "Refuse before the upstream is asked once a limit is spent."] = False
    hide_client_headers: Annotated[bool, "Tell clients nothing of their limits."] = False
    limits: Annotated[
        dict[str, Annotated[Limits, Required()]],
        Length(minimum=1),
        Check(_bad_limits),
        "Counters by name, each with its limits.",
    ]

    shorthands: ClassVar = flat_redis_names("response-ratelimiting")


class ResponseRatelimiting(
    Plugin,
    name="response-ratelimiting",
    version="3.9.3",
    priority=900,
    phases=("access", "header_filter", "log"),
):
    """Limits requests by what the answers say they cost."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        when("config.policy", Equals("redis")).then("config.redis.host", Required()),
        when("config.policy", Equals("redis")).then("config.redis.port", Required()),
        when("config.policy", Equals("redis")).then("config.redis.timeout", Required()),
    )


PLUGIN = ResponseRatelimiting
