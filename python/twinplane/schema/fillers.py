"""From a field to the functions that normalise a value of it and make its default."""

import secrets
import string
from collections.abc import Callable
from typing import Any

from twinplane.schema.rules import Uuid
from twinplane.schema.shape import ABSENT, Field, Shape, of

_ALPHABET = string.ascii_letters + string.digits


def filler(field: Field) -> Callable[[Any], Any] | None:
    """The function that normalises a value that is not null, or None where values stay as they are."""
    match field.kind:
        case "integer":
            return lambda value: int(value) if type(value) is float and value.is_integer() else value
        case "array" | "set":
            return _list_filler(of(field.elements).fill, unique=field.kind == "set")
        case "map":
            return _map_filler(of(field.values).fill)
        case "record" if field.record is not None and not field.abstract:
            return _record_filler(field.record)
        case "foreign":
            return _reference
        case _:
            return None


def _list_filler(fill: Callable[[Any], Any] | None, *, unique: bool) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is not list:
            return [] if value == {} else value
        items = value if fill is None else [item if item is None else fill(item) for item in value]
        return _distinct(items) if unique else items

    return filled


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    seen: set[Any] = set()
    for item in items:
        if isinstance(item, (dict, list)):
            out.append(item)
        elif (type(item), item) not in seen:
            seen.add((type(item), item))
            out.append(item)
    return out


def _map_filler(fill: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is not dict:
            return {} if value == [] else value
        return value if fill is None else {key: item if item is None else fill(item) for key, item in value.items()}

    return filled


def _record_filler(shape: Shape) -> Callable[[Any], Any]:
    def filled(value: Any) -> Any:
        if type(value) is list:
            value = dict(enumerate(value, 1))
        return shape.fill(value) if type(value) is dict else value

    return filled


def _reference(value: Any) -> Any:
    if type(value) is dict and type(value.get("id")) is str:
        return {"id": value["id"].lower()}
    return {} if value == [] else value


def default_maker(field: Field) -> Callable[[], Any] | None:
    """The function that makes the value of an absent field, or None where there is none."""
    if field.automatic and field.kind == "string" and not any(isinstance(rule, Uuid) for rule in field.rules):
        return random_text
    if field.kind == "record" and field.record is not None and not field.abstract:
        is_unset = field.default is ABSENT or field.default is None
        if is_unset and not field.required:
            return None
        shape, given = field.record, {} if is_unset else field.default
        return lambda: shape.fill(given)
    default = field.default
    if default is ABSENT or default is None:
        return None
    if isinstance(default, list):
        fill = field.fill
        return (lambda: fill(list(default))) if fill is not None else (lambda: list(default))
    if isinstance(default, dict):
        return lambda: dict(default)
    return lambda: default


def random_text() -> str:
    """32 letters and digits that nobody can guess."""
    number = int.from_bytes(secrets.token_bytes(40))
    letters = []
    for _ in range(32):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)
