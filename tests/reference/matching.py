"""Which route a request is for, stated plainly: every part of every route is tried, the highest rank wins.

All three flavours of the router. The engine finds the same answer by an index; here is none.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from tests.reference import expressions

SPLIT_NAMESPACE = uuid.UUID("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")


@dataclass(frozen=True, slots=True)
class Request:
    """What a router looks at."""

    method: str
    host: str
    port: int
    path: str
    protocol: str
    sni: str | None
    headers: list[tuple[str, str]]
    query: str = ""
    source: tuple[str | None, int | None] = (None, None)
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A route with those of its paths that rank alike."""

    route: dict[str, Any]
    index: int
    id: uuid.UUID
    paths: list[str]


def find(
    routes: list[dict[str, Any]], request: Request, *, is_strict: bool = False, flavor: str = "traditional_compatible"
) -> dict[str, Any] | None:
    """The route's index and how much of the path its own path took; None where no route matches."""
    parts = [part for index, route in enumerate(routes) for part in split(route, index, flavor)]
    if flavor == "traditional":
        # Equal ones stay in the order of the table.
        parts.sort(key=traditional_order)
    else:
        parts.sort(key=lambda part: (priority(part, is_strict=is_strict), part.id.int), reverse=True)
    for part in parts:
        if matches(part, request, is_strict=is_strict, flavor=flavor):
            expression = part.route.get("expression")
            if expression is not None and flavor == "expressions":
                seen: expressions.Seen = {}
                expressions.holds(expression, request, seen)
                taken_bytes = seen.get("http.path")
                return {
                    "route": part.index,
                    "path_taken": None if taken_bytes is None else min(taken_bytes, len(request.path)),
                    "by_host": "http.host" in seen,
                }
            return {
                "route": part.index,
                "path_taken": taken(part, request),
                "by_host": bool(part.route["hosts"]),
            }
    return None


def split(route: dict[str, Any], index: int, flavor: str = "traditional_compatible") -> list[Part]:
    """One part for each length of prefixes and one for all regexes, numbered as they first appear."""
    if flavor == "expressions" and route.get("expression") is not None:
        return [Part(route, index, uuid.UUID(route["id"]), [])]
    groups: dict[int | None, list[str]] = {}
    for path in route["paths"] or []:
        groups.setdefault(None if path.startswith("~") else len(path.encode()), []).append(path)
    if flavor == "traditional":
        for paths in groups.values():
            paths.sort(key=len, reverse=True)
    if len(groups) < 2:
        return [Part(route, index, uuid.UUID(route["id"]), next(iter(groups.values()), []))]
    return [
        Part(route, index, uuid.uuid5(SPLIT_NAMESPACE, f"{route['id']}#{number}"), paths)
        for number, paths in enumerate(groups.values(), 1)
    ]


def priority(part: Part, *, is_strict: bool) -> int:
    """The rank: as documented where strict, else as a real node's arithmetic has it."""
    route = part.route
    if route.get("expression") is not None:
        return (0xFF << 56) | (route.get("priority") or 0)
    kinds = sum(bool(route[kind]) for kind in ("methods", "hosts", "headers", "snis")) + bool(part.paths)
    has_regex = any(path.startswith("~") for path in part.paths)
    plain = bool(route["hosts"]) and all("*" not in host for host in route["hosts"])
    headers = min(len(route["headers"] or {}), 255)
    regex_priority = (route["regex_priority"] or 0) if has_regex else 0
    length = max((len(path.encode()) for path in part.paths if not path.startswith("~")), default=0)
    value = (plain << 60) | (has_regex << 51) | min(length, 0x7FFFF)
    if is_strict:
        # Negative numbers come first; only their order counts.
        return value | (kinds << 61) | (headers << 52) | (((regex_priority + 2**31) if has_regex else 2**31) << 19)
    # Shifts by 61, 52 and 19 on a 32-bit machine word: 29, 20 and 19, and a sign that spreads upwards.
    word = ((kinds << 29) | (headers << 20) | (regex_priority << 19)) & 0xFFFFFFFF
    if word >= 0x80000000:
        word |= 0xFFFFFFFF00000000
    return value | word


def traditional_order(part: Part) -> tuple[int, ...]:
    """The rank of Kong 2.x, best first: how many attributes, which ones, and then what is told of them."""
    route, has_regex = part.route, any(path.startswith("~") for path in part.paths)
    given = [bool(route[kind]) for kind in ("hosts", "headers")] + [bool(part.paths)]
    given += [bool(route[kind]) for kind in ("methods", "snis")]
    hosts = route["hosts"] or []
    return (
        -sum(given),
        -int("".join(str(int(one)) for one in given), 2),
        -any("*" in host and ":" in host for host in hosts),
        -has_regex,
        -(bool(hosts) and not any("*" in host for host in hosts)),
        -len(route["headers"] or {}),
        -(route["regex_priority"] or 0) if has_regex else 0,
        -max((len(path.encode()) for path in part.paths if not path.startswith("~")), default=0),
        route.get("created_at") or 2**62,
    )


PROTOCOLS = {"grpc": "http", "grpcs": "https", "tls_passthrough": "tcp"}


def lets_in(route: dict[str, Any], request: Request) -> bool:
    """Whether the protocol is one of the route's; routes for TLS alone let clear text in, to be told so."""
    protocols = [PROTOCOLS.get(name, name) for name in route["protocols"]]
    return route["protocols"] in (["https"], ["tls"], ["tls_passthrough"]) or request.protocol in protocols


def matches(part: Part, request: Request, *, is_strict: bool, flavor: str = "traditional_compatible") -> bool:
    """Whether every attribute that is given has a value that matches."""
    route = part.route
    if flavor == "expressions":
        if not lets_in(route, request):
            return False
        if route.get("expression") is not None:
            return expressions.holds(route["expression"], request, {})
    return (
        (not route["methods"] or request.method in route["methods"])
        and (not route["hosts"] or any(host_matches(host, request) for host in route["hosts"]))
        and (not part.paths or any(path_taken(path, request.path) is not None for path in part.paths))
        and all(
            header_matches(name, values, request, has_regexes=flavor != "traditional" or len(values) == 1)
            for name, values in (route["headers"] or {}).items()
        )
        and sni_matches(route, request, is_strict=is_strict, flavor=flavor)
    )


def host_matches(pattern: str, request: Request) -> bool:
    """Case counts. A port in the pattern must be the one that was asked for, or else the listener's."""
    name, _, digits = request.host.partition(":")
    port = int(digits) if digits.isdecimal() and int(digits) < 65536 else request.port
    wanted, _, wanted_port = pattern.partition(":")
    return (not wanted_port or int(wanted_port) == port) and name_matches(wanted, name)


def name_matches(pattern: str, name: str) -> bool:
    """A star stands for anything, at one end."""
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def sni_matches(route: dict[str, Any], request: Request, *, is_strict: bool, flavor: str) -> bool:
    """Clear text has no server name: the condition is skipped, in strict mode not for https-only routes."""
    is_asked = flavor == "traditional" or (is_strict and route["protocols"] == ["https"])
    if not route["snis"] or (request.protocol != "https" and not is_asked):
        return True
    return request.sni is not None and any(
        name_matches(sni.removesuffix("."), request.sni.removesuffix(".")) for sni in route["snis"]
    )


def header_matches(name: str, values: list[str], request: Request, *, has_regexes: bool) -> bool:
    """Any occurrence with any of the values, case apart; `-` and `_` are one in names."""
    folded = name.lower().replace("-", "_")
    found = [value.lower() for header, value in request.headers if header.lower().replace("-", "_") == folded]
    return any(
        re.search(wanted[2:].lower(), value) if has_regexes and wanted.startswith("~*") else value == wanted.lower()
        for value in found
        for wanted in values
    )


def path_taken(pattern: str, path: str) -> int | None:
    """How much of the path the pattern takes from its start, in bytes."""
    if pattern.startswith("~"):
        found = re.search("^" + pattern[1:], path)
        return None if found is None else len(found.group().encode("latin-1"))
    return len(pattern.encode("latin-1")) if path.startswith(pattern) else None


def taken(part: Part, request: Request) -> int | None:
    """By the first path that matches."""
    every = (path_taken(path, request.path) for path in part.paths)
    return next((length for length in every if length is not None), None)
