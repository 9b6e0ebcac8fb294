"""The arguments of a list: `size`, `offset`, `tags`; and the list as answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from twinplane.api.core.message import Query
from twinplane.api.core.numerals import parse_number

SIZE_DEFAULT: Final = 100
SIZE_MAX: Final = 1000


class BadSize(Exception):
    """`size` is no number, or none that may be asked for."""

    def __init__(self, *, is_number: bool) -> None:
        super().__init__(is_number)
        self.is_number = is_number


class BadTags(Exception):
    """`tags` does not say which entities are wanted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What part of a collection is asked for."""

    size: int
    offset: str | None
    tags: str | None


def read_page(query: Query, *, accepts_empty_offset: bool) -> PageQuery:
    """The page that a query asks for."""
    offset = query.first("offset")
    if offset == "" and accepts_empty_offset:
        offset = None
    return PageQuery(read_size(query), offset, read_tags(query))


def read_size(query: Query) -> int:
    """How many entities a page may hold."""
    values = query.all("size")
    if not values:
        return SIZE_DEFAULT
    number = parse_number(values[0]) if len(values) == 1 and values[0] is not None else None
    if number is None:
        raise BadSize(is_number=False)
    if not isinstance(number, int) or not 1 <= number <= SIZE_MAX:
        raise BadSize(is_number=True)
    return number


def read_tags(query: Query) -> str | None:
    """Which tags entities must carry, as a filter expression; a repeated argument asks for all of them."""
    values = query.all("tags") or query.all("tags[]")
    named = [value for value in values if value is not None]
    if len(named) != len(values):
        raise BadTags("invalid filter syntax")
    return ",".join(named) if named else None


def page_body(
    rows: list[dict[str, Any]], *, path: str, offset: str | None, repeated: Mapping[str, str | None]
) -> dict[str, Any]:
    """A list as answered; `offset` stands in it only where more follows. `repeated` arguments stay in `next`."""
    if offset is None:
        return {"data": rows, "next": None}
    arguments = {"offset": offset, **{name: value for name, value in repeated.items() if value is not None}}
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in arguments.items())
    return {"data": rows, "next": f"{path}?{encoded}", "offset": offset}
