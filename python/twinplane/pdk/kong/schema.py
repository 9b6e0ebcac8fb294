"""A configuration declared in Kong's schema language, as plugins written for Kong do, in the language of this house."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Optional

from pydantic import Field as Declared
from pydantic import PrivateAttr, create_model

from twinplane.pdk.config import Config
from twinplane.schema import (
    Between,
    Defaulted,
    Encrypted,
    GreaterThan,
    Length,
    Match,
    Referenceable,
    StartsWith,
    Unordered,
    Uuid,
    not_in,
    one_of,
)

_SCALARS: Mapping[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_ABSENT = object()


class KongConfig(Config):
    """A configuration, and the instance of the plugin that was made for it."""

    _plugin: Any = PrivateAttr(default=None)

    @property
    def plugin(self) -> Any:
        """The instance."""
        return self._plugin

    def begin(self, written: Callable[[dict[str, Any]], Any]) -> None:
        """Make the instance. What it raises refuses the configuration."""
        self._plugin = written(self.model_dump(exclude_none=True))


class SchemaUnreadable(ValueError):
    """A declaration that means nothing here; the text says where and what."""


def config_of(name: str, declared: Iterable[Mapping[str, Any]]) -> type[KongConfig]:
    """The configuration that a tuple of fields declares. Raises SchemaUnreadable."""
    return _record(name, declared, "Schema")


def _record(name: str, declared: Iterable[Mapping[str, Any]], path: str) -> type[KongConfig]:
    fields: dict[str, Any] = {}
    for one in declared:
        if not isinstance(one, Mapping) or len(one) != 1:
            raise SchemaUnreadable(f"{path}: each field is a mapping of its name to what it is, got {one!r}")
        ((key, facts),) = one.items()
        fields[key] = _field(name, f"{path}.{key}", dict(facts))
    return create_model(name, __base__=KongConfig, __doc__=f"The configuration of {name}.", **fields)


def _field(name: str, path: str, facts: dict[str, Any]) -> tuple[Any, Any]:
    required, default = bool(facts.pop("required", False)), facts.pop("default", _ABSENT)
    # A record that has to be there is made of the defaults of its fields.
    is_made = facts.get("type") == "record" and required and default is _ABSENT
    annotation = _annotation(name, path, facts)
    if is_made:
        annotation = Annotated[annotation, Defaulted()]
    if not required:
        annotation = Optional[annotation]  # noqa: UP045 - what it is is known at run time
    if default is not _ABSENT:
        return annotation, Declared(default=default)
    return annotation, ... if required else None


def _annotation(name: str, path: str, facts: dict[str, Any]) -> Any:
    kind = facts.pop("type", None)
    told = [_FACTS[key](facts.pop(key)) for key in list(facts) if key in _FACTS]
    lengths = {part: facts.pop(f"len_{end}") for part, end in _LENGTHS.items() if f"len_{end}" in facts}
    if lengths:
        told.append(Length(**lengths))
    base: Any
    if kind in _SCALARS:
        base = _SCALARS[kind]
    elif kind in {"array", "set"}:
        base = list.__class_getitem__(_annotation(name, f"{path}.elements", dict(facts.pop("elements", {}))))
        told += [Unordered()] if kind == "set" else []
    elif kind == "map":
        keys: Any = _annotation(name, f"{path}.keys", dict(facts.pop("keys", {"type": "string"})))
        base = dict.__class_getitem__((keys, _annotation(name, f"{path}.values", dict(facts.pop("values", {})))))
    elif kind == "record":
        base = _record(name, facts.pop("fields", ()), path)
    else:
        raise SchemaUnreadable(f"{path}: there is no type {kind!r}")
    if facts:
        raise SchemaUnreadable(f"{path}: {', '.join(sorted(facts))} cannot be declared here")
    given = [fact for fact in told if fact is not None]
    return Annotated[(base, *given)] if given else base


_LENGTHS = {"minimum": "min", "maximum": "max", "exactly": "eq"}
_FACTS: Mapping[str, Callable[[Any], Any]] = {
    "one_of": lambda values: one_of(*values),
    "not_one_of": lambda values: not_in(*values),
    "between": lambda bounds: Between(*bounds),
    "gt": GreaterThan,
    "match": Match,
    "starts_with": StartsWith,
    "uuid": lambda is_one: Uuid() if is_one else None,
    "referenceable": lambda is_one: Referenceable() if is_one else None,
    "encrypted": lambda is_one: Encrypted() if is_one else None,
    "description": str,
}
