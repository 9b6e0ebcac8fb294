"""From the texts of a form to values: what was typed, read by the schema that made the form. Pure.

Says what cannot be read as the kind of its field; whether a value is allowed is the schema's own business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twinplane.schema import Field, Shape
from twinplane.web.console.entities.inputs import indexes, is_asked, is_list_map, kind_of
from twinplane.web.console.entities.spelled import AS_JSON, NUMBER_MAX

_ABSENT = object()


def read_typed(
    shape: Shape, typed: Mapping[str, str], *, without: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body that was typed, and problems of texts that cannot be read. Fields that the form lacks stay absent."""
    return _record(shape, typed, "", without)


def changed(new: Mapping[str, Any], old: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Only what differs from a row: what a change has to say. Records are compared field by field."""
    patch: dict[str, Any] = {}
    for name, value in new.items():
        before, known = old.get(name), shape.fields.get(name)
        if isinstance(value, dict) and isinstance(before, dict) and known is not None and known.kind == "record":
            below = changed(value, before, known.record) if known.record is not None else {}
            if below:
                patch[name] = below
        elif known is not None and known.kind == "set" and _same_set(value, before):
            continue
        elif not _same(value, before):
            patch[name] = value
    return patch


def _same(value: Any, before: Any) -> bool:
    if value is None or value in ([], {}):
        # An input that is left empty says as little as one that was empty before.
        return _is_empty(before)
    if isinstance(value, dict) and set(value) == {"id"} and isinstance(before, dict):
        return str(value["id"]) == before.get("id")
    if isinstance(value, list) and isinstance(before, list) and any(isinstance(one, dict) for one in value):
        return len(value) == len(before) and all(map(_same_group, value, before))
    is_equal: bool = value == before
    return is_equal and isinstance(value, bool) == isinstance(before, bool)


def _same_set(value: Any, before: Any) -> bool:
    is_known = isinstance(value, list) and isinstance(before, list)
    return is_known and sorted(map(repr, value)) == sorted(map(repr, before))


def _same_group(value: Any, before: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(before, dict):
        return bool(value == before)
    return all(_same(value.get(name), before.get(name)) for name in {*value, *before})


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(one) for one in value.values())
    return value is None or value in ("", [])


def _record(
    shape: Shape, typed: Mapping[str, str], prefix: str, without: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, Any]]:
    body: dict[str, Any] = {}
    problems: dict[str, Any] = {}
    for name, known in shape.fields.items():
        if name in without:
            continue
        value, problem = _value(name, known, typed, f"{prefix}{name}")
        if problem:
            problems[name] = problem
        elif value is not _ABSENT:
            body[name] = value
    for name, (_, known) in shape.shorthands.items():
        # A spelling that is left empty says nothing: the fields that it stands for count.
        text = typed.get(f"{prefix}{name}", "").strip() if is_asked(shape, name) else ""
        if text:
            body[name], problem = _scalar(known.kind, text)
            if problem:
                problems[name] = problem
    return body, problems


def _value(name: str, known: Field, typed: Mapping[str, str], path: str) -> tuple[Any, Any]:
    kind = kind_of(name, known)
    if f"{path}{AS_JSON}" in typed:
        return _json(known, typed[f"{path}{AS_JSON}"])
    if kind == "group":
        return _group(known, typed, path)
    if kind == "groups":
        return _groups(known, typed, path)
    if path not in typed:
        return _ABSENT, None
    text = typed[path]
    if kind == "lines":
        return _lines(known, text)
    if kind == "map":
        return _map(known, text)
    if kind == "json":
        return _json(known, text)
    if not text.strip() and not (kind == "long" and text):
        return None, None
    if kind == "reference":
        return {"id": text.strip()}, None
    return _scalar(known.kind, text if kind == "long" else text.strip())


def _json(known: Field, text: str) -> tuple[Any, Any]:
    if not text.strip():
        empty: dict[str, Any] = {"array": [], "set": [], "map": {}}
        return (empty.get(known.kind) if known.required else None), None
    try:
        return json.loads(text), None
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {error}"


def _group(known: Field, typed: Mapping[str, str], path: str) -> tuple[Any, Any]:
    assert known.record is not None
    if not any(name.startswith(f"{path}.") for name in typed):
        return _ABSENT, None
    body, problems = _record(known.record, typed, f"{path}.")
    if problems:
        return None, problems
    # A record that may be unset, and in which nothing was filled in, is unset.
    if not known.required and not any(value not in (None, [], {}) for value in body.values()):
        return None, None
    return body, None


def _groups(known: Field, typed: Mapping[str, str], path: str) -> tuple[Any, Any]:
    assert known.elements is not None
    assert known.elements.record is not None
    if path not in typed and not indexes(typed, path):
        return _ABSENT, None
    bodies: list[Any] = []
    problems: list[Any] = []
    for number in indexes(typed, path):
        body, problem = _record(known.elements.record, typed, f"{path}.{number}.")
        bodies.append(body)
        problems.append(problem or None)
    if not bodies and not known.required:
        return None, None
    return (None, problems) if any(problems) else (bodies, None)


def _lines(known: Field, text: str) -> tuple[Any, Any]:
    assert known.elements is not None
    read = [_scalar(known.elements.kind, line.strip()) for line in text.splitlines() if line.strip()]
    problems = [problem for _, problem in read]
    if any(problems):
        return None, "; ".join(f"line {place} {problem}" for place, problem in enumerate(problems, 1) if problem)
    values = [value for value, _ in read]
    return (values or None if not known.required else values), None


def _map(known: Field, text: str) -> tuple[Any, Any]:
    assert known.values is not None
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, colon, rest = line.partition(":")
        if not colon or not key.strip():
            return None, f"“{line[:60]}” is not of the form key: value"
        of_lists = is_list_map(known) and known.values.elements
        value, problem = _scalar(of_lists.kind if of_lists else known.values.kind, rest.strip())
        if problem:
            return None, f"{key.strip()} {problem}"
        if of_lists:
            found.setdefault(key.strip(), []).append(value)
        else:
            found[key.strip()] = value
    return (found or None if not known.required else found), None


def _scalar(kind: str, text: str) -> tuple[Any, str | None]:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text), None
    if kind not in ("integer", "number"):
        return text, None
    try:
        number = float(text)
    except ValueError:
        return None, "is not a number"
    if not abs(number) < NUMBER_MAX:
        return None, "is not a number that can be kept"
    return (int(number) if number.is_integer() else number), None
