"""One collection of entities as the rooms above see it: its names, its references, and how bodies become rows."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from twinplane.schema import ENTITY, AliasRefused, Entity, Field, SchemaViolation, Shape, Transformation
from twinplane.schema.answer import answer
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
    """A collection. Rows are plain dicts with every field present, None where unset; references are `{"id": …}`."""

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
        row = self._written(body, now=now)
        if "id" in self.fields:
            if "id" not in body:
                row["id"] = str(uuid.uuid4())
            elif isinstance(row["id"], str):
                row["id"] = row["id"].lower()
        return row

    def prepare_replace(self, body: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row that takes the place of `existing`; keeps its id. Raises SchemaViolation."""
        return self._written({**body, "id": existing["id"]} if "id" in existing else body, now=now)

    def prepare_update(self, patch: Mapping[str, Any], *, existing: Row, now: float) -> Row:
        """The row `existing` with `patch` in place: records merge, all else is replaced. Raises SchemaViolation."""
        patch = self._taken(patch)
        shape = self.shape_for({**existing, **patch})
        with _aliases_resolved():
            given = shape.fill_given(patch)
            row = shape.fill(shape.merge(given, existing))
        self._stamp(row, given=given, before=existing, now=now)
        if "id" in existing:
            row["id"] = existing["id"]
        errors = _when_updating(shape.violations(row))
        for transformation in self.declared.transformations:
            of, needs = (_is_given(given, path) for path in (transformation.of, transformation.needs))
            if transformation.needs and of != needs and not (of and transformation.alone):
                _refuse_halves(errors, transformation)
        return self._kept(row, given, errors)

    def answer(self, row: Row, *, beyond: bool = False) -> Row:
        """The row as an API shows it: deprecated names beside their successors, nothing that Kong 3.9 does not know."""
        return answer(self.shape_for(row), row, beyond=beyond)

    def violations(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that is wrong with a row as it stands; empty if nothing is."""
        try:
            return self.shape_for(row).violations(row)
        except SchemaViolation as violation:
            return violation.errors

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

    def _taken(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body without what we fill in ourselves whatever it says."""
        if self.declared.read_only:
            raise SchemaViolation({self.name: "does not support insert/upsert/update/delete operations"})
        if "updated_at" in body:
            return {name: value for name, value in body.items() if name != "updated_at"}
        return body

    def _written(self, body: Mapping[str, Any], *, now: float) -> Row:
        body = self._taken(body)
        shape = self.shape_for(body)
        with _aliases_resolved():
            row = shape.fill(body)
        self._stamp(row, given=body, before=None, now=now)
        errors = shape.violations(row)
        for transformation in self.declared.transformations:
            if transformation.needs and _is_given(body, transformation.of) and not _is_given(row, transformation.needs):
                _refuse_halves(errors, transformation)
        return self._kept(row, body, errors)

    def _kept(self, row: Row, given: Mapping[str, Any], errors: dict[str, Any]) -> Row:
        if errors:
            raise SchemaViolation(errors)
        for transformation in self.declared.transformations:
            if transformation.of in given:
                transformation.change(row)
        return row

    def shape_for(self, body: Mapping[str, Any]) -> Shape:
        """The shape of this row. Where its kind is not known nothing else can be said about it."""
        chosen_by = self.declared.chosen_by
        if self.variant is None or chosen_by is None:
            return self.shape
        kind = chosen_by.kind(body)
        shape = self.variant(kind) if isinstance(kind, str) else None
        if shape is None:
            raise SchemaViolation(chosen_by.unknown(kind))
        return shape

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


@contextmanager
def _aliases_resolved() -> Iterator[None]:
    try:
        yield
    except AliasRefused as refused:
        raise SchemaViolation(refused.errors) from refused


def _is_given(values: Mapping[str, Any], path: str | None) -> bool:
    return path is not None and value_at(values, path, None) is not None


def _refuse_halves(errors: dict[str, Any], transformation: Transformation) -> None:
    text = f"all or none of these fields must be set: '{transformation.of}', '{transformation.needs}'"
    errors.setdefault(ENTITY, []).append(text)


_AT_LEAST_ONE = "at least one of these fields must be non-empty"


def _when_updating(errors: Any) -> Any:
    """Kong says of updates that it is the update which leaves too little."""
    if isinstance(errors, dict):
        return {key: _when_updating(error) for key, error in errors.items()}
    if isinstance(errors, list):
        return [_when_updating(error) for error in errors]
    return f"when updating, {errors}" if isinstance(errors, str) and errors.startswith(_AT_LEAST_ONE) else errors
