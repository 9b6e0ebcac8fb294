"""Plays recorded cases against an ASGI application and says where an answer differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.asgi import App, Received, send
from tests.conformance.admin.recording import USUAL_HEADERS, Binding, compared_headers


@dataclass(frozen=True)
class Difference:
    """The first step of a case that was answered otherwise."""

    step: int
    request: str
    text: str


def _encoded(request: Mapping[str, Any], binding: Binding) -> tuple[list[tuple[str, str]], bytes]:
    has_body = True
    if "body" in request:
        body = json.dumps(binding.fill(request["body"])).encode()
    elif "body_text" in request:
        body = binding.fill(request["body_text"]).encode()
    elif "body_repeat" in request:
        prefix, unit, count, suffix = request["body_repeat"]
        body = (prefix + unit * count + suffix).encode()
    else:
        body, has_body = b"", False
    headers = [(name, value) for name, value in request.get("headers", ())]
    if has_body and "headers" not in request:
        headers.append(("Content-Type", "application/json"))
    if has_body or request["method"] in {"POST", "PUT", "PATCH"}:
        headers.append(("Content-Length", str(len(body))))
    return [("Host", "localhost:8001"), *headers], body


async def play(
    app: App, case: Mapping[str, Any], fixtures: Mapping[str, str], *, waits: bool = False
) -> Difference | None:
    """Play a case; its first difference, or None. Steps at which the real node crashed are sent, not compared."""
    volatile = set(case.get("volatile_keys", ()))
    if case["entity"] == "schemas":
        # Fields are described in words of our own.
        volatile.add("description")
    binding = Binding(fixtures, volatile=frozenset(volatile))
    for index, step in enumerate(case["steps"]):
        if "wait" in step:
            if waits:
                await asyncio.sleep(step["wait"])
            continue
        request = step["request"]
        headers, body = _encoded(request, binding)
        received = await send(app, request["method"], binding.fill_path(request["path"]), headers, body)
        problem = _problem(step, received, binding)
        if problem:
            return Difference(
                index, f"{request['method']} {request['path']} {json.dumps(request.get('body'))[:300]}", problem
            )
    return None


def _problem(step: Mapping[str, Any], received: Received, binding: Binding) -> str | None:
    if step["response"]["status"] == 500:
        return f"status {received.status}" if received.status >= 500 else None
    problems = []
    for wanted in (step["response"], *step.get("also", ())):
        before = dict(binding.names)
        if received.status == wanted["status"]:
            _capture(step, received, binding)
        problem = _compare(step, wanted, received, binding)
        if problem is None:
            return None
        problems.append(problem)
        binding.names = before
    return problems[0]


def _compare(step: Mapping[str, Any], wanted: Mapping[str, Any], received: Received, binding: Binding) -> str | None:
    if received.status != wanted["status"]:
        expected_body = json.dumps(wanted.get("body"))[:300]
        return f"status: want {wanted['status']} {expected_body}, got {received.status} {received.body[:300]!r}"
    headers = compared_headers(received.headers)
    expected = {name.lower(): value for name, value in wanted.get("headers", USUAL_HEADERS).items()}
    if not step.get("all_headers") and headers != expected:
        return f"headers: want {expected}, got {headers}"
    if step.get("all_headers"):
        lower = {name.lower() for name in received.headers} | {"date", "server", "connection"}
        missing = expected.keys() - lower
        if missing:
            return f"headers missing: {sorted(missing)}"
    return _compare_body(step, wanted, received, binding)


def _compare_body(
    step: Mapping[str, Any], wanted: Mapping[str, Any], received: Received, binding: Binding
) -> str | None:
    if "body_text" in wanted:
        text = received.body.decode("utf-8", "replace")
        return None if wanted["body_text"] == "$any" else binding.difference(wanted["body_text"], text, path="body")
    if step.get("match") is None and "body" not in wanted:
        empty = received.body in (b"", b"null") or step["request"]["method"] == "HEAD"
        return None if empty else f"body: want none, got {received.body[:200]!r}"
    try:
        body = json.loads(received.body)
    except ValueError:
        return f"body: no JSON: {received.body[:200]!r}"
    if step.get("match") == "keys":
        return _compare_keys(wanted, body)
    if step.get("match") == "some":
        some = {key: body[key] for key in wanted["body_some"] if key in body}
        return binding.difference(wanted["body_some"], some, unordered=bool(step.get("unordered")), path="body")
    return binding.difference(wanted["body"], body, unordered=bool(step.get("unordered")), path="body")


def _compare_keys(wanted: Mapping[str, Any], body: Any) -> str | None:
    if sorted(body) != wanted["body_keys"]:
        return f"keys: want {wanted['body_keys']}, got {sorted(body)}"
    for place, keys in wanted.get("body_keys_of", {}).items():
        inner = body
        for part in place.split("."):
            inner = inner[part]
        found = sorted(inner) if isinstance(inner, dict) else inner
        if found != keys:
            return f"keys of {place} differ"
    return None


def _capture(step: Mapping[str, Any], received: Received, binding: Binding) -> None:
    for name, place in step.get("capture", {}).items():
        value = json.loads(received.body)
        try:
            for part in place.split("."):
                value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError):
            continue
        binding.names[name] = value
