"""Routes: which requests go to which service."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Check,
    ChosenBy,
    Elements,
    Entity,
    Equals,
    Error,
    ExclusiveSubsets,
    Length,
    Match,
    MatchAll,
    MatchAny,
    MatchNone,
    Record,
    Reference,
    References,
    Variant,
    at_least_one_of,
    check,
    not_in,
    when,
)
from twinplane.schema.checks import EntityCheck
from twinplane.schema.expression import bad_expression
from twinplane.schema.hosts import bad_route_host
from twinplane.schema.paths import bad_route_path
from twinplane.schema.rules import kong_text
from twinplane.schema.shared import (
    AutoId,
    CreatedAt,
    HeaderName,
    IpOrCidr,
    Port,
    Protocol,
    SetOf,
    Tags,
    UniqueName,
    UpdatedAt,
    WildcardHost,
)

FAMILIES = (("http", "https"), ("tcp", "tls", "udp"), ("tls_passthrough",), ("grpc", "grpcs"))
MATCHERS = ("methods", "hosts", "paths", "headers", "snis", "sources", "destinations")

Method = Annotated[str, Match("^%u+$")]
RouteHost = Annotated[
    str,
    MatchAll("^[^*]*%*?[^*]*$", "invalid wildcard: must have at most one wildcard"),
    MatchAny(("^%*%.", "%.%*$", "^[^*]*$"), "invalid wildcard: must be placed at leftmost or rightmost label"),
    Check(bad_route_host),
]
RoutePath = Annotated[
    str,
    MatchAny(("^/", "^~/"), "should start with: / (fixed path) or ~/ (regex path)"),
    MatchNone("//", "must not have empty segments"),
    Check(bad_route_path),
]
MatchedHeader = Annotated[
    HeaderName,
    MatchNone("^[Hh][Oo][Ss][Tt]$", "cannot contain 'host' header, which must be specified in the 'hosts' attribute"),
]


class Endpoint(Record):
    """One end of a connection."""

    ip: Annotated[IpOrCidr | None, "Address or range."] = None
    port: Annotated[Port | None, "Port."] = None

    checks: ClassVar = (at_least_one_of("ip", "port"),)


def _is_set(row: Mapping[Any, Any], name: str) -> bool:
    return row.get(name) not in (None, [], {})


def _needs_a_matcher(row: Mapping[Any, Any], extra: tuple[str, ...] = ()) -> str | None:
    """A route has to match on something that its protocols carry."""
    protocols = row.get("protocols") or ()
    needed: tuple[str, ...]
    if "https" in protocols:
        needed, shown = ("methods", "hosts", "headers", "paths", "snis"), "'https'"
    elif "http" in protocols:
        needed, shown = ("methods", "hosts", "headers", "paths"), "'http'"
    elif "grpcs" in protocols:
        needed, shown = ("hosts", "headers", "paths", "snis"), "'grpcs'"
    elif "grpc" in protocols:
        needed, shown = ("hosts", "headers", "paths"), "'grpc'"
    elif "tls_passthrough" in protocols:
        return None if _is_set(row, "snis") else "must set snis when 'protocols' is 'tls_passthrough'"
    elif protocols:
        needed, shown = ("sources", "destinations", "snis"), "'tcp', 'tls' or 'udp'"
    else:
        return None
    needed += extra
    if any(_is_set(row, name) for name in needed):
        return None
    names = ", ".join(f"'{name}'" for name in needed)
    return f"must set one of {names} when 'protocols' is {shown}"


def _any_path_handling(_row: Mapping[Any, Any]) -> None:
    """`v1` is accepted everywhere; nodes warn where it has no effect."""


NO_PROTOCOL = "nil"


def _uncompilable_path(row: Mapping[Any, Any]) -> str | None:
    """Nodes turn each path into an expression; one whose regular expression they cannot compile is refused here."""
    for path in row.get("paths") or ():
        if path.startswith("~"):
            wrong = bad_expression(f'(http.path ~ r#"^{path[1:]}"#)', stream=False)
            if wrong is not None:
                return f"Router Expression failed validation: {wrong}"
    return None


def _first_protocol(row: Mapping[str, Any]) -> Any:
    """The protocol that decides which family a route is of."""
    protocols = row.get("protocols", "http")
    if isinstance(protocols, list):
        first = protocols[0] if protocols else NO_PROTOCOL
        return "userdata: NULL" if first is None else "table" if isinstance(first, (list, dict)) else first
    return protocols


def _unknown_protocol(protocol: Any) -> dict[str, str]:
    if protocol is None:
        return {"protocols": "required field missing"}
    return {"protocols": f"unknown type: {NO_PROTOCOL if isinstance(protocol, dict) else kong_text(protocol)}"}


class Route(Entity, collection="routes", endpoint_key="name"):
    """A rule that matches requests and leads them to a service."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    name: UniqueName = None
    protocols: Annotated[
        SetOf[Protocol],
        Length(minimum=1),
        ExclusiveSubsets(FAMILIES),
        "Protocols the route accepts, all of one family.",
    ] = ["http", "https"]
    https_redirect_status_code: Annotated[
        Literal[426, 301, 302, 307, 308], "Status of the answer to a request that fits but for its protocol."
    ] = 426
    strip_path: Annotated[bool, "Whether the matched path is cut off before the request goes upstream."] = True
    preserve_host: Annotated[bool, "Whether the upstream sees the host that the client asked for."] = False
    request_buffering: Annotated[bool, "Whether a request body is read whole before it is sent on."] = True
    response_buffering: Annotated[bool, "Whether an answer is read ahead of a client that is slow."] = True
    tags: Tags = None
    service: Annotated[Reference | None, References("services"), "Service that matched requests go to."] = None
    snis: Annotated[SetOf[WildcardHost] | None, "Server names of the TLS handshake to match."] = None
    sources: Annotated[SetOf[Endpoint] | None, "Origins of a stream to match."] = None
    destinations: Annotated[SetOf[Endpoint] | None, "Local ends of a stream to match."] = None
    methods: Annotated[SetOf[Method] | None, "Methods to match."] = None
    hosts: Annotated[list[RouteHost] | None, "Hosts to match; a first or last label may be `*`."] = None
    paths: Annotated[list[RoutePath] | None, "Path prefixes to match, or regular expressions after `~`."] = None
    headers: Annotated[dict[MatchedHeader, list[str]] | None, "Headers to match, each with its accepted values."] = None
    regex_priority: Annotated[int | None, "Which of several matching regular expressions wins: the highest."] = 0
    path_handling: Annotated[Literal["v0", "v1"] | None, "How the paths of service, route and request are joined."] = (
        "v0"
    )

    chosen_by: ClassVar = ChosenBy(_first_protocol, _unknown_protocol)
    checks: ClassVar[tuple[EntityCheck, ...]] = (
        when("protocols", Elements(not_in("grpcs", "https", "tls", "tls_passthrough"))).then(
            "snis",
            Length(exactly=0),
            error="'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'",
        ),
        check(_any_path_handling, "path_handling"),
        check(
            _needs_a_matcher,
            *("id", "protocols", "snis", "sources", "destinations", "methods", "hosts", "paths", "headers"),
            *("expression", "regex_priority", "priority"),
            with_missing=True,
            unless_broken=("protocols",),
        ),
        check(_uncompilable_path, "paths", hidden=True),
    )


def _expression_or_matchers(row: Mapping[Any, Any]) -> str | dict[str, Any] | None:
    matchers = [name for name in MATCHERS if _is_set(row, name)]
    errors: list[str] = []
    if matchers and row.get("expression") is not None:
        errors.append(f"cannot set 'expression' with {_ALL_MATCHERS} simultaneously")
    elif matchers and row.get("priority") not in (None, 0):
        errors.append(f"cannot set 'priority' with {_ALL_MATCHERS} simultaneously")
    elif row.get("expression") is not None:
        if row.get("regex_priority") not in (None, 0):
            errors.append("cannot set 'regex_priority' with 'expression' simultaneously")
        else:
            wrong = bad_expression(
                row["expression"], stream=_first_protocol(row) in ("tcp", "tls", "udp", "tls_passthrough")
            )
            errors.extend([] if wrong is None else [wrong])
    return f"Router Expression failed validation: {errors[0]}" if errors else None


_ALL_MATCHERS = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'"


class ExpressionRoute(Route, collection="routes", endpoint_key="name"):
    """A route where the router flavour is `expressions`: it may match by an expression instead."""

    expression: Annotated[str | None, "Expression that a request has to satisfy."] = None
    priority: Annotated[int, Between(0, 2**46 - 1), "Which of several matching expressions wins: the highest."] = 0

    checks: ClassVar = (
        *Route.checks[:2],
        Route.checks[3],
        check(
            _expression_or_matchers,
            *("id", "protocols", *MATCHERS, "expression", "regex_priority", "priority"),
            with_missing=True,
            unless_broken=(*MATCHERS, "expression"),
        ),
        check(
            lambda row: _needs_a_matcher(row, ("expression",)),
            *("id", "protocols", *MATCHERS, "expression", "regex_priority", "priority"),
            with_missing=True,
            unless_broken=("protocols",),
        ),
    )


def _unset(name: str, protocols: str) -> tuple[Equals, Error]:
    return Equals(None), Error(f"cannot set '{name}' when 'protocols' is {protocols}")


_HTTP, _GRPC, _STREAM = "'http' or 'https'", "'grpc' or 'grpcs'", "'tcp', 'tls', 'tls_passthrough' or 'udp'"


class AnyHttpRoute(Variant):
    """A route of the http family where routers look at the other end of a connection too."""


class HttpRoute(Variant):
    """A route of the http family."""

    sources: Annotated[SetOf[Endpoint] | None, *_unset("sources", _HTTP)] = None
    destinations: Annotated[SetOf[Endpoint] | None, *_unset("destinations", _HTTP)] = None


class StreamRoute(Variant):
    """A route of bytes, not of requests."""

    methods: Annotated[SetOf[Method] | None, *_unset("methods", _STREAM)] = None
    hosts: Annotated[list[RouteHost] | None, *_unset("hosts", _STREAM)] = None
    paths: Annotated[list[RoutePath] | None, *_unset("paths", _STREAM)] = None
    headers: Annotated[dict[MatchedHeader, list[str]] | None, *_unset("headers", _STREAM)] = None


class AnyGrpcRoute(Variant):
    """A route of the gRPC family where routers look at the other end of a connection too."""

    methods: Annotated[SetOf[Method] | None, *_unset("methods", _GRPC)] = None
    strip_path: Annotated[bool, Equals(False), Error(f"cannot set 'strip_path' when 'protocols' is {_GRPC}")] = False


class GrpcRoute(AnyGrpcRoute):
    """A route of the gRPC family."""

    sources: Annotated[SetOf[Endpoint] | None, *_unset("sources", _GRPC)] = None
    destinations: Annotated[SetOf[Endpoint] | None, *_unset("destinations", _GRPC)] = None


VARIANTS: Mapping[Any, type[Variant]] = {
    **dict.fromkeys(("http", "https"), HttpRoute),
    **dict.fromkeys(("grpc", "grpcs"), GrpcRoute),
    **dict.fromkeys(("tcp", "tls", "udp", "tls_passthrough"), StreamRoute),
}
EXPRESSION_VARIANTS: Mapping[Any, type[Variant]] = {
    **VARIANTS,
    **dict.fromkeys(("http", "https"), AnyHttpRoute),
    **dict.fromkeys(("grpc", "grpcs"), AnyGrpcRoute),
}
