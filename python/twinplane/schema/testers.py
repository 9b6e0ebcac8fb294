"""From a field to the function that says what is wrong with a value of it, in Kong's words."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from twinplane.schema.rules import Uuid
from twinplane.schema.shape import Field, Kind, Violation, of

# What every reader of a configuration can hold, the core and its JSON among them.
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1


def tester(field: Field) -> Callable[[Any], Violation]:
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
    element = of(field.elements)

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
    key_field, value_field = of(field.keys), of(field.values)

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
    uuid = Uuid()

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
