"""Configurations as plugins declare them: records of this language, or plain dataclasses that are read as such."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Optional, Union, get_args, get_origin, get_type_hints

from pydantic import Field as Declared
from pydantic import create_model

from twinplane.schema import Defaulted, Record


class Config(Record):
    """The configuration of a plugin: annotated fields, in the language that all entities are declared in."""


class ConfigUnreadable(TypeError):
    """A class that declares no configuration; the text says why."""


def record_of(declared: Any) -> type[Record]:
    """The record that a configuration class declares. Raises ConfigUnreadable."""
    if isinstance(declared, type) and issubclass(declared, Record):
        return declared
    if isinstance(declared, type) and dataclasses.is_dataclass(declared):
        return _record_of_dataclass(declared)
    raise ConfigUnreadable("config_class must derive from twinplane.pdk.Config or be a dataclass")


def read_config(declared: Any, row: Mapping[str, Any]) -> Any:
    """A configuration as its plugin gets it: an instance of the class that declares it."""
    read = record_of(declared).model_validate(row)
    return read if isinstance(read, declared) else _made(declared, read)


@cache
def _record_of_dataclass(declared: type[Any]) -> type[Record]:
    hints = get_type_hints(declared, include_extras=True)
    fields = {}
    for field in dataclasses.fields(declared):
        annotation = _translated(hints[field.name])
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            fields[field.name] = (annotation, ...)
            continue
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            fields[field.name] = (Annotated[annotation, Defaulted(dataclasses.asdict(default))], ...)
        else:
            fields[field.name] = (annotation, Declared(default=default))
    words = (declared.__doc__ or "The configuration.").strip()
    try:
        return create_model(declared.__name__, __base__=Config, __doc__=words, **fields)  # type: ignore[call-overload, no-any-return]
    except (TypeError, NameError) as error:
        raise ConfigUnreadable(f"config_class {declared.__name__}: {error}") from error


def _translated(annotation: Any) -> Any:
    """An annotation with records in the place of dataclasses."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_translated(args[0]), *args[1:])]
    if origin in (Union, types.UnionType):
        others = [_translated(each) for each in args if each is not type(None)]
        if len(others) == 1 and len(args) > 1:
            return Optional[others[0]]  # noqa: UP045 - what it is is known at run time
        raise ConfigUnreadable(f"{annotation} is more than one type")
    if origin in (list, dict):
        return origin.__class_getitem__(
            tuple(_translated(each) for each in args) if origin is dict else _translated(args[0])
        )
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _record_of_dataclass(annotation)
    return annotation


def _made(declared: Any, read: Any) -> Any:
    """What was read, in dataclasses."""
    hints = get_type_hints(declared)
    values = {field.name: getattr(read, field.name) for field in dataclasses.fields(declared)}
    return declared(**{name: _in_place(hints[name], value) for name, value in values.items()})


def _in_place(annotation: Any, value: Any) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if value is None:
        return None
    if origin in (Union, types.UnionType):
        return _in_place(next(each for each in args if each is not type(None)), value)
    if origin is list:
        return [_in_place(args[0], each) for each in value]
    if origin is dict:
        return {key: _in_place(args[1], each) for key, each in value.items()}
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _made(annotation, value)
    return value
