"""`kong.request`: what the client asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote_plus

import orjson

from twinplane.pdk.kong.calls import ANY, BEFORE, Calling, call

_ARGS_MAX = 100
_HEADERS_MAX = 100


def _fact(name: str, fact: str) -> None:
    call(name)(lambda calling: calling.visit.fact(fact))


_fact("kong.request.get_scheme", "scheme")
_fact("kong.request.get_method", "method")
_fact("kong.request.get_path", "path")
_fact("kong.request.get_path_with_query", "target")
_fact("kong.request.get_raw_query", "query")
_fact("kong.request.get_forwarded_scheme", "forwarded_scheme")


@call("kong.request.get_raw_path")
def _raw_path(calling: Calling) -> str:
    return calling.visit.fact("target").partition("?")[0]


@call("kong.request.get_host")
def _host(calling: Calling) -> str:
    return _without_port(calling.visit.fact("host"))


@call("kong.request.get_port")
def _port(calling: Calling) -> int:
    return int(calling.visit.fact("port"))


@call("kong.request.get_forwarded_host")
def _forwarded_host(calling: Calling) -> str:
    return _without_port(_forwarded(calling, "X-Forwarded-Host") or calling.visit.fact("host"))


@call("kong.request.get_forwarded_port")
def _forwarded_port(calling: Calling) -> int:
    told = _forwarded(calling, "X-Forwarded-Port")
    return int(told) if told and told.isdecimal() else _port(calling)


@call("kong.request.get_forwarded_path")
def _forwarded_path(calling: Calling) -> str:
    return _forwarded(calling, "X-Forwarded-Path") or _raw_path(calling)


@call("kong.request.get_forwarded_prefix")
def _forwarded_prefix(calling: Calling) -> str | None:
    return _forwarded(calling, "X-Forwarded-Prefix") or calling.visit.fact("prefix") or None


@call("kong.request.get_http_version")
def _http_version(calling: Calling) -> float:
    return float(calling.visit.fact("http_version"))


@call("kong.request.get_start_time")
def _start_time(calling: Calling) -> int:
    return int(calling.visit.fact("started_us")) // 1000


@call("kong.request.get_header")
def _header(calling: Calling, name: str) -> str | None:
    return calling.visit.header(False, name)


@call("kong.request.get_headers")
def _headers(calling: Calling, max_headers: int = _HEADERS_MAX) -> dict[str, Any]:
    return folded(calling.visit.headers(False)[:max_headers])


@call("kong.request.get_query_arg")
def _query_arg(calling: Calling, name: str) -> Any:
    found = arguments(calling.visit.fact("query"), _ARGS_MAX).get(name)
    return found[0] if isinstance(found, list) else found


@call("kong.request.get_query")
def _query(calling: Calling, max_args: int = _ARGS_MAX) -> dict[str, Any]:
    return arguments(calling.visit.fact("query"), max_args)


@call("kong.request.get_raw_body", BEFORE)
def _raw_body(calling: Calling) -> str:
    return _body(calling).decode("latin-1")


@call("kong.request.get_body", BEFORE)
def _parsed_body(calling: Calling, mimetype: str | None = None, max_args: int = _ARGS_MAX) -> Any:
    kind = mimetype or calling.visit.header(False, "Content-Type") or ""
    return parsed(_body(calling), kind, max_args)


@call("kong.request.get_uri_captures", ANY)
def _captures(calling: Calling) -> dict[str, Any]:
    found = calling.visit.captures()
    unnamed = [value for name, value in found if name.isdecimal()]
    return {"named": {name: value for name, value in found if not name.isdecimal()}, "unnamed": unnamed}


def folded(headers: list[tuple[str, str]]) -> dict[str, Any]:
    """Values by name in lower case; a list where there are several."""
    found: dict[str, Any] = {}
    for name, value in headers:
        key = name.lower()
        before = found.get(key)
        if before is None:
            found[key] = value
        else:
            found[key] = [*before, value] if isinstance(before, list) else [before, value]
    return found


def arguments(query: str, most: int) -> dict[str, Any]:
    """Query arguments: a value, True for one without `=`, a list where there are several."""
    found: dict[str, Any] = {}
    for pair in [pair for pair in query.split("&") if pair][:most]:
        name, equals, value = pair.partition("=")
        told: Any = unquote_plus(value) if equals else True
        key = unquote_plus(name)
        if key in found:
            before = found[key]
            told = [*before, told] if isinstance(before, list) else [before, told]
        found[key] = told
    return found


def parsed(body: bytes, content_type: str, most: int) -> Any:
    """A body by its type. Raises ValueError where it is none of the known ones, or not written in it."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return orjson.loads(body)
    if kind == "application/x-www-form-urlencoded":
        found = parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=most)
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
    raise ValueError(f"unsupported content type '{content_type}'")


def _body(calling: Calling) -> bytes:
    body, is_whole = calling.visit.body()
    if body is None:
        return b""
    if not is_whole:
        raise ValueError("request body did not fit into client body buffer, consider raising 'client_body_buffer_size'")
    return body


def _forwarded(calling: Calling, name: str) -> str | None:
    return calling.visit.header(False, name) if calling.visit.fact("is_trusted") else None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
