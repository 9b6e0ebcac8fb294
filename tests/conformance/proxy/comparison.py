"""Where an answer, an arrival or a log entry differs from what was recorded. Order counts for headers that were passed
on; what a plugin sets from a table of its own, and what was encoded anew, is compared as a set."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from tests.conformance.proxy.raw_client import Answer
from tests.conformance.proxy.recording import Binding
from tests.conformance.proxy.scripted_upstream import Arrival

Headers = Sequence[Sequence[str]]

_UNORDERED = re.compile(
    r"(?i)x-ratelimit-.*|ratelimit-.*|retry-after|x-consumer-.*|x-credential-.*|x-anonymous-.*|x-kong-.*|vary"
    r"|access-control-.*|www-authenticate|via|kong-request-id"
)
_GROUPS = "x-consumer-groups"


def answer_differences(recorded: Mapping[str, Any], actual: Answer, binding: Binding, passed_on: str) -> Iterator[str]:
    """Differences of a response. `passed_on`: what the upstream sent, whose headers keep their order."""
    if recorded.get("closed_without_response") or recorded.get("timeout"):
        if not (actual.is_closed_without_response or actual.is_timeout):
            yield f"answered {actual.status_line or actual.raw!r} where nothing was"
        return
    if "raw" in recorded:
        got = (actual.raw or b"").decode("latin-1")
        if not binding.matches(recorded["raw"], got):
            yield f"raw: {got!r} is not {recorded['raw']!r}"
        return
    if actual.status is None:
        how = "timeout" if actual.is_timeout else "closed"
        yield f"no response: {how}, raw {actual.raw!r}"
        return
    for name, wanted, got in (
        ("status line", recorded.get("status_line", ""), actual.status_line),
        ("framing", recorded.get("framing", "none"), actual.framing),
        ("cut", bool(recorded.get("cut")), actual.is_cut),
        ("interim", [head["status_line"] for head in recorded.get("interim", ())], actual.interim),
        ("trailers", [tuple(pair) for pair in recorded.get("trailers", ())], actual.trailers),
    ):
        if wanted != got:
            yield f"{name}: {got!r} is not {wanted!r}"
    if "connection_after" in recorded and recorded["connection_after"] != actual.connection_after:
        yield f"connection after: {actual.connection_after} is not {recorded['connection_after']}"
    yield from _header_differences("response", recorded["headers"], actual.headers, binding, passed_on)
    yield from _body_differences("response", recorded["body"], actual.body, binding)


def arrival_differences(
    recorded: Mapping[str, Any], actual: Arrival, binding: Binding, sent: str, *, any_target: bool
) -> Iterator[str]:
    """Differences of what an upstream received. `sent`: what the client sent, whose headers keep their order."""
    if not any_target and recorded["to"] != f"<{actual.to}>":
        yield f"upstream: went to {actual.to} instead of {recorded['to']}"
    if recorded.get("connected_only"):
        return
    if not _same_line(recorded["request_line"], actual.request_line, binding):
        yield f"upstream: request line {actual.request_line!r} is not {recorded['request_line']!r}"
    if recorded.get("body_framing") != (None if actual.is_body_unread else actual.framing):
        yield f"upstream: framing {actual.framing} is not {recorded.get('body_framing')}"
    yield from _header_differences(
        "upstream", recorded["headers"], actual.headers, binding, sent, any_target=any_target
    )
    if recorded["body"] is not None:
        yield from _body_differences("upstream", recorded["body"], actual.body, binding)


def _same_line(recorded: str, actual: str, binding: Binding) -> bool:
    if binding.matches(recorded, actual):
        return True

    def parts(line: str) -> tuple[str, str, list[str], str]:
        method, target, version = line.split(" ")
        path, _, query = target.partition("?")
        return method, path, sorted(query.split("&")), version

    return line_has_query(recorded) and line_has_query(actual) and parts(recorded) == parts(actual)


def line_has_query(line: str) -> bool:
    """Whether a request line has three words and a query."""
    return line.count(" ") == 2 and "?" in line


def _header_differences(
    where: str, recorded: Headers, actual: Headers, binding: Binding, passed_on: str, *, any_target: bool = False
) -> Iterator[str]:
    left = [tuple(pair) for pair in actual]
    missing = []
    for name, value in recorded:
        for pair in left:
            if pair[0] == name and _same_value(name, value, pair[1], binding, any_target=any_target):
                left.remove(pair)
                break
        else:
            missing.append((name, value))
    if missing:
        yield f"{where}: lacks headers {missing}"
    if left:
        yield f"{where}: has headers {left}"
    # The fields of HTTP/2 have no order that anyone could rely on.
    is_ordered = not any(name.startswith(":") for name, _ in recorded)
    if not missing and not left and is_ordered:
        wanted = [name for name, _ in recorded if not _is_unordered(name, passed_on)]
        got = [name for name, _ in actual if not _is_unordered(name, passed_on)]
        if wanted != got:
            yield f"{where}: order of headers {got} is not {wanted}"


def _is_unordered(name: str, passed_on: str) -> bool:
    if _UNORDERED.fullmatch(name):
        return True
    is_gateways = name.lower() in {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "date",
        "server",
        "content-type",
    }
    is_forwarded = name.lower().startswith("x-forwarded-") or name.lower() == "x-real-ip"
    return not (is_gateways or is_forwarded or f"\n{name.lower()}:" in passed_on.lower())


def _same_value(name: str, recorded: str, actual: str, binding: Binding, *, any_target: bool) -> bool:
    if name.lower() == _GROUPS:
        return sorted(recorded.split(", ")) == sorted(actual.split(", "))
    return binding.matches(recorded, actual, any_target=any_target)


def _body_differences(where: str, recorded: Any, actual: bytes, binding: Binding) -> Iterator[str]:
    if isinstance(recorded, Mapping):
        got = {"length": len(actual), "sha256": hashlib.sha256(actual).hexdigest()}
        if got != recorded:
            yield f"{where}: body {got} is not {recorded}"
        return
    text = actual.decode("latin-1")
    if binding.matches(recorded, text) or _same_encoded(recorded, text, binding):
        return
    yield f"{where}: body {text[:2000]!r} is not {recorded[:2000]!r}"


def _same_encoded(recorded: str, actual: str, binding: Binding) -> bool:
    try:
        wanted, got = json.loads(_quoted_ports(recorded)), json.loads(actual)
    except ValueError:
        wanted, got = sorted(parse_qsl(recorded, True)), sorted(parse_qsl(actual, True))
        return bool(wanted) and wanted == got
    return not list(json_differences(wanted, got, binding))


def _quoted_ports(text: str) -> str:
    return re.sub(r":(<[a-z0-9-]+>)([,}])", r':"\1"\2', text)


def json_differences(recorded: Any, actual: Any, binding: Binding, path: str = "") -> Iterator[str]:
    """Differences of two JSON values; a placeholder stands for a number too."""
    if isinstance(recorded, Mapping) and isinstance(actual, Mapping):
        for name in sorted({*recorded, *actual}):
            if name not in actual:
                yield f"{path}.{name}: missing"
            elif name not in recorded:
                yield f"{path}.{name}: unexpected, {actual[name]!r}"
            else:
                yield from json_differences(recorded[name], actual[name], binding, f"{path}.{name}")
    elif isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
        for at, (wanted, got) in enumerate(zip(recorded, actual, strict=True)):
            yield from json_differences(wanted, got, binding, f"{path}[{at}]")
    elif isinstance(recorded, str) and isinstance(actual, str | int | float) and not isinstance(actual, bool):
        if not binding.matches(recorded, str(actual)):
            yield f"{path}: {actual!r} is not {recorded!r}"
    elif recorded != actual:
        yield f"{path}: {actual!r} is not {recorded!r}"
