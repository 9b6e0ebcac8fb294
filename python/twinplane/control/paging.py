"""How lists are cut: opaque offsets, page sizes, and tag filters as clients write them. Pure."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.errors import InvalidOffset, InvalidOptions, InvalidSize


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags to look for: all of them, or any."""

    tags: tuple[str, ...]
    match_all: bool


def encode_offset(*parts: Any) -> str:
    """The offset that leads past a row."""
    return base64.b64encode(orjson.dumps(list(parts))).decode()


def decode_offset(offset: str, *types: type) -> list[Any]:
    """The parts of an offset that `encode_offset` made of the same types. Raises InvalidOffset."""
    try:
        parts = orjson.loads(base64.b64decode(offset, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidOffset(offset) from error
    if not isinstance(parts, list) or len(parts) != len(types):
        raise InvalidOffset(offset)
    if any(type(part) is not kind for part, kind in zip(parts, types, strict=True)):
        raise InvalidOffset(offset)
    return parts


def check_size(size: int, size_max: int) -> None:
    """Raise InvalidSize unless a page may have this many rows."""
    if not 1 <= size <= size_max:
        raise InvalidSize(size_max)


def parse_tags(text: str, tags_max: int) -> TagFilter:
    """`a,b` asks for both, `a/b` for either. Raises InvalidOptions."""
    if text == "":
        raise InvalidOptions({"tags": "cannot be null"})
    has_comma, has_slash = "," in text, "/" in text
    parts = text.split("/" if has_slash else ",")
    # `a,` is let pass, and asks for a tag that nothing has.
    inner = parts[:-1] if has_comma and len(parts) > 1 else parts
    is_malformed = (has_comma and has_slash) or "" in inner or any(_is_control(part) for part in parts)
    if is_malformed:
        raise InvalidOptions({"tags": "invalid filter syntax"})
    if len(parts) > tags_max:
        raise InvalidOptions({"tags": f"cannot query more than {tags_max} tags"})
    return TagFilter(tuple(parts), match_all=not has_slash)


def _is_control(part: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in part)
