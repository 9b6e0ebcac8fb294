"""From declarations to shapes: reads the annotations of a class body."""

import types
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from twinplane.schema import facts as said
from twinplane.schema import rules as said_rules
from twinplane.schema.fillers import default_maker, filler
from twinplane.schema.record import Record, Reference
from twinplane.schema.shape import ABSENT, Field, Kind, Shape
from twinplane.schema.testers import tester

_SCALARS: dict[Any, Kind] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Any: "json",
    Reference: "foreign",
}


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
    rules = [fact for fact in facts if isinstance(fact, said_rules.Rule)]
    if get_origin(bare) is Literal:
        rules.append(said_rules.OneOf(get_args(bare)))
    chosen = list(_last_of_each(rules))
    if field.kind == "string" and not any(
        isinstance(rule, said_rules.Length) and rule.minimum is not None for rule in chosen
    ):
        chosen.append(said_rules.NOT_EMPTY)
    field.rules = tuple(sorted(chosen, key=lambda rule: rule.rank))
    field.violation = tester(field)
    field.fill = filler(field)
    field.make_default = default_maker(field)
    return field


def _last_of_each(rules: Sequence[said_rules.Rule]) -> Iterator[said_rules.Rule]:
    """Rules given closer to the field replace those of the same kind in its type; pattern rules add up."""
    many = (said_rules.MatchNone, said_rules.MatchAll, said_rules.Check)
    seen: dict[type, said_rules.Rule] = {type(rule): rule for rule in rules if not isinstance(rule, many)}
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
