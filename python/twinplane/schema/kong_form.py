"""Shapes in the form in which Kong serves its schemas, filtered to what one version and edition of Kong knows."""

from collections.abc import Iterable, Mapping
from typing import Any

from twinplane.schema.rules import NOT_EMPTY
from twinplane.schema.shape import ABSENT, Field, Shape

SERVED_VERSION = (3, 9, 3)


def is_served(field: Field) -> bool:
    """Whether Kong 3.9 of the open edition knows the field."""
    if field.enterprise:
        return False
    if field.since is not None and _version(field.since) > SERVED_VERSION:
        return False
    return field.removed is None or _version(field.removed) > SERVED_VERSION


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def kong_form(shape: Shape, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The answer of `GET /schemas/…`; `only` names the fields to serve where not all are."""
    return {"entity_checks": _checks(shape), "fields": _fields(shape.fields, only)}


def _fields(fields: Mapping[str, Field], only: Iterable[str] | None = None) -> list[dict[str, Any]]:
    names = fields if only is None else only
    return [{name: _field(fields[name])} for name in names if is_served(fields[name])]


def _checks(shape: Shape) -> list[dict[str, Any]]:
    return [served for check in shape.checks if (served := check.served())]


def _field(field: Field) -> dict[str, Any]:  # noqa: PLR0912 - one straight list
    served: dict[str, Any] = {"type": field.kind}
    if field.description:
        served["description"] = field.description
    if field.required:
        served["required"] = True
    default = _default(field)
    if default is not ABSENT and default is not None:
        served["default"] = default
    if field.elements is not None:
        served["elements"] = _element(field.elements)
    if field.keys is not None:
        served["keys"] = _element(field.keys)
    if field.values is not None:
        served["values"] = _element(field.values)
    if field.references is not None:
        served["reference"] = field.references.collection
        if field.references.on_delete == "cascade":
            served["on_delete"] = "cascade"
    if field.unique is not None:
        served["unique"] = True
        if field.unique.across_workspaces:
            served["unique_across_ws"] = True
    for name in ("automatic", "referenceable", "encrypted", "transient", "abstract"):
        if getattr(field, name):
            served["auto" if name == "automatic" else name] = True
    if field.json is not None:
        served["json_schema"] = field.json.schema
    if field.error is not None and field.served_error:
        served["err"] = field.error
    if field.deprecated is not None:
        served["deprecation"] = _deprecation(field)
    for rule in field.rules:
        if rule is not NOT_EMPTY:
            _add_rule(served, rule.served())
    if field.record is not None and not field.abstract:
        served["fields"] = _fields(field.record.fields)
        if checks := _checks(field.record):
            served["entity_checks"] = checks
        if field.record.shorthands:
            served["shorthand_fields"] = [
                {name: _shorthand(form)} for name, (_, form) in field.record.shorthands.items()
            ]
    return served


def _element(field: Field) -> dict[str, Any]:
    """Elements are not nullable by nature; they are served as required only where a fact says so."""
    served = _field(field)
    if not field.must_be_set:
        served.pop("required", None)
    return served


def _shorthand(field: Field) -> dict[str, Any]:
    served = _field(field)
    served.pop("required", None)
    return served


def _default(field: Field) -> Any:
    if field.served_default and field.record is not None and field.default == {}:
        return _without_nulls(field.record.fill({}))
    return field.default


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _deprecation(field: Field) -> dict[str, Any]:
    deprecated = field.deprecated
    assert deprecated is not None
    served: dict[str, Any] = {"message": deprecated.message, "removal_in_version": deprecated.removal}
    if deprecated.old_default is not None:
        served["old_default"] = deprecated.old_default
    if deprecated.replaced_with:
        served["replaced_with"] = [{"path": list(deprecated.replaced_with)}]
    return served


def _add_rule(served: dict[str, Any], rule: dict[str, Any]) -> None:
    """Rules that may stand several times on a field are served as one list."""
    for name, value in rule.items():
        if name.startswith("match_") and isinstance(value, list):
            served.setdefault(name, []).extend(value)
        else:
            served[name] = value
