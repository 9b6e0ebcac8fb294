"""Routes that nothing reaches, and ranks that surprise: a request that fulfils just what a route asks for is put to the
router itself. Whoever else wins it asks for no more, and so takes all that the route is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import orjson

from twinplane.node.explain import RouterOfFile
from twinplane.node.lint.findings import Finding
from twinplane.node.lint.regexes import example, trouble
from twinplane.node.lint.streams import STREAMS, lint_streams
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.pdk import Plugin

ROUTES_MAX = 2_000
_REQUESTS_MAX = 24
# What no route asks for.
_NO_HOST, _NO_METHOD = "nobody.invalid", "LINT"
_HTTP = {"http", "https", "grpc", "grpcs", "ws", "wss"}
Row = Mapping[str, Any]


def lint_routes(
    table: Mapping[str, Sequence[Row]], text: bytes, settings: NodeSettings, plugins: Sequence[type[Plugin[Any]]] = ()
) -> Iterator[Finding]:
    """Everything about the routes of a table, whose `text` a core takes."""
    disabled = {row["id"] for row in table.get("services", ()) if not row["enabled"]}
    served, streams = [], []
    for route in table.get("routes", ()):
        yield from _patterns(route)
        if route["service"] in disabled:
            yield Finding("route-disabled", "routes", called(route), "its service is disabled")
        elif _HTTP & set(route["protocols"]) and route.get("expression") is None:
            served.append(route)
        elif set(route["protocols"]) <= STREAMS and route.get("expression") is None:
            streams.append(route)
    total = len(served) + len(streams)
    unasked = total - len(served[:ROUTES_MAX]) - len(streams[:ROUTES_MAX])
    if unasked:
        detail = f"{unasked} of {total} routes were not asked for"
        yield Finding("not-checked", "routes", "*", detail)
    names = {route["id"]: called(route) for route in table.get("routes", ())}
    other = "original" if settings["route_match_calculation"] == "strict" else "strict"
    with (
        RouterOfFile(settings, text, plugins) as router,
        RouterOfFile(settings, text, plugins, route_match_calculation=other) as otherwise,
    ):
        for route in served[:ROUTES_MAX]:
            yield from _reach(route, names, router, (otherwise, other))
        yield from lint_streams(streams[:ROUTES_MAX], names, router)


def called(row: Row) -> str:
    """What people call an entity."""
    name = row.get("name") or row.get("username") or row["id"]
    return str(name)


def _reach(
    route: Row, names: Mapping[str, str], router: RouterOfFile, other: tuple[RouterOfFile, str]
) -> Iterator[Finding]:
    own = route["id"]
    winners: set[str] = set()
    surprises: dict[str, str] = {}
    is_reached = False
    for request in islice(_requests(route), _REQUESTS_MAX):
        told = router.ask(request)
        won = told["route"] and told["route"]["id"]
        matching = {won, *(each["id"] for each in told["would_match"])}
        if own not in matching:
            # Not one of its requests after all: a pattern of which no example was found.
            continue
        otherwise = other[0].ask(request)["route"]
        if won == own:
            is_reached = True
        else:
            winners.add(won)
            if otherwise is not None and otherwise["id"] == own:
                surprises.setdefault(won, _shown(request))
    for winner, shown in surprises.items():
        detail = f"{shown} goes to '{names[winner]}'; with route_match_calculation={other[1]} it would come here"
        yield Finding("rank-surprise", "routes", called(route), detail)
    if winners and not is_reached and not surprises:
        above = ", ".join(sorted(f"'{names[winner]}'" for winner in winners))
        yield Finding("route-unreachable", "routes", called(route), f"all that it matches goes to {above}")


def _requests(route: Row) -> Iterator[bytes]:
    """Requests that fulfil what a route asks for, and nothing beside it."""
    is_tls = not {"http", "grpc", "ws"} & set(route["protocols"]) or bool(route["snis"])
    paths = [path for given in route["paths"] or ["/"] for path in _paths(given)]
    headers = [
        [(name, value) for value in map(_header_value, values) if value is not None]
        for name, values in (route["headers"] or {}).items()
    ]
    for host, path, method, sni, fields in product(
        [_host(given) for given in route["hosts"] or [_NO_HOST]],
        paths,
        route["methods"] or [_NO_METHOD],
        [_host(given.rstrip(".")) for given in route["snis"] or [""]],
        product(*headers),
    ):
        yield orjson.dumps(
            {
                "method": method, "host": host, "target": path, "is_tls": is_tls, "sni": sni or None,
                "is_http2": bool({"grpc", "grpcs"} & set(route["protocols"])), "headers": list(fields),
                "considered_max": 1000, "routes_only": True,
            }
        )  # fmt: skip


def _paths(given: str) -> list[str]:
    if given.startswith("~"):
        found = example(given[1:])
        return [] if found is None else [found]
    return [given, given.rstrip("/") + "/only-lint-asks-for-this"]


def _host(given: str) -> str:
    return given.replace("*", "only-lint-asks-for-this")


def _header_value(given: str) -> str | None:
    return example(given[2:]) if given.startswith("~*") else given


def _shown(request: bytes) -> str:
    asked = orjson.loads(request)
    method = "" if asked["method"] == _NO_METHOD else f"{asked['method']} "
    host = "" if asked["host"] == _NO_HOST else asked["host"]
    return f"{method}{host}{asked['target']}"


def _patterns(route: Row) -> Iterator[Finding]:
    patterns = [path[1:] for path in route["paths"] or () if path.startswith("~")]
    patterns += [
        value[2:] for values in (route["headers"] or {}).values() for value in values if value.startswith("~*")
    ]
    for pattern in patterns:
        for code, detail in trouble(pattern):
            yield Finding(code, "routes", called(route), detail)
    expression = route.get("expression")
    if expression and _mixes(expression):
        yield Finding("expression-mixes-operators", "routes", called(route), f"in {expression}")


def _mixes(expression: str) -> bool:
    """Whether `&&` and `||` stand in one pair of brackets."""
    levels: list[set[str]] = [set()]
    quoted = False
    for at, letter in enumerate(expression):
        if letter == '"' and expression[at - 1 : at] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif letter == "(":
            levels.append(set())
        elif letter == ")":
            levels.pop()
        elif expression[at : at + 2] in ("&&", "||"):
            levels[-1].add(expression[at : at + 2])
            if len(levels[-1]) == 2:
                return True
    return False
