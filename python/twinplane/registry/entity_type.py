"""One collection of entities as the rooms above see it: its names, its references, and how bodies become rows."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from twinplane.schema import ENTITY, AliasRefused, Entity, Field, SchemaViolation, Shape
from twinplane.schema.answer import with_aliases
from twinplane.schema.checks import value_at
from twinplane.schema.json_form import json_form
from twinplane.schema.kong_form import is_served, kong_form

OnDelete = Literal["cascade", "restrict", "null"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A reference of one collection to another."""

    target: str
    required: bool
    on_delete: OnDelete
    unique: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EntityType:
    """A collection. Rows are plain dicts in which every field is present, None where unset; references are `{"id": …}`."""

    name: str
    singular: str
    admin_path: str
    nested_path: str
    endpoint_key: str | None
    fields: Mapping[str, Field]
    foreign: Mapping[str, Foreign]
    unique_fields: tuple[str, ...]
    unique_across_workspaces: tuple[str, ...]
    cache_key: tuple[str, ...]
    workspaced: bool
    ttl: bool
    edition: Literal["oss", "ee"]
    since: str
    declared: type[Entity]
    shape: Shape
    variant: Callable[[Any], Shape | None] | None = field(default=None, repr=False)

    @property
    def composite_unique(self) -> tuple[tuple[str, ...], ...]:
        """Groups of fields whose values no two rows share."""
        return (self.cache_key,) if len(self.cache_key) > 1 else ()

    @property
    def beyond(self) -> frozenset[str]:
        """Fields that Kong 3.9 of the open edition does not know; the Admin API neither takes nor shows them."""
        return frozenset(name for name, known in self.fields.items() if not is_served(known))

    def prepare_insert(self, body: Mapping[str, Any], *, now: float) -> Row:
        """A whole new row from a body: shorthands, defaults, automatic values, every check. Raises SchemaViolation.

        An `id` of None is passed on as it is: refusing it is the business of the primary key.
        """
        return self._prepared(body, identity=None, now=now)

    def prepare_replace(self, body: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row that takes the place of `existing`; keeps its id. Raises SchemaViolation."""
        return self._prepared(body, identity=existing["id"], now=now)

    def prepare_update(self, patch: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row `existing` with `patch` merged in: records merge, maps and lists are replaced. Raises SchemaViolation."""
        shape, refused = self._shape_for({**existing, **patch})
        try:
            given = shape.fill_given(patch)
            row = shape.fill(shape.merge(given, existing))
        except AliasRefused as error:
            raise SchemaViolation(error.errors) from error
        self._stamp(row, given=given, before=existing, now=now)
        if "id" in existing:
            row["id"] = existing["id"]
        errors = _joined(shape.violations(row), refused)
        for fields in self.declared.given_together:
            if 0 < sum(value_at(given, name, None) is not None for name in fields) < len(fields) and not self._alone(given, fields):
                names = ", ".join(f"'{name}'" for name in fields)
                errors.setdefault(ENTITY, []).append(f"all or none of these fields must be set: {names}")
        if errors:
            raise SchemaViolation(errors)
        return self._transformed(row, frozenset(given))

    def answer(self, row: Row, *, beyond: bool = False) -> Row:
        """The row as an API shows it: with deprecated names beside their successors, and without what Kong 3.9 does not know."""
        shape, _ = self._shape_for(row)
        shown = with_aliases(shape, row)
        if not beyond:
            for name in self.beyond:
                shown.pop(name, None)
        return shown

    def key_violation(self, name: str, value: str) -> str | None:
        """What is wrong with a value used as key in a path, or None."""
        wrong = self.fields[name].violation(value)
        return None if wrong is None else str(wrong)

    def kong_schema(self) -> dict[str, Any]:
        """The answer of `GET /schemas/{name}`."""
        return kong_form(self.shape)

    def json_schema(self) -> dict[str, Any]:
        """The answer of `GET /v1/schemas/json/{singular}`: properties with their defaults."""
        return json_form(self.shape)

    def _alone(self, given: Mapping[str, Any], fields: tuple[str, str]) -> bool:
        """A password may be changed by itself: the consumer it is hashed with is known."""
        return self.name == "basicauth_credentials" and value_at(given, fields[0], None) is not None

    def _prepared(self, body: Mapping[str, Any], *, identity: str | None, now: float) -> Row:
        shape, refused = self._shape_for(body)
        try:
            row = shape.fill(body)
        except AliasRefused as error:
            raise SchemaViolation(error.errors) from error
        self._stamp(row, given=body, before=None, now=now)
        if identity is not None:
            row["id"] = identity
        elif "id" in self.fields and "id" not in body:
            row["id"] = str(uuid.uuid4())
        elif isinstance(row.get("id"), str):
            row["id"] = row["id"].lower()
        errors = _joined(shape.violations(row), refused)
        if errors:
            raise SchemaViolation(errors)
        return self._transformed(row, frozenset(body))

    def _shape_for(self, body: Mapping[str, Any]) -> tuple[Shape, dict[str, Any]]:
        """The shape of this row, and what is wrong where its kind is not known."""
        if self.variant is None or self.declared.variant_of is None:
            return self.shape, {}
        kind = self.declared.variant_of({**_defaults(self.shape), **body})
        shape = self.variant(kind) if isinstance(kind, str) else None
        if shape is not None:
            return shape, {}
        assert self.declared.unknown_variant is not None
        return self.shape, self.declared.unknown_variant(kind)

    def _stamp(self, row: Row, *, given: Mapping[str, Any], before: Row | None, now: float) -> None:
        """Moments: `created_at` is taken if given, `updated_at` never is."""
        for name, known in self.fields.items():
            if known.automatic and known.kind in ("integer", "number"):
                if name != "updated_at" and given.get(name) is not None:
                    continue
                if before is not None and name != "updated_at":
                    row[name] = before.get(name)
                else:
                    row[name] = int(now) if known.kind == "integer" else round(now, 3)

    def _transformed(self, row: Row, given: frozenset[str]) -> Row:
        for transform in self.declared.transformations:
            transform(row, given)
        return row


def _defaults(shape: Shape) -> dict[str, Any]:
    return {name: known.make_default() for name, known in shape.fields.items() if known.make_default is not None and name == "protocols"}


def _joined(errors: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**errors, **more} if more else errors
