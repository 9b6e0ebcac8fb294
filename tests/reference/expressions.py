"""Whether a request satisfies an expression, stated plainly over a nested form: lists that begin with a word.

`["all", …]`, `["any", …]`, `["not", one]`, and tests `["is", field, operator, value]` with the field's functions in its
name: `lower(http.path)`. `text` writes one down as routes have it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from tests.reference.matching import Request

Tree = list[Any]
Seen = dict[str, int]
"""Bytes of what was last matched, by field."""

COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "^=": lambda value, wanted: value.startswith(wanted),
    "=^": lambda value, wanted: value.endswith(wanted),
    "contains": lambda value, wanted: wanted in value,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    "in": lambda value, wanted: ipaddress.ip_address(value) in ipaddress.ip_network(wanted),
    "not in": lambda value, wanted: ipaddress.ip_address(value) not in ipaddress.ip_network(wanted),
}


def text(tree: Tree) -> str:
    """As a route has it. `||` binds tighter than `&&`: alternatives need no brackets within a list of conditions."""
    match tree:
        case ["all", *parts]:
            return " && ".join(f"({text(part)})" if part[0] == "all" else text(part) for part in parts)
        case ["any", *parts]:
            return " || ".join(text(part) if part[0] in ("is", "not") else f"({text(part)})" for part in parts)
        case ["not", part]:
            return f"!({text(part)})"
        case [_, field, operator, value]:
            is_bare = isinstance(value, int) or ".ip" in field
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f"{field} {operator} {value}" if is_bare else f'{field} {operator} "{escaped}"'
    raise ValueError(tree)


def holds(tree: Tree, request: Request, seen: Seen) -> bool:
    """Whether it does; what its parts matched is noted, whatever becomes of those around them."""
    match tree:
        case ["all", *parts]:
            return all(holds(part, request, seen) for part in parts)
        case ["any", *parts]:
            return any(holds(part, request, seen) for part in parts)
        case ["not", part]:
            return not holds(part, request, seen)
        case [_, name, operator, wanted]:
            return _test(name, operator, wanted, request, seen)
    raise ValueError(tree)


def _test(name: str, operator: str, wanted: Any, request: Request, seen: Seen) -> bool:
    is_any, is_lowered = "any(" in name, "lower(" in name
    field = name.replace("any(", "").replace("lower(", "").rstrip(")")
    values = _values(field, request)
    results = []
    for value in values:
        length = _length(value.lower() if is_lowered else value, operator, wanted)
        if length is not None and operator in ("==", "^=", "=^", "~"):
            seen[field] = length
        results.append(length is not None)
        if results[-1] == is_any:
            break
    return bool(results) and (any(results) if is_any else all(results))


def _length(value: Any, operator: str, wanted: Any) -> int | None:
    """How much was matched; None: it does not match."""
    if operator == "~":
        found = re.search(wanted, value)
        return None if found is None else len(found.group().encode("latin-1"))
    if not COMPARED[operator](value, wanted):
        return None
    return len(wanted.encode("latin-1")) if isinstance(wanted, str) else 0


def _values(field: str, request: Request) -> list[Any]:
    """All values of a field; none where it has none."""
    host, _, digits = request.host.partition(":")
    port = int(digits) if digits.isdecimal() and int(digits) < 65536 else request.port
    segments = [part for part in request.path.split("/") if part]
    one: dict[str, Any] = {
        "http.method": request.method,
        "http.host": host,
        "http.path": request.path,
        "http.path.segments.len": len(segments),
        "net.protocol": request.protocol,
        "tls.sni": request.sni and request.sni.removesuffix("."),
        "net.src.ip": request.source[0],
        "net.src.port": request.source[1],
        "net.dst.ip": request.destination,
        "net.dst.port": port,
    }
    if field in one:
        return [] if one[field] is None else [one[field]]
    kind, _, name = field.removeprefix("http.").partition(".")
    if kind == "headers":
        folded = name.lower().replace("-", "_")
        return [value for header, value in request.headers if header.lower().replace("-", "_") == folded]
    if kind == "queries":
        arguments = (argument.partition("=") for argument in request.query.split("&") if argument)
        return [unquote_plus(value) for given, _, value in arguments if unquote_plus(given) == name]
    first, _, last = name.removeprefix("segments.").partition("_")
    wanted = segments[int(first) : int(last or first) + 1]
    return ["/".join(wanted)] if len(wanted) == int(last or first) - int(first) + 1 else []
