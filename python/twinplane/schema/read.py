"""From declarations to shapes: reads the annotations of a class body and compiles what they say."""

import math
import secrets
import string
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic_core import PydanticUndefined

from twinplane.schema import facts as said
from twinplane.schema.record import Record, Reference
from twinplane.schema.shape import ABSENT, Field, Kind, Shape, Violation

_SCALARS: dict[Any, Kind] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Any: "json",
    Reference: "foreign",
}
# What every reader of a configuration can hold, the core and its JSON among them.
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1
_ALPHABET = string.ascii_letters + string.digits


@cache
def shape_of(cls: type[Record]) -> Shape:
    """The shape of a declared class; built once."""
    fields = {
        info.alias or name: _read(
            info.annotation, tuple(info.metadata), ABSENT if info.default is PydanticUndefined else info.default
        )
        for name, info in cls.model_fields.items()
    }
    shorthands = {
        alias.name: (alias, _read(alias.annotation, _facts_of_alias(alias.deprecated), None))
        for alias in cls.shorthands
    }
    return Shape(cls.__name__, " ".join((cls.__doc__ or "").split()), fields, cls.checks, shorthands)


def merged(name: str, base: Shape, variant: Shape) -> Shape:
    """The shape of an entity in one of its variants: the variant's fields narrow the base's, its checks come after."""
    fields = {key: variant.fields.get(key, value) for key, value in base.fields.items()}
    return Shape(name, variant.description, fields, base.checks + variant.checks, base.shorthands)


def _facts_of_alias(deprecated: said.Deprecated | None) -> tuple[said.Fact, ...]:
    return () if deprecated is None else (deprecated,)


def _unwrapped(annotation: Any, facts: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], bool]:
    """The bare type, every fact around it (outer ones last), and whether None is allowed."""
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *inner = get_args(annotation)
            facts = (*inner, *facts)
        elif origin in (Union, types.UnionType):
            (annotation,) = (arg for arg in get_args(annotation) if arg is not type(None))
            nullable = True
        else:
            return annotation, facts, nullable


def _read(annotation: Any, outer: tuple[Any, ...], default: Any) -> Field:
    bare, facts, nullable = _unwrapped(annotation, outer)
    field = _typed(bare)
    field.required = not nullable
    field.default = ABSENT if default is None and nullable else default
    for fact in facts:
        _note(field, fact)
    rules = [fact for fact in facts if isinstance(fact, said.Rule)]
    if get_origin(bare) is Literal:
        rules.append(said.OneOf(get_args(bare)))
    chosen = list(_last_of_each(rules))
    if field.kind == "string" and not any(
        isinstance(rule, said.Length) and rule.minimum is not None for rule in chosen
    ):
        chosen.append(said.NOT_EMPTY)
    field.rules = tuple(sorted(chosen, key=lambda rule: rule.rank))
    field.violation = _tester(field)
    field.fill = _filler(field)
    field.make_default = _default_maker(field)
    return field


def _last_of_each(rules: Sequence[said.Rule]) -> Iterator[said.Rule]:
    """Rules given closer to the field replace those of the same kind in its type; pattern rules add up."""
    many = (said.MatchNone, said.MatchAll, said.Check)
    seen: dict[type, said.Rule] = {type(rule): rule for rule in rules if not isinstance(rule, many)}
    yield from seen.values()
    yield from (rule for rule in rules if isinstance(rule, many))


def _typed(bare: Any) -> Field:
    origin, args = get_origin(bare), get_args(bare)
    if origin is Literal:
        return Field(_SCALARS[type(args[0])])
    if origin is list:
        return Field("array", elements=_read(args[0], (), None))
    if origin is dict:
        return Field("map", keys=_read(args[0], (), None), values=_read(args[1], (), None))
    if isinstance(bare, type) and issubclass(bare, Record):
        return Field("record", record=shape_of(bare))
    return Field(_SCALARS[bare])


def _note(field: Field, fact: Any) -> None:  # noqa: PLR0912 - one straight list
    match fact:
        case str():
            field.description = fact
        case said.Error(text, served):
            field.error, field.served_error = text, served
        case said.Unordered():
            field.kind = "set"
        case said.Unique():
            field.unique = fact
        case said.References():
            field.references = fact
        case said.Automatic():
            field.automatic = True
        case said.Referenceable():
            field.referenceable = True
        case said.Encrypted():
            field.encrypted = True
        case said.Transient():
            field.transient = True
        case said.Abstract():
            field.abstract = True
        case said.Deprecated():
            field.deprecated = fact
        case said.Json():
            field.json = fact
        case said.Since(version):
            field.since = version
        case said.Removed(version):
            field.removed = version
        case said.Enterprise():
            field.enterprise = True
        case said.Defaulted(value):
            field.served_default = True
            field.default = value if value is not None else {}
        case said.Required():
            field.must_be_set = True


# --- testing ---------------------------------------------------------------------------------------------------------


def _tester(field: Field) -> Callable[[Any], Violation]:
    """The function that says what is wrong with a value that is not null."""
    if field.must_be_null:
        forbidden = field.error or "value must be null"
        return lambda _value: forbidden
    typed = _TYPE_TESTERS[field.kind](field)
    rules = tuple(rule.violation for rule in field.rules)
    # Last: where a field has bounds of its own they are told.
    if field.kind == "integer":
        rules += (_beyond_64_bits,)
    elif field.kind == "number":
        rules += (lambda value: _beyond_64_bits(value) if type(value) is int else None,)
    if not rules and not field.referenceable:
        return typed
    error, referenceable = field.error, field.referenceable

    def violation(value: Any) -> Violation:
        wrong = typed(value)
        if wrong is not None:
            return wrong
        if referenceable and is_reference(value):
            return None
        for rule in rules:
            broken = rule(value)
            if broken is not None:
                return error or broken
        return None

    return violation


def _beyond_64_bits(value: float) -> str | None:
    if _INTEGER_MIN <= value <= _INTEGER_MAX:
        return None
    return f"value should be between {_INTEGER_MIN} and {_INTEGER_MAX}"


def is_reference(value: Any) -> bool:
    """Whether a value is a reference into a vault."""
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


def _test_string(_field: Field) -> Callable[[Any], Violation]:
    return lambda value: None if type(value) is str else "expected a string"


def _test_integer(_field: Field) -> Callable[[Any], Violation]:
    def violation(value: Any) -> Violation:
        if type(value) is int or (type(value) is float and value.is_integer()):
            return None
        return "expected an integer"

    return violation


def _test_number(_field: Field) -> Callable[[Any], Violation]:
    def violation(value: Any) -> Violation:
        return None if type(value) is int or (type(value) is float and math.isfinite(value)) else "expected a number"

    return violation


def _test_boolean(_field: Field) -> Callable[[Any], Violation]:
    return lambda value: None if type(value) is bool else "expected a boolean"


def _test_json(_field: Field) -> Callable[[Any], Violation]:
    def violation(value: Any) -> Violation:
        try:
            orjson.dumps(value)
        except TypeError as error:
            return f"expected what can be written as JSON: {error}"
        return None

    return violation


def _test_list(field: Field) -> Callable[[Any], Violation]:
    expected = "expected an array" if field.kind == "array" else "expected a set"
    element = _of(field.elements)

    def violation(value: Any) -> Violation:
        if type(value) is not list:
            return expected
        errors = ["required field missing" if item is None else element.violation(item) for item in value]
        if not any(error is not None for error in errors):
            return None
        while errors[-1] is None:
            errors.pop()
        return errors

    return violation


def _test_map(field: Field) -> Callable[[Any], Violation]:
    key_field, value_field = _of(field.keys), _of(field.values)

    def violation(value: Any) -> Violation:
        if type(value) is list:
            return "expected a string" if value else None
        if type(value) is not dict:
            return "expected a map"
        for key, inner in value.items():
            wrong = key_field.violation(key)
            if wrong is None:
                wrong = "required field missing" if inner is None else value_field.violation(inner)
            if wrong is not None:
                return wrong
        return None

    return violation


def _test_record(field: Field) -> Callable[[Any], Violation]:
    shape = field.record

    def violation(value: Any) -> Violation:
        if type(value) is not dict:
            return "expected a record"
        return _as_table(shape.violations(value)) if shape is not None else None

    return violation


def _as_table(errors: dict[Any, Any]) -> Violation:
    """Errors of a list that was given for a record stand under its places."""
    if any(type(key) is int for key in errors):
        if len(errors) == max(key for key in errors if type(key) is int):
            return [errors[place] for place in sorted(errors)]
        return {str(key): error for key, error in errors.items()}
    return errors or None


def _test_foreign(_field: Field) -> Callable[[Any], Violation]:
    uuid = said.Uuid()

    def violation(value: Any) -> Violation:
        if type(value) is not dict or "id" not in value:
            return {"id": "missing primary key"}
        key = value["id"]
        if key is None:
            return {"id": "required field missing"}
        if type(key) is not str:
            return {"id": "expected a string"}
        wrong = uuid.violation(key)
        return None if wrong is None else {"id": wrong}

    return violation


_TYPE_TESTERS: Mapping[Kind, Callable[[Field], Callable[[Any], Violation]]] = {
    "string": _test_string,
    "integer": _test_integer,
    "number": _test_number,
    "boolean": _test_boolean,
    "json": _test_json,
    "array": _test_list,
    "set": _test_list,
    "map": _test_map,
    "record": _test_record,
    "foreign": _test_foreign,
}


def _of(field: Field | None) -> Field:
    assert field is not None
    return field


# --- filling in ------------------------------------------------------------------------------------------------------


def _filler(field: Field) -> Callable[[Any], Any] | None:
    """The function that normalises a value that is not null, or None where values stay as they are."""
    match field.kind:
        case "integer":
            return lambda value: int(value) if type(value) is float and value.is_integer() else value
        case "array" | "set":
            return _list_filler(_of(field.elements).fill, unique=field.kind == "set")
        case "map":
            return _map_filler(_of(field.values).fill)
        case "record" if field.record is not None and not field.abstract:
            return _record_filler(field.record)
        case "foreign":
            return _reference
        case _:
            return None


def _list_filler(fill: Callable[[Any], Any] | None, *, unique: bool) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is not list:
            return [] if value == {} else value
        items = value if fill is None else [item if item is None else fill(item) for item in value]
        return _distinct(items) if unique else items

    return filled


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    seen: set[Any] = set()
    for item in items:
        if isinstance(item, (dict, list)):
            out.append(item)
        elif (type(item), item) not in seen:
            seen.add((type(item), item))
            out.append(item)
    return out


def _map_filler(fill: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is not dict:
            return {} if value == [] else value
        return value if fill is None else {key: item if item is None else fill(item) for key, item in value.items()}

    return filled


def _record_filler(shape: Shape) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is list:
            value = dict(enumerate(value, 1))
        return shape.fill(value) if type(value) is dict else value

    return filled


def _reference(value: Any) -> Any:
    if type(value) is dict and type(value.get("id")) is str:
        return {"id": value["id"].lower()}
    return {} if value == [] else value


def _default_maker(field: Field) -> Callable[[], Any] | None:
    """The function that makes the value of an absent field, or None where there is none."""
    if field.automatic and field.kind == "string" and not any(isinstance(rule, said.Uuid) for rule in field.rules):
        return random_text
    if field.kind == "record" and field.record is not None and not field.abstract:
        is_unset = field.default is ABSENT or field.default is None
        if is_unset and not field.required:
            return None
        shape, given = field.record, {} if is_unset else field.default
        return lambda: shape.fill(given)
    default = field.default
    if default is ABSENT or default is None:
        return None
    if isinstance(default, list):
        fill = field.fill
        return (lambda: fill(list(default))) if fill is not None else (lambda: list(default))
    if isinstance(default, dict):
        return lambda: dict(default)
    return lambda: default


def random_text() -> str:
    """32 letters and digits that nobody can guess."""
    number = int.from_bytes(secrets.token_bytes(40))
    letters = []
    for _ in range(32):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)
