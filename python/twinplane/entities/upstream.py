"""Upstreams and their targets: a virtual host name and the addresses behind it."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Check,
    Defaulted,
    Enterprise,
    Entity,
    Error,
    Length,
    Match,
    Record,
    Reference,
    References,
    Required,
    Shorthand,
    Since,
    Transformation,
    Unique,
    distinct,
    one_of,
    when,
)
from twinplane.schema.hosts import BadAddressError, bad_upstream_name, parse_address
from twinplane.schema.shared import (
    AutoId,
    CookieName,
    CreatedAt,
    HeaderName,
    HostWithOptionalPort,
    MomentMs,
    Path,
    Sni,
    Tags,
    UpdatedAt,
)

HashInput = Literal["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]
CheckType = Literal["tcp", "http", "https", "grpc", "grpcs"]
Status = Annotated[int, Between(100, 999)]
Seconds = Annotated[float | None, Between(0, 65535)]
Count = Annotated[int | None, Between(0, 255)]
Headers = dict[HeaderName, list[str]]

DEFAULT_PORT = 8000
_UNHASHED = ("least-connections", "latency", "sticky-sessions")
_OK = [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308]


class ActiveUnhealthy(Record):
    """When probes make a target unhealthy."""

    http_statuses: Annotated[list[Status] | None, "Statuses that count as failures."] = [
        429,
        404,
        500,
        501,
        502,
        503,
        504,
        505,
    ]
    interval: Annotated[Seconds, "Seconds between probes of unhealthy targets; 0 is never."] = 0
    tcp_failures: Annotated[Count, "Failed connections that make a target unhealthy; 0 is never."] = 0
    timeouts: Annotated[Count, "Timeouts that make a target unhealthy; 0 is never."] = 0
    http_failures: Annotated[Count, "Failing statuses that make a target unhealthy; 0 is never."] = 0


class ActiveHealthy(Record):
    """When probes make a target healthy."""

    http_statuses: Annotated[list[Status] | None, "Statuses that count as successes."] = [200, 302]
    interval: Annotated[Seconds, "Seconds between probes of healthy targets; 0 is never."] = 0
    successes: Annotated[Count, "Successes that make a target healthy; 0 is never."] = 0


class Active(Record):
    """Probes sent to targets."""

    headers: Annotated[Headers | None, "Headers of a probe."] = None
    http_path: Annotated[Path | None, "Path of a probe."] = "/"
    https_sni: Annotated[Sni | None, "Server name used in probes over TLS."] = None
    https_verify_certificate: Annotated[bool, "Whether probes over TLS verify the certificate."] = True
    type: Annotated[CheckType | None, "Protocol of a probe."] = "http"
    concurrency: Annotated[int | None, Between(1, 2147483648), "Targets probed at the same time."] = 10
    unhealthy: Annotated[ActiveUnhealthy, Defaulted(), "When a target becomes unhealthy."]
    timeout: Annotated[Seconds, "Seconds to wait for the answer to a probe."] = 1
    healthy: Annotated[ActiveHealthy, Defaulted(), "When a target becomes healthy."]


class PassiveUnhealthy(Record):
    """When traffic makes a target unhealthy."""

    http_statuses: Annotated[list[Status] | None, "Statuses that count as failures."] = [429, 500, 503]
    http_failures: Annotated[Count, "Failing statuses that make a target unhealthy; 0 is never."] = 0
    tcp_failures: Annotated[Count, "Failed connections that make a target unhealthy; 0 is never."] = 0
    timeouts: Annotated[Count, "Timeouts that make a target unhealthy; 0 is never."] = 0


class PassiveHealthy(Record):
    """When traffic makes a target healthy."""

    http_statuses: Annotated[list[Status] | None, "Statuses that count as successes."] = _OK
    successes: Annotated[Count, "Successes that make a target healthy; 0 is never."] = 0


class Passive(Record):
    """What the proxied traffic tells about targets."""

    type: Annotated[CheckType | None, "Protocol whose failures count."] = "http"
    unhealthy: Annotated[PassiveUnhealthy, Defaulted(), "When a target becomes unhealthy."]
    healthy: Annotated[PassiveHealthy, Defaulted(), "When a target becomes healthy."]


class Healthchecks(Record):
    """How the health of targets is found out."""

    active: Annotated[Active, Defaulted(), "Probes."]
    passive: Annotated[Passive, Defaulted(), "Observation of traffic."]
    threshold: Annotated[float | None, Between(0, 100), "Share of weight that must be healthy, in percent."] = 0


def _choose_algorithm(algorithm: Any, body: dict[str, Any]) -> None:
    """Only consistent hashing hashes: other algorithms put the hash input aside."""
    body["algorithm"] = "round-robin" if algorithm is None else algorithm
    if algorithm in _UNHASHED:
        body["hash_on"] = "none"


def _choose_hash(hash_on: Any, body: dict[str, Any]) -> None:
    """A hash input implies consistent hashing, and none implies round robin."""
    body["hash_on"] = "none" if hash_on is None else hash_on
    if hash_on in (None, "none"):
        if body.get("algorithm") not in _UNHASHED:
            body["algorithm"] = "round-robin"
    elif body.get("algorithm") not in _UNHASHED:
        body["algorithm"] = "consistent-hashing"


def _fallback_other_than(*own: str) -> Any:
    order = ("none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture")
    return one_of(*(name for name in order if name not in own))


class Upstream(Entity, collection="upstreams", endpoint_key="name"):
    """A virtual host name that balances over targets."""

    id: AutoId = None
    created_at: CreatedAt = None
    name: Annotated[str, Unique(), Check(bad_upstream_name), "Host name by which services name it."]
    updated_at: UpdatedAt = None
    algorithm: Annotated[
        str | None,
        one_of("consistent-hashing", "least-connections", "round-robin", "latency", enterprise=("sticky-sessions",)),
        "How a target is picked.",
    ] = "round-robin"
    hash_on: Annotated[HashInput | None, "What consistent hashing hashes."] = "none"
    hash_fallback: Annotated[HashInput | None, "What is hashed where the first input is absent."] = "none"
    hash_on_header: Annotated[HeaderName | None, "Header to hash."] = None
    hash_fallback_header: Annotated[HeaderName | None, "Header to hash as a fallback."] = None
    hash_on_cookie: Annotated[CookieName | None, "Cookie to hash; set where it is absent."] = None
    hash_on_cookie_path: Annotated[Path | None, "Path of the cookie that is set."] = "/"
    hash_on_query_arg: Annotated[str | None, Length(minimum=1), "Query argument to hash."] = None
    hash_fallback_query_arg: Annotated[str | None, Length(minimum=1), "Query argument to hash as a fallback."] = None
    hash_on_uri_capture: Annotated[str | None, Length(minimum=1), "Capture of the route's path to hash."] = None
    hash_fallback_uri_capture: Annotated[
        str | None, Length(minimum=1), "Capture of the route's path to hash as a fallback."
    ] = None
    sticky_sessions_cookie: Annotated[CookieName | None, Enterprise(), "Cookie that ties a client to a target."] = None
    sticky_sessions_cookie_path: Annotated[Path | None, Enterprise(), "Path of that cookie."] = "/"
    slots: Annotated[int | None, Between(10, 65536), "Slots of the balancer's wheel."] = 10000
    healthchecks: Annotated[Healthchecks, Defaulted(), "How the health of targets is found out."]
    tags: Tags = None
    host_header: Annotated[HostWithOptionalPort | None, "Host that targets see."] = None
    client_certificate: Annotated[
        Reference | None, References("certificates"), "Certificate shown to targets that ask for one."
    ] = None
    use_srv_name: Annotated[bool | None, Since("3.1"), "Whether targets see the name of the SRV record as host."] = (
        False
    )

    shorthands: ClassVar = (
        Shorthand(
            "algorithm",
            str,
            expand=_choose_algorithm,
            description="All but consistent-hashing set hash_on to none.",
        ),
        Shorthand(
            "hash_on",
            str,
            expand=_choose_hash,
            description="Given with no algorithm, or with round-robin, it sets the algorithm to consistent-hashing.",
        ),
    )
    checks: ClassVar = (
        when("hash_on", Match("^header$")).then("hash_on_header", Required()),
        when("hash_fallback", Match("^header$")).then("hash_fallback_header", Required()),
        when("hash_on", Match("^cookie$")).then("hash_on_cookie", Required()),
        when("hash_fallback", Match("^cookie$")).then("hash_on_cookie", Required()),
        when("hash_on", Match("^none$")).then("hash_fallback", one_of("none")),
        when("hash_on", Match("^cookie$")).then("hash_fallback", one_of("none")),
        when("hash_on", Match("^consumer$")).then("hash_fallback", _fallback_other_than("consumer")),
        when("hash_on", Match("^ip$")).then("hash_fallback", _fallback_other_than("ip")),
        when("hash_on", Match("^path$")).then(
            "hash_fallback", one_of("none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture")
        ),
        distinct("hash_on_header", "hash_fallback_header"),
        when("hash_on", Match("^query_arg$")).then("hash_on_query_arg", Required()),
        when("hash_fallback", Match("^query_arg$")).then("hash_fallback_query_arg", Required()),
        distinct("hash_on_query_arg", "hash_fallback_query_arg"),
        when("hash_on", Match("^uri_capture$")).then("hash_on_uri_capture", Required()),
        when("hash_fallback", Match("^uri_capture$")).then("hash_fallback_uri_capture", Required()),
        distinct("hash_on_uri_capture", "hash_fallback_uri_capture"),
        when("algorithm", Match("^sticky%-sessions$")).then("sticky_sessions_cookie", Required(), enterprise=True),
    )


_INVALID_TARGET = "Invalid target; not a valid hostname or ip address"


def _bad_target(value: str) -> str | None:
    try:
        parse_address(value)
    except BadAddressError:
        return _INVALID_TARGET
    return None


def _spell_out_target(row: dict[str, Any]) -> None:
    """Targets are kept as `host:port`, addresses of version 6 in full and in brackets."""
    address = parse_address(row["target"])
    host = f"[{address.host}]" if address.kind == "ipv6" else address.host
    row["target"] = f"{host}:{DEFAULT_PORT if address.port is None else address.port}"


class Target(Entity, collection="targets", endpoint_key="target", cache_key=("upstream", "target")):
    """An address behind an upstream, with its share of the traffic."""

    id: AutoId = None
    created_at: Annotated[MomentMs, "When the row was created, in seconds since 1970."] = None
    updated_at: Annotated[MomentMs, "When the row last changed, in seconds since 1970."] = None
    upstream: Annotated[Reference, References("upstreams", on_delete="cascade"), "Upstream the target belongs to."]
    target: Annotated[
        str,
        Check(_bad_target),
        Error(_INVALID_TARGET, served=False),
        "Host or address, with or without a port (8000 if none).",
    ]
    weight: Annotated[int | None, Between(0, 65535), "Share of the traffic; 0 is none."] = 100
    failover: Annotated[bool | None, Enterprise(), "Whether it is used only when all others are down."] = False
    tags: Tags = None

    transformations: ClassVar = (Transformation(_spell_out_target, of="target"),)
