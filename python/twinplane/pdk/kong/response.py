"""`kong.response` and `kong.service.response`: what goes back, and what the upstream said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.pdk.answer import Answer
from twinplane.pdk.kong.calls import AFTER, BEFORE, Calling, Exit, call
from twinplane.pdk.kong.request import folded, parsed

_HEAD = (*BEFORE, "response", "header_filter")
_ARGS_MAX = 100


@call("kong.response.get_status", AFTER)
def _status(calling: Calling) -> int:
    return calling.visit.status


@call("kong.response.get_header", AFTER)
def _header(calling: Calling, name: str) -> str | None:
    return calling.visit.header(True, name)


@call("kong.response.get_headers", AFTER)
def _headers(calling: Calling, max_headers: int = 100) -> dict[str, Any]:
    return folded(calling.visit.headers(True)[:max_headers])


@call("kong.response.get_source", AFTER)
def _source(calling: Calling) -> str:
    if calling.visit.fact("source") == "upstream":
        return "service"
    # Kong knows whether a plugin made it; here the status is all that is told. The guide says so.
    return "error" if calling.visit.status >= 500 else "exit"


@call("kong.response.set_status", _HEAD)
def _set_status(calling: Calling, status: int) -> None:
    calling.visit.set_status(status)


@call("kong.response.set_header", _HEAD)
def _set_header(calling: Calling, name: str, value: Any) -> None:
    put(calling, True, name, value)


@call("kong.response.add_header", _HEAD)
def _add_header(calling: Calling, name: str, value: Any) -> None:
    calling.visit.add_header(True, name, text(value))


@call("kong.response.clear_header", _HEAD)
def _clear_header(calling: Calling, name: str) -> None:
    calling.visit.remove_header(True, name)


@call("kong.response.set_headers", _HEAD)
def _set_headers(calling: Calling, headers: Mapping[str, Any]) -> None:
    for name, value in headers.items():
        put(calling, True, name, value)


@call("kong.response.get_raw_body", ("response", "body_filter"))
def _raw_body(calling: Calling) -> str:
    body = calling.visit.chunk()[0] if calling.phase == "body_filter" else calling.visit.response_body() or b""
    return body.decode("latin-1")


@call("kong.response.set_raw_body", ("response", "body_filter"))
def _set_raw_body(calling: Calling, body: str | bytes) -> None:
    given = body if isinstance(body, bytes) else body.encode()
    if calling.phase == "body_filter":
        calling.visit.set_chunk(given)
    else:
        calling.visit.set_response_body(given)


@call("kong.response.exit", _HEAD)
def _exit(_calling: Calling, status: int, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
    raise Exit(Answer(status, body, _pairs(headers or {})))


@call("kong.response.error", _HEAD)
def _error(calling: Calling, status: int, message: str | None = None, headers: Mapping[str, Any] | None = None) -> None:
    told = {"message": message or "An unexpected error occurred", "request_id": calling.visit.request_id}
    raise Exit(Answer(status, told, _pairs(headers or {})))


@call("kong.service.response.get_status", AFTER)
def _service_status(calling: Calling) -> int | None:
    return calling.visit.upstream_status


@call("kong.service.response.get_header", ("response", "header_filter", "log"))
def _service_header(calling: Calling, name: str) -> str | None:
    return calling.visit.header(True, name)


@call("kong.service.response.get_headers", ("response", "header_filter", "log"))
def _service_headers(calling: Calling, max_headers: int = 100) -> dict[str, Any]:
    return folded(calling.visit.headers(True)[:max_headers])


@call("kong.service.response.get_raw_body", ("response",))
def _service_raw_body(calling: Calling) -> str:
    return (calling.visit.response_body() or b"").decode("latin-1")


@call("kong.service.response.get_body", ("response",))
def _service_body(calling: Calling, mimetype: str | None = None, max_args: int = _ARGS_MAX) -> Any:
    kind = mimetype or calling.visit.header(True, "Content-Type") or ""
    return parsed(calling.visit.response_body() or b"", kind, max_args)


def put(calling: Calling, is_response: bool, name: str, value: Any) -> None:
    """Set a header to one value, or to several."""
    values = value if isinstance(value, list | tuple) else [value]
    calling.visit.remove_header(is_response, name)
    for each in values:
        calling.visit.add_header(is_response, name, text(each))


def text(value: Any) -> str:
    """A value as a header holds it. Raises ValueError."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"invalid header value: got {type(value).__name__}, expected string, number or boolean")


def _pairs(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, text(each))
        for name, value in headers.items()
        for each in (value if isinstance(value, list | tuple) else [value])
    ]
