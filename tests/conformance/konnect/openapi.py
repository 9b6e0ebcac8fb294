"""Checks an answer against an OpenAPI document: the part of JSON Schema that the documents use, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.asgi import Received

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "specs" / "konnect"

_TYPES: Mapping[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Document:
    """One OpenAPI document, served below `base`."""

    tree: Mapping[str, Any]
    base: str

    def violations(self, method: str, path: str, received: Received) -> list[str]:
        """What is wrong with an answer: status, media type, members."""
        operation = self._operation(method, path)
        responses = operation["responses"]
        wanted = responses.get(str(received.status))
        if wanted is None:
            return [f"status {received.status} is not documented: {sorted(responses)}"]
        wanted = self._resolved(wanted)
        content = wanted.get("content")
        if not content:
            return ["a body is not documented"] if received.body else []
        kind = received.headers.get("content-type", "").partition(";")[0]
        if kind not in content:
            return [f"media type {kind!r} is not documented: {sorted(content)}"]
        schema = content[kind].get("schema")
        return [] if schema is None else list(self._check(schema, received.json(), "$"))

    def _operation(self, method: str, path: str) -> Mapping[str, Any]:
        inner = path.partition("?")[0].removeprefix(self.base)
        exact = [template for template in self.tree["paths"] if template == inner]
        matching = [template for template in self.tree["paths"] if _pattern(template).fullmatch(inner)]
        # A literal segment goes before a free one.
        template = (exact or sorted(matching, key=lambda one: one.count("{")))[0]
        operation: Mapping[str, Any] = self.tree["paths"][template][method.lower()]
        return operation

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            found: Any = self.tree
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _check(self, schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
        schema = self._resolved(schema)
        if value is None:
            if not schema.get("nullable") and schema.get("type") is not None:
                yield f"{path}: null is not allowed"
            return
        for part in schema.get("allOf", ()):
            yield from self._check(part, value, path)
        for word in ("oneOf", "anyOf"):
            branches = schema.get(word)
            if branches and not any(not list(self._check(branch, value, path)) for branch in branches):
                yield f"{path}: fits no branch of {word}"
        yield from self._check_plain(schema, value, path)

    def _check_plain(self, schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
        kind = schema.get("type")
        if kind in _TYPES and (not isinstance(value, _TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))):
            yield f"{path}: {value!r} is no {kind}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r} is none of {schema['enum']}"
        if isinstance(value, str):
            yield from _check_text(schema, value, path)
        if isinstance(value, list) and "items" in schema:
            for index, inner in enumerate(value):
                yield from self._check(schema["items"], inner, f"{path}[{index}]")
        if isinstance(value, dict):
            yield from self._check_members(schema, value, path)

    def _check_members(self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Iterator[str]:
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{path}: {name} is missing"
        for name, inner in value.items():
            if name in properties:
                yield from self._check(properties[name], inner, f"{path}.{name}")
            elif schema.get("additionalProperties") is False:
                yield f"{path}: {name} is not documented"
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from self._check(schema["additionalProperties"], inner, f"{path}.{name}")


def _check_text(schema: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    form = schema.get("format")
    if form == "uuid" and not _UUID.fullmatch(value):
        yield f"{path}: {value!r} is no UUID"
    if form == "date-time" and not _MOMENT.fullmatch(value):
        yield f"{path}: {value!r} is no moment"
    if form in {"url", "uri"} and "://" not in value:
        yield f"{path}: {value!r} is no URL"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    if len(value) > schema.get("maxLength", len(value)) or len(value) < schema.get("minLength", 0):
        yield f"{path}: {value!r} has a wrong length"


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]+\}", template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


@cache
def document(name: str, base: str) -> Document:
    """A document of the folder, by its place there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Document(yaml.load((FOLDER / name / "openapi.yaml").read_text(encoding="utf-8"), loader), base)
