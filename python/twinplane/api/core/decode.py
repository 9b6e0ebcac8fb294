"""Bodies as sent (JSON, form, multipart) become plain fields.

A form has no types: its names are unfolded into nested values here, and `infer` reads each value as the schema's type.
Says only what a body is, never whether it is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

import orjson

from twinplane.api.core.message import Request, unquote
from twinplane.api.core.numerals import parse_number

Fields = dict[str, Any]
Spec = Mapping[str, Any]
"""One field as a served schema describes it."""

DEPTH_MAX: Final = 128
_FORM_FIELDS_MAX: Final = 1000
_SPECIAL_NUMBER: Final = re.compile(rb"\b(NaN|nan|Infinity|inf)\b")


class UnsupportedType(Exception):
    """The body's media type is none that the endpoint reads."""


class UnreadableBody(Exception):
    """The body is not what its media type says."""


class SeveralTypes(Exception):
    """More than one Content-Type was sent."""


@dataclass(frozen=True, slots=True)
class Body:
    """Decoded fields; `typed` is false for forms, whose values are still text."""

    fields: Fields
    typed: bool


def decode(request: Request) -> Body:
    """The fields of a request's body."""
    types = request.content_types
    if len(types) > 1:
        raise SeveralTypes
    if not types:
        if request.body:
            raise UnsupportedType
        return Body({}, typed=True)
    kind = types[0]
    if kind.startswith("application/json"):
        return Body(decode_json(request.body), typed=True)
    if kind.startswith("application/x-www-form-urlencoded"):
        return Body(unfold(_form_pairs(request.body)), typed=False)
    if kind.startswith("multipart/form-data"):
        return Body(unfold(_multipart_pairs(kind, request.body)), typed=False)
    raise UnsupportedType


def decode_json(text: bytes) -> Fields:
    """A JSON object, or an empty array, which counts as one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        value = _decode_special(text, error)
    if value in ([], {}):
        return {}
    if not isinstance(value, dict) or _is_too_deep(text, value):
        raise UnreadableBody
    return value


def _decode_special(text: bytes, error: orjson.JSONDecodeError) -> Any:
    # Kong's parser reads NaN and Infinity; they fail later, in the schema's words (vectors: content/post-json-nan).
    if not _SPECIAL_NUMBER.search(text) or len(text) > 1_000_000:
        raise UnreadableBody from error
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as failure:
        raise UnreadableBody from failure
    return value


def _is_too_deep(text: bytes, value: Any) -> bool:
    if text.count(b"[") + text.count(b"{") <= DEPTH_MAX:
        return False
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _form_pairs(text: bytes) -> Iterator[tuple[str, str | bool]]:
    for part in text.split(b"&")[:_FORM_FIELDS_MAX]:
        name, equals, value = part.partition(b"=")
        if name:
            yield unquote(name), unquote(value) if equals else True


def _multipart_pairs(kind: str, text: bytes) -> Iterator[tuple[str, str | bool]]:
    if "boundary=" not in kind:
        return
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + text)
    if not message.is_multipart():
        return
    found: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and name:
            content = part.get_payload(decode=True)
            # A repeated part replaces the one before (vectors: content/post-multipart-repeat).
            found[name] = content.decode("utf-8", errors="replace") if isinstance(content, bytes) else ""
    yield from found.items()


_PART: Final = re.compile(r"([^\[\]]*)((?:\[[^\[\]]*\])*)\Z")


def unfold(pairs: Iterator[tuple[str, str | bool]]) -> Fields:
    """`a.b[1].c=x` becomes nested values: dots and brackets open records, numbers and empty brackets open lists."""
    tree: dict[str | int, Any] = {}
    for name, value in pairs:
        steps = list(_steps(name))
        if not steps or len(steps) > DEPTH_MAX:
            continue
        node: Any = tree
        for step in steps[:-1]:
            inner = node.get(_place(node, step))
            if not isinstance(inner, dict):
                inner = {}
                node[_place(node, step)] = inner
            node = inner
        _put(node, steps[-1], value)
    return {str(key): _settle(value) for key, value in tree.items()}


def _steps(name: str) -> Iterator[str | int]:
    for part in name.split("."):
        match = _PART.match(part)
        if match is None:
            yield part
            continue
        if match[1]:
            yield match[1]
        for inner in re.findall(r"\[([^\[\]]*)\]", match[2]):
            yield int(inner) if inner.isdigit() and len(inner) < 7 else (inner or -1)


def _place(node: dict[str | int, Any], step: str | int) -> str | int:
    if step != -1:
        return step
    return 1 + max((key for key in node if isinstance(key, int)), default=0)


def _put(node: dict[str | int, Any], step: str | int, value: str | bool) -> None:
    place = _place(node, step)
    before = node.get(place)
    if before is None:
        node[place] = value
    elif isinstance(before, dict):
        before[_place(before, -1)] = value
    else:
        node[place] = {1: before, 2: value}


def _settle(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    settled = {key: _settle(inner) for key, inner in value.items()}
    if set(settled) == set(range(1, len(settled) + 1)):
        return [settled[index] for index in range(1, len(settled) + 1)]
    return {str(key): inner for key, inner in settled.items()}


def infer_record(fields: Fields, specs: Mapping[str, Spec]) -> Fields:
    """The values of a form, read as the types of a schema; unknown names stay as they are."""
    return {name: infer(value, specs[name]) if name in specs else value for name, value in fields.items()}


def infer(value: Any, spec: Spec) -> Any:
    """One value of a form, read as the type of a field."""
    if value == "":
        return None
    reader = _READERS.get(spec.get("type", ""))
    return reader(value, spec) if reader is not None else value


def field_specs(schema: Mapping[str, Any]) -> dict[str, Spec]:
    """The fields of a served schema (or record) by name, aliases included."""
    listed = [*schema.get("fields", ()), *schema.get("shorthand_fields", ())]
    return {name: spec for entry in listed for name, spec in entry.items()}


def _infer_number(value: Any, _spec: Spec) -> Any:
    number = parse_number(value) if isinstance(value, str) else None
    return value if number is None else number


def _infer_boolean(value: Any, _spec: Spec) -> Any:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _infer_list(value: Any, spec: Spec) -> Any:
    if isinstance(value, dict):
        return value
    element = spec.get("elements", {})
    return [infer(inner, element) for inner in (value if isinstance(value, list) else [value])]


def _infer_map(value: Any, spec: Spec) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: infer(inner, spec.get("values", {})) for key, inner in value.items()}


def _infer_fields(value: Any, spec: Spec) -> Any:
    return infer_record(value, field_specs(spec)) if isinstance(value, dict) else value


_READERS: Final[Mapping[str, Callable[[Any, Spec], Any]]] = {
    "number": _infer_number,
    "integer": _infer_number,
    "boolean": _infer_boolean,
    "array": _infer_list,
    "set": _infer_list,
    "map": _infer_map,
    "record": _infer_fields,
}
