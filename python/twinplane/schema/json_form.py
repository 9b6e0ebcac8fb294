"""Shapes as JSON Schema, in the form in which Konnect serves them to clients that look for defaults."""

from typing import Any

from twinplane.schema import rules
from twinplane.schema.shape import ABSENT, Field, Shape

_TYPES = {"set": "array", "map": "object", "record": "object", "foreign": "object"}


def json_form(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a record: properties with types, bounds and defaults."""
    form: dict[str, Any] = {
        "type": "object",
        "properties": {name: _field(field) for name, field in shape.fields.items()},
        "additionalProperties": False,
    }
    required = [
        name
        for name, field in shape.fields.items()
        if field.required and field.make_default is None and not field.automatic
    ]
    return {**form, "required": required} if required else form


def _field(field: Field) -> dict[str, Any]:
    if field.kind == "json":
        return {}
    form: dict[str, Any] = {"type": _TYPES.get(field.kind, field.kind)}
    if field.description:
        form["description"] = field.description
    if field.default not in (ABSENT, None) and field.kind != "record":
        form["default"] = field.default
    if field.elements is not None:
        form["items"] = _field(field.elements)
    if field.kind == "set":
        form["uniqueItems"] = True
    if field.values is not None:
        form["additionalProperties"] = _field(field.values)
    if field.kind == "foreign":
        form.update(properties={"id": {"type": "string"}}, required=["id"], additionalProperties=False)
    if field.record is not None and not field.abstract:
        form.update({key: value for key, value in json_form(field.record).items() if key != "type"})
        if field.make_default is not None:
            form["default"] = field.make_default()
    for rule in field.rules:
        form.update(_rule(rule))
    return form


def _rule(rule: rules.Rule) -> dict[str, Any]:
    match rule:
        case rules.OneOf(values, enterprise):
            return {"enum": [*values, *enterprise]}
        case rules.Between(low, high):
            return {"minimum": low, "maximum": high}
        case rules.GreaterThan(bound):
            return {"exclusiveMinimum": bound}
        case rules.Uuid():
            return {"format": "uuid"}
        case rules.Length(minimum, maximum, None):
            bounds = {"minLength": minimum, "maxLength": maximum}
            return {name: bound for name, bound in bounds.items() if bound is not None}
        case _:
            return {}
