"""From a schema to the inputs of a form: what is asked for, what stands in it, what is wrong with it. Pure.

Every field becomes an input named by its dotted path. Lists of plain values are lines of text, sets of
known values are ticks, maps are lines of
`key: value`, records are groups, lists of records are numbered groups; what has no fixed form, and what lines
cannot hold, is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from twinplane.schema import ENTITY, Field, Shape
from twinplane.schema.rules import Between, OneOf
from twinplane.web.console.entities.spelled import AS_JSON, index_of, is_spelled_out

InputKind = Literal[
    "text", "long", "number", "switch", "choice", "lines", "map", "json", "reference", "group", "groups"
]

UNSET = ""
"""What an input says that leaves its field unset."""
REFERENCE_HINT = "A secret may stand in a vault: {vault://prefix/name}"

ROWS_MAX = 100
"""Groups of one list that a form shows; a longer list is JSON."""

_SCALARS = ("string", "integer", "number", "boolean")
_LONG_NAMES = (
    "cert",
    "key",
    "public_key",
    "private_key",
    "jwk",
    "pem",
    "body",
    "message",
    "template",
    "script",
    "prompt",
)
_LONG_BEGINNINGS = ("cert_", "key_alt")
_LONG_ENDS = ("_public_key", "_private_key", "_pem", "_json")
_PHASES = ("certificate", "rewrite", "access", "header_filter", "body_filter", "log")
"""Lists of texts of these names hold functions, which have lines of their own."""


@dataclass(slots=True)
class Input:
    """One input of a form. `name` is the dotted path below the form's prefix."""

    kind: InputKind
    name: str
    label: str
    help: str = ""
    value: str = ""
    required: bool = False
    problem: str = ""
    hint: str = ""
    options: Sequence[tuple[str, str]] = ()
    target: str = ""
    is_secret: bool = False
    is_deprecated: bool = False
    children: list[Input] = field(default_factory=list)

    @property
    def has_problem(self) -> bool:
        """Whether anything is wrong in it or below it."""
        return bool(self.problem) or any(child.has_problem for child in self.children)

    @property
    def is_set(self) -> bool:
        """Whether anything stands in it or below it."""
        return bool(self.value) or any(child.is_set for child in self.children)


def inputs_of(
    shape: Shape,
    typed: Mapping[str, Any],
    problems: Mapping[str, Any],
    *,
    without: frozenset[str] = frozenset(),
    prefix: str = "",
) -> list[Input]:
    """The inputs for the fields of a shape; `typed` are texts by dotted path, or values of a row (see `texts_of`)."""
    asked = [
        _input(name, known, f"{prefix}{name}", typed, _below(problems, name))
        for name, known in shape.fields.items()
        if name not in without
        and not known.must_be_null
        and not known.abstract
        and not (known.automatic and name == "id")
    ]
    for name, (shorthand, known) in shape.shorthands.items():
        at_field = next((one for one in asked if one.label == name), None)
        if at_field is not None:
            at_field.help = f"{at_field.help} {shorthand.description}".strip()
        elif is_asked(shape, name):
            path = f"{prefix}{name}"
            made = _input(name, known, path, typed, _below(problems, name))
            made.help, made.required = shorthand.description, False
            asked.append(made)
    return asked


def is_asked(shape: Shape, name: str) -> bool:
    """Whether a form asks for another spelling: one that is current, and that no field has for a name."""
    shorthand, _ = shape.shorthands[name]
    return shorthand.deprecated is None and name not in shape.fields


def old_names(shape: Shape) -> str:
    """What fields were called before: programs may go on with these names."""
    renamed = {
        name: ".".join(shorthand.deprecated.replaced_with)
        for name, (shorthand, _) in shape.shorthands.items()
        if shorthand.deprecated is not None and shorthand.deprecated.replaced_with
    }
    told = ", ".join(f"{old} for {new}" for old, new in renamed.items())
    return f"Programs may also give older names: {told}" if told else ""


def _input(name: str, known: Field, path: str, typed: Mapping[str, Any], problem: Any) -> Input:
    kind = kind_of(name, known)
    if f"{path}{AS_JSON}" in typed and kind in ("lines", "map", "text", "long", "groups"):
        kind, path = "json", f"{path}{AS_JSON}"
    made = Input(
        kind=kind,
        name=path,
        label=name,
        help=known.description,
        required=known.required and kind not in ("group", "switch"),
        is_secret=known.encrypted and kind == "text",
        is_deprecated=known.deprecated is not None,
        problem=problem if isinstance(problem, str) else "",
    )
    if kind == "group":
        assert known.record is not None
        made.hint = old_names(known.record)
        made.problem = _text(problem.get(ENTITY)) if isinstance(problem, Mapping) else made.problem
        below = problem if isinstance(problem, Mapping) else {}
        made.children = inputs_of(known.record, typed, below, prefix=f"{path}.")
    elif kind == "groups":
        assert known.elements is not None
        assert known.elements.record is not None
        made.children = [
            Input(
                "group",
                f"{path}.{number}",
                f"{number + 1}",
                children=inputs_of(known.elements.record, typed, _element(problem, number), prefix=f"{path}.{number}."),
            )
            for number in indexes(typed, path)
        ]
    else:
        made.value = str(typed.get(path, ""))
        made.options = _options(known)
        made.target = known.references.collection if known.references else ""
        made.hint = _hint(known, kind)
        if _is_referenceable(known):
            made.hint = f"{made.hint}. {REFERENCE_HINT}".removeprefix(". ")
        made.problem = made.problem or _text(problem)
    return made


def kind_of(name: str, known: Field) -> InputKind:
    """How a field is asked for."""
    if known.kind == "foreign":
        return "reference"
    if known.kind == "boolean":
        return "switch"
    if known.kind in ("string", "integer", "number"):
        if _one_of(known) is not None:
            return "choice"
        if known.kind != "string":
            return "number"
        is_long = name in _LONG_NAMES or name.startswith(_LONG_BEGINNINGS) or name.endswith(_LONG_ENDS)
        return "long" if is_long else "text"
    if known.kind in ("array", "set") and known.elements is not None:
        if _is_code(name, known):
            return "json"
        if known.elements.kind in _SCALARS:
            return "lines"
        return "groups" if known.elements.record is not None and _is_flat(known.elements.record) else "json"
    if known.kind == "map" and _is_code(name, known):
        return "json"
    if known.kind == "map" and known.values is not None and (is_list_map(known) or known.values.kind in _SCALARS):
        return "map"
    if known.kind == "record" and known.record is not None and known.record.fields:
        return "group"
    return "json"


def texts_of(shape: Shape, row: Mapping[str, Any], *, prefix: str = "") -> dict[str, str]:
    """What stands in the inputs for a row: texts by dotted path."""
    return dict(_texts(shape, row, prefix))


def _texts(shape: Shape, row: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, known in shape.fields.items():
        value, path = row.get(name), f"{prefix}{name}"
        if value is None:
            continue
        kind = kind_of(name, known)
        if kind == "group" and isinstance(value, Mapping):
            assert known.record is not None
            yield from _texts(known.record, value, f"{path}.")
        elif kind == "groups" and isinstance(value, Sequence) and len(value) <= ROWS_MAX:
            assert known.elements is not None
            assert known.elements.record is not None
            for number, element in enumerate(value):
                yield f"{path}.{number}", "1"
                yield from _texts(known.elements.record, element or {}, f"{path}.{number}.")
        elif kind != "groups" and is_spelled_out(kind, value, _ticks(known)):
            yield path, text_of(kind, value)
        else:
            yield f"{path}{AS_JSON}", text_of("json", value)


def text_of(kind: InputKind, value: Any) -> str:
    """One value as the text of its input."""
    if kind == "reference":
        return str(value.get("id", "")) if isinstance(value, Mapping) else str(value)
    if kind == "lines" and isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(_plain(item) for item in value)
    if kind == "map" and isinstance(value, Mapping):
        pairs = ((key, one) for key, item in value.items() for one in (item if isinstance(item, list) else [item]))
        return "\n".join(f"{key}: {_plain(one)}" for key, one in pairs)
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) if value not in ({}, []) else ""
    return _plain(value)


def indexes(typed: Mapping[str, Any], path: str) -> list[int]:
    """The numbers of the groups of a list that a form holds, in order."""
    parts = (name[len(path) + 1 :].partition(".")[0] for name in typed if name.startswith(f"{path}."))
    found = {number for number in map(index_of, parts) if number is not None}
    return sorted(found)[:ROWS_MAX]


def is_list_map(known: Field) -> bool:
    """Whether a map has lists of plain values: a line for each of them, the key repeated."""
    values = known.values
    return (
        values is not None
        and values.kind in ("array", "set")
        and values.elements is not None
        and values.elements.kind in _SCALARS
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_flat(shape: Shape) -> bool:
    return all(
        known.kind not in ("array", "set") or kind_of(name, known) == "lines" for name, known in shape.fields.items()
    )


def _is_code(name: str, known: Field) -> bool:
    """Whether functions stand in it: a text of several lines each."""
    within = known.elements or known.values
    return "lua" in name.split("_") or (name in _PHASES and within is not None and within.kind == "string")


def _ticks(known: Field) -> list[str]:
    return [value for value, _ in _options(known)] if known.kind == "set" else []


def _is_referenceable(known: Field) -> bool:
    within = (known.elements, known.values)
    return known.referenceable or any(one is not None and one.referenceable for one in within)


def _one_of(known: Field) -> OneOf | None:
    return next((rule for rule in known.rules if isinstance(rule, OneOf)), None)


def _options(known: Field) -> list[tuple[str, str]]:
    if known.kind == "set" and known.elements is not None:
        rule = _one_of(known.elements)
        return [(_plain(value), _plain(value)) for value in rule.values] if rule else []
    rule = _one_of(known)
    if rule is None:
        return []
    unset = [] if known.required else [(UNSET, "not set")]
    return [*unset, *((_plain(value), _plain(value)) for value in (*rule.values, *rule.enterprise))]


def _hint(known: Field, kind: InputKind) -> str:
    between = next((rule for rule in known.rules if isinstance(rule, Between)), None)
    if between is not None:
        return f"{_plain(between.low)} to {_plain(between.high)}"
    if kind == "lines" and known.elements is not None:
        rule = _one_of(known.elements)
        if rule is None:
            return "One a line"
        return "" if known.kind == "set" else f"One a line: {', '.join(map(_plain, rule.values))}"
    return {"map": "One a line, as key: value", "json": "As JSON"}.get(kind, "")


def _below(problems: Mapping[str, Any], name: str) -> Any:
    return problems.get(name, "") if isinstance(problems, Mapping) else ""


def _element(problem: Any, number: int) -> Mapping[str, Any]:
    if isinstance(problem, list) and number < len(problem) and isinstance(problem[number], Mapping):
        found: Mapping[str, Any] = problem[number]
        return found
    return {}


def _text(problem: Any) -> str:
    """A problem of any shape in one line."""
    if not problem:
        return ""
    if isinstance(problem, str):
        return problem
    if isinstance(problem, Mapping):
        return "; ".join(f"{key}: {_text(value)}" for key, value in problem.items() if value)
    return "; ".join(
        f"{place}: {_text(one)}" if len(problem) > 1 else _text(one) for place, one in enumerate(problem, 1) if one
    )
