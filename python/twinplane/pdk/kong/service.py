"""`kong.service` and `kong.service.request`: where the request goes, and what of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from twinplane.pdk.kong.calls import BEFORE, Calling, UnsupportedCall, call
from twinplane.pdk.kong.response import put, text


@call("kong.service.set_target", BEFORE)
def _set_target(calling: Calling, host: str, port: int) -> None:
    calling.visit.set_target(host, port)


def _upstream(name: str, part: str) -> None:
    call(f"kong.service.request.{name}", BEFORE)(lambda calling, value: calling.visit.set_upstream(part, value))


_upstream("set_scheme", "scheme")
_upstream("set_path", "path")
_upstream("set_method", "method")
_upstream("set_raw_query", "query")


@call("kong.service.request.set_query", BEFORE)
def _set_query(calling: Calling, arguments: Mapping[str, Any]) -> None:
    pairs = []
    for name in sorted(arguments):
        value = arguments[name]
        pairs += [(name, each) for each in (value if isinstance(value, list | tuple) else [value])]
    written = [
        urlencode({name: ""}).removesuffix("=") if value is True else urlencode({name: value}) for name, value in pairs
    ]
    calling.visit.set_upstream("query", "&".join(written))


@call("kong.service.request.set_header", BEFORE)
def _set_header(calling: Calling, name: str, value: Any) -> None:
    if name.lower() == "host":
        calling.visit.set_upstream("host", text(value))
    else:
        put(calling, False, name, value)


@call("kong.service.request.add_header", BEFORE)
def _add_header(calling: Calling, name: str, value: Any) -> None:
    calling.visit.add_header(False, name, text(value))


@call("kong.service.request.clear_header", BEFORE)
def _clear_header(calling: Calling, name: str) -> None:
    calling.visit.remove_header(False, name)


@call("kong.service.request.set_headers", BEFORE)
def _set_headers(calling: Calling, headers: Mapping[str, Any]) -> None:
    for name, value in headers.items():
        _set_header(calling, name, value)


@call("kong.service.request.set_raw_body", BEFORE)
def _set_raw_body(calling: Calling, body: str | bytes) -> None:
    calling.visit.set_body(body if isinstance(body, bytes) else body.encode())


@call("kong.service.request.set_body", BEFORE)
def _set_body(calling: Calling, arguments: Mapping[str, Any], mimetype: str | None = None) -> None:
    kind = mimetype or calling.visit.header(False, "Content-Type") or ""
    bare = kind.partition(";")[0].strip().lower()
    if bare == "application/json":
        calling.visit.set_body(orjson.dumps(arguments))
    elif bare == "application/x-www-form-urlencoded":
        calling.visit.set_body(urlencode(dict(arguments), doseq=True).encode())
    else:
        raise ValueError(f"unsupported content type '{kind}'")
    if mimetype:
        calling.visit.set_header(False, "Content-Type", mimetype)


@call("kong.service.request.enable_buffering", BEFORE)
def _enable_buffering(calling: Calling) -> None:
    if not calling.holds_responses:
        raise UnsupportedCall(
            "kong.service.request.enable_buffering is not supported by this gateway without a phase response, "
            "which holds the response back by itself"
        )
