"""Checks between the fields of one record, by the names Kong gives them.

A check runs after the fields have been tested and adds what it finds to the tree of errors. Dotted paths name fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twinplane.schema.facts import Required
from twinplane.schema.rules import Equals, Rule, kong_text
from twinplane.schema.violations import ENTITY

if TYPE_CHECKING:
    from twinplane.schema.shape import Shape

_MISSING: Any = object()
Errors = dict[str, Any]
Match = Rule | Required


class EntityCheck(Protocol):
    """A check between fields."""

    def served(self) -> dict[str, Any]:
        """The check in the served schema."""

    def run(self, row: Mapping[Any, Any], errors: Errors, shape: "Shape") -> None:
        """Adds to `errors` what the row does wrong."""


def value_at(row: Mapping[Any, Any], path: str, missing: Any = _MISSING) -> Any:
    """The value at a dotted path, or `missing`."""
    if "." not in path:
        return row.get(path, missing)
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return missing
        value = value[part]
    return value


def put_error(errors: Errors, path: str, error: Any) -> None:
    """Places an error at a dotted path."""
    *parents, last = path.split(".")
    for part in parents:
        inner = errors.get(part)
        if not isinstance(inner, dict):
            inner = errors[part] = {}
        errors = inner
    errors[last] = error


def _add(errors: Errors, text: str) -> None:
    errors.setdefault(ENTITY, []).append(text)


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _is_set(row: Mapping[Any, Any], path: str) -> bool:
    value = value_at(row, path, None)
    return value is not None and value != "" and not (isinstance(value, (list, dict)) and not value)


def _broken(errors: Errors, names: tuple[str, ...]) -> bool:
    """Whether a field has been found wrong already. Kong does not look below the first level, so neither do we."""
    return any(name in errors for name in names)


def _violation(match: Match, kind: str, value: Any) -> str | None:
    """What a condition says about a value of a field of this kind. Null satisfies all but Required and Equals."""
    if isinstance(match, Required):
        return "required field missing" if value is None else None
    if isinstance(match, Equals):
        return match.violation(value)
    if value is None:
        return None
    wrong = _wrong_type(kind, value)
    return wrong or match.violation(value)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "set": (list,),
    "map": (dict,),
    "record": (dict,),
    "foreign": (dict,),
}


def _wrong_type(kind: str, value: Any) -> str | None:
    types = _TYPES.get(kind)
    if types is None or (isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))):
        return None
    article = "an" if kind[0] in "ai" else "a"
    return f"expected {article} {kind}"


def _served_match(match: Match) -> dict[str, Any]:
    return {"required": True} if isinstance(match, Required) else match.served()


@dataclass(frozen=True, slots=True)
class Conditional:
    """If one field matches, another must match too."""

    if_field: str
    if_match: Match
    then_field: str
    then_match: tuple[Match, ...]
    error: str | None = None
    enterprise: bool = False

    def served(self) -> dict[str, Any]:
        if self.enterprise:
            return {}
        then_match: dict[str, Any] = {}
        for match in self.then_match:
            then_match.update(_served_match(match))
        served = {
            "if_field": self.if_field,
            "if_match": _served_match(self.if_match),
            "then_field": self.then_field,
            "then_match": then_match,
        }
        return {"conditional": served if self.error is None else {**served, "then_err": self.error}}

    def run(self, row: Mapping[Any, Any], errors: Errors, shape: "Shape") -> None:
        value = _condition_value(self.if_field, (self.then_field,), row, errors)
        if value is _MISSING or _violation(self.if_match, _kind(shape, self.if_field), value) is not None:
            return
        kind, then_value = _kind(shape, self.then_field), value_at(row, self.then_field, None)
        wrong = next(filter(None, (_violation(match, kind, then_value) for match in self.then_match)), None)
        wrong = wrong or value_at(errors, self.then_field, None)
        if wrong is not None:
            put_error(errors, self.then_field, wrong)
            _add(errors, self.error or f"failed conditional validation given value of field '{self.if_field}'")


@dataclass(frozen=True, slots=True)
class ConditionalAtLeastOneOf:
    """If one field matches, at least one of others must be set."""

    if_field: str
    if_match: Match
    then_fields: tuple[str, ...]
    error: str | None = None

    def served(self) -> dict[str, Any]:
        served = {
            "if_field": self.if_field,
            "if_match": _served_match(self.if_match),
            "then_at_least_one_of": list(self.then_fields),
        }
        return {"conditional_at_least_one_of": served if self.error is None else {**served, "then_err": self.error}}

    def run(self, row: Mapping[Any, Any], errors: Errors, shape: "Shape") -> None:
        value = _condition_value(self.if_field, self.then_fields, row, errors)
        if value is _MISSING or _violation(self.if_match, _kind(shape, self.if_field), value) is not None:
            return
        if not any(_is_set(row, name) for name in self.then_fields):
            text = self.error or "at least one of these fields must be non-empty: %s"
            _add(errors, text.replace("%s", _quoted(self.then_fields)))


def _condition_value(name: str, others: tuple[str, ...], row: Mapping[Any, Any], errors: Errors) -> Any:
    """The value a condition looks at; missing where broken or absent. Asked for if what it bears on is there."""
    value = value_at(row, name)
    if value is _MISSING:
        if any(value_at(row, other) is not _MISSING for other in others):
            put_error(errors, name, "field required for entity check")
    elif value_at(errors, name) is _MISSING:
        return value
    return _MISSING


def _kind(shape: "Shape", path: str) -> str:
    kind = shape.kinds.get(path)
    if kind is None:
        field = shape.field_at(path)
        kind = shape.kinds[path] = field.kind if field is not None else "any"
    return kind


@dataclass(frozen=True, slots=True)
class AtLeastOneOf:
    """At least one of these fields must be set."""

    fields: tuple[str, ...]

    def served(self) -> dict[str, Any]:
        return {"at_least_one_of": list(self.fields)}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        if not any(_is_set(row, name) for name in self.fields):
            _add(errors, f"at least one of these fields must be non-empty: {_quoted(self.fields)}")


@dataclass(frozen=True, slots=True)
class OnlyOneOf:
    """Exactly one of these fields must be set."""

    fields: tuple[str, ...]

    def served(self) -> dict[str, Any]:
        return {"only_one_of": list(self.fields)}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        given = any(value_at(row, name) is not _MISSING for name in self.fields)
        if given and not _broken(errors, self.fields) and sum(_is_set(row, name) for name in self.fields) != 1:
            _add(errors, f"exactly one of these fields must be non-empty: {_quoted(self.fields)}")


@dataclass(frozen=True, slots=True)
class MutuallyExclusive:
    """At most one of these fields may be set."""

    fields: tuple[str, ...]

    def served(self) -> dict[str, Any]:
        return {"mutually_exclusive": list(self.fields)}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        if not _broken(errors, self.fields) and sum(_is_set(row, name) for name in self.fields) > 1:
            _add(errors, f"only one or none of these fields must be set: {_quoted(self.fields)}")


@dataclass(frozen=True, slots=True)
class MutuallyRequired:
    """All of these fields must be set, or none."""

    fields: tuple[str, ...]

    def served(self) -> dict[str, Any]:
        return {"mutually_required": list(self.fields)}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        if _broken(errors, self.fields):
            return
        count = sum(_is_set(row, name) for name in self.fields)
        if 0 < count < len(self.fields):
            _add(errors, f"all or none of these fields must be set: {_quoted(self.fields)}")


@dataclass(frozen=True, slots=True)
class Distinct:
    """The set ones among these fields must differ."""

    fields: tuple[str, ...]

    def served(self) -> dict[str, Any]:
        return {"distinct": list(self.fields)}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        if _broken(errors, self.fields):
            return
        values = [value for name in self.fields if (value := value_at(row, name, None)) is not None]
        if len({kong_text(value) for value in values}) < len(values):
            _add(errors, f"values of these fields must be distinct: {_quoted(self.fields)}")


CheckResult = str | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CustomCheck:
    """A test of several fields at once, in code. Returns a text for the whole record, or errors by field."""

    test: Callable[[Mapping[Any, Any]], CheckResult]
    fields: tuple[str, ...]
    with_missing: bool = False
    with_broken: bool = False
    unless_broken: tuple[str, ...] = ()
    hidden: bool = False

    def served(self) -> dict[str, Any]:
        if self.hidden:
            return {}
        served: dict[str, Any] = {"field_sources": list(self.fields)}
        if self.with_missing:
            served["run_with_missing_fields"] = True
        if self.with_broken:
            served["run_with_invalid_fields"] = True
        return {"custom_entity_check": served}

    def run(self, row: Mapping[Any, Any], errors: Errors, _shape: "Shape") -> None:
        if _broken(errors, self.unless_broken) or (
            not (self.with_broken or self.with_missing) and _broken(errors, self.fields)
        ):
            return
        if not self.with_missing and all(value_at(row, name) is _MISSING for name in self.fields):
            return
        found = self.test(row)
        if isinstance(found, str):
            _add(errors, found)
        elif found:
            for name, error in found.items():
                put_error(errors, name, error)


@dataclass(frozen=True, slots=True)
class When:
    """The first half of a condition; `then` and its kin make the check."""

    field: str
    match: Match

    def then(self, field: str, *matches: Match, error: str | None = None, enterprise: bool = False) -> Conditional:
        """Another field must match. With `enterprise` the schema that is served does not tell."""
        return Conditional(self.field, self.match, field, matches, error, enterprise)

    def then_at_least_one_of(self, *fields: str, error: str | None = None) -> ConditionalAtLeastOneOf:
        """One of these must be set; `%s` in the error stands for their names."""
        return ConditionalAtLeastOneOf(self.field, self.match, fields, error)


def when(field: str, match: Match) -> When:
    """Begins a condition: `when("protocol", not_in("https")).then("tls_verify", null())`."""
    return When(field, match)


def at_least_one_of(*fields: str) -> AtLeastOneOf:
    """At least one of these fields must be set."""
    return AtLeastOneOf(fields)


def only_one_of(*fields: str) -> OnlyOneOf:
    """Exactly one of these fields must be set."""
    return OnlyOneOf(fields)


def mutually_exclusive(*fields: str) -> MutuallyExclusive:
    """At most one of these fields may be set."""
    return MutuallyExclusive(fields)


def mutually_required(*fields: str) -> MutuallyRequired:
    """All of these fields must be set, or none."""
    return MutuallyRequired(fields)


def distinct(*fields: str) -> Distinct:
    """The set ones among these fields must differ."""
    return Distinct(fields)


def check(
    test: Callable[[Mapping[Any, Any]], CheckResult],
    *fields: str,
    with_missing: bool = False,
    with_broken: bool = False,
    unless_broken: tuple[str, ...] = (),
    hidden: bool = False,
) -> CustomCheck:
    """A check written in code; a hidden one is not part of the served schema."""
    return CustomCheck(test, fields, with_missing, with_broken, unless_broken, hidden)
