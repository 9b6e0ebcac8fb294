"""Declarations made ready for work: fields and records, their tests and their filling-in compiled to functions.

A shape is built once per class and never changes. It knows nothing of collections, stores or HTTP.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from twinplane.schema.checks import EntityCheck
from twinplane.schema.facts import Deprecated, Json, References, Unique
from twinplane.schema.rules import Rule
from twinplane.schema.shorthand import AliasRefused, Shorthand
from twinplane.schema.violations import ENTITY

Kind = Literal["string", "integer", "number", "boolean", "array", "set", "map", "record", "foreign", "json"]
Violation = str | dict[str, Any] | list[Any] | None
Values = dict[str, Any]

ABSENT: Final = object()


@dataclass(slots=True)
class Field:
    """One field: its kind, its facts, and how a value of it is filled in and tested."""

    kind: Kind
    required: bool = False
    default: Any = ABSENT
    description: str = ""
    rules: tuple[Rule, ...] = ()
    error: str | None = None
    served_error: bool = True
    elements: "Field | None" = None
    keys: "Field | None" = None
    values: "Field | None" = None
    record: "Shape | None" = None
    references: References | None = None
    unique: Unique | None = None
    automatic: bool = False
    referenceable: bool = False
    encrypted: bool = False
    transient: bool = False
    abstract: bool = False
    deprecated: Deprecated | None = None
    json: Json | None = None
    since: str | None = None
    removed: str | None = None
    enterprise: bool = False
    served_default: bool = False
    must_be_set: bool = False
    violation: Callable[[Any], Violation] = lambda _: None
    fill: Callable[[Any], Any] | None = None
    make_default: Callable[[], Any] | None = None

    @property
    def must_be_null(self) -> bool:
        """Whether the only allowed value is none."""
        return any(rule.served() == {"eq": None} for rule in self.rules)


def of(field: Field | None) -> Field:
    """The field of an element, key or value, which lists and maps always have."""
    assert field is not None
    return field


@dataclass(slots=True)
class Shape:
    """A record: its fields, the checks between them, and the other spellings it accepts."""

    name: str
    description: str
    fields: Mapping[str, Field]
    checks: tuple[EntityCheck, ...] = ()
    shorthands: Mapping[str, tuple[Shorthand, Field]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """Kinds of fields by dotted path, as checks have asked for them."""

    def fill(self, body: Mapping[str, Any]) -> Values:
        """The body with other spellings resolved and absent fields given their defaults. Unknown fields stay."""
        given = self._spelled_out(body) if self.shorthands else body
        row: Values = {}
        for name, field_ in self.fields.items():
            value = given.get(name, ABSENT)
            if value is ABSENT:
                if field_.make_default is not None:
                    row[name] = field_.make_default()
                elif not field_.required:
                    row[name] = None
            elif value is None or field_.fill is None:
                row[name] = value
            else:
                row[name] = field_.fill(value)
        if len(given) > len(row) or any(name not in row for name in given):
            row.update((name, value) for name, value in given.items() if name not in row)
        return row

    def fill_given(self, body: Mapping[str, Any]) -> Values:
        """The body with other spellings resolved and its values normalised; absent fields stay absent."""
        given = self._spelled_out(body) if self.shorthands else body
        row: Values = {}
        for name, value in given.items():
            field_ = self.fields.get(name)
            if field_ is None or value is None or field_.fill is None:
                row[name] = value
            elif field_.kind == "record" and field_.record is not None and isinstance(value, Mapping):
                row[name] = field_.record.fill_given(value)
            else:
                row[name] = field_.fill(value)
        return row

    def merge(self, given: Mapping[str, Any], existing: Mapping[str, Any]) -> Values:
        """The existing row with given values in place: records are merged at every depth, all else is replaced."""
        row = dict(existing)
        for name, value in given.items():
            field_ = self.fields.get(name)
            before = row.get(name)
            if (
                field_ is not None
                and field_.record is not None
                and isinstance(value, dict)
                and isinstance(before, dict)
            ):
                row[name] = field_.record.merge(value, before)
            else:
                row[name] = value
        return row

    def violations(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        """Everything that is wrong with a filled row; empty if nothing is."""
        errors: dict[str, Any] = {}
        fields = self.fields
        for name, value in row.items():
            known = fields.get(name)
            if known is None:
                # Under the name for the whole stand lists: further checks add to them.
                errors[name] = ["unknown field"] if name == ENTITY else "unknown field"
            elif value is None:
                if known.required:
                    errors[name] = "required field missing"
            else:
                wrong = known.violation(value)
                if wrong is not None:
                    errors[name] = wrong
        for name, known in fields.items():
            if known.required and name not in row:
                errors[name] = "required field missing"
        for check in self.checks:
            check.run(row, errors, self)
        return errors

    def field_at(self, path: str) -> Field | None:
        """The field at a dotted path."""
        shape: Shape | None = self
        found: Field | None = None
        for part in path.split("."):
            if shape is None:
                return None
            found = shape.fields.get(part)
            shape = found.record if found is not None else None
        return found

    def _spelled_out(self, body: Mapping[str, Any]) -> Values:
        given = dict(body)
        refused: dict[str, Any] = {}
        for name, (shorthand, form) in self.shorthands.items():
            if name not in given:
                continue
            value = given.pop(name)
            wrong = None if value is None else form.violation(value)
            if wrong is None:
                shorthand.spell_out(value, given)
            else:
                refused[name] = wrong
        if refused:
            raise AliasRefused(refused)
        return given
