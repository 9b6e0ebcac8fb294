"""Arguments of Konnect's lists: pages by number or cursor, filters, sorting."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from twinplane.api.core.message import Query
from twinplane.api.konnect.errors import Problem
from twinplane.control.errors import InvalidParameter

T = TypeVar("T")

PAGE_SIZE_DEFAULT: Final = 10
PAGE_SIZE_MAX: Final = 1000
_NUMBER_MAX: Final = 2**31 - 1
_FILTER: Final = re.compile(r"filter\[([^\[\]]+)\](?:\[([^\[\]]+)\])?\Z")


def read_number_page(query: Query, *, size_default: int = PAGE_SIZE_DEFAULT) -> tuple[int, int]:
    """`page[number]` and `page[size]`."""
    invalid: list[InvalidParameter] = []
    number = _positive(query, "page[number]", 1, _NUMBER_MAX, invalid)
    size = _positive(query, "page[size]", size_default, PAGE_SIZE_MAX, invalid)
    if invalid:
        raise Problem(400, "Invalid parameters", invalid)
    return number, size


def read_filters(query: Query) -> dict[str, dict[str, str]]:
    """`filter[field][operator]=value`; the bare form means equality. Empty values ask for nothing."""
    filters: dict[str, dict[str, str]] = {}
    for name, value in query.items():
        found = _FILTER.match(name)
        if found and value:
            filters.setdefault(found[1], {})[found[2] or "eq"] = value
    return filters


def cursor_page(rows: Sequence[T], ids: Sequence[str], query: Query, *, path: str) -> tuple[list[T], dict[str, Any]]:
    """The rows behind `page[after]`, and the `page` member: count of all, where to go on."""
    invalid: list[InvalidParameter] = []
    size = _positive(query, "page[size]", PAGE_SIZE_MAX, PAGE_SIZE_MAX, invalid)
    after = _decoded(query.first("page[after]") or query.first("page.next_cursor") or "", invalid)
    if invalid:
        raise Problem(400, "Invalid parameters", invalid)
    start = ids.index(after) + 1 if after in ids else 0
    part = list(rows[start : start + size])
    page: dict[str, Any] = {"total_count": len(rows)}
    if start + size < len(rows):
        cursor = base64.urlsafe_b64encode(ids[start + size - 1].encode()).decode()
        page |= {"next": f"{path}?page%5Bafter%5D={cursor}&page%5Bsize%5D={size}", "next_cursor": cursor}
        page["has_next_page"] = True
    return part, page


def read_size(query: Query, default: int, invalid: list[InvalidParameter]) -> int:
    """`page[size]`."""
    return _positive(query, "page[size]", default, PAGE_SIZE_MAX, invalid)


def read_cursor(query: Query, name: str, invalid: list[InvalidParameter]) -> str | None:
    """What an earlier page wrote into a cursor; None where there is none."""
    text = query.first(name)
    return _decoded(text, invalid, name) if text else None


def written_cursor(text: str) -> str:
    """A cursor that holds `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decoded(cursor: str, invalid: list[InvalidParameter], name: str = "page[after]") -> str:
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        invalid.append(InvalidParameter(name, "invalid", "is not a cursor of an earlier page", "query"))
        return ""


def _positive(query: Query, name: str, default: int, maximum: int, invalid: list[InvalidParameter]) -> int:
    text = query.first(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        invalid.append(InvalidParameter(name, "is_integer", "must be a whole number", "query"))
        return default
    number = int(text)
    if number < 1:
        invalid.append(InvalidParameter(name, "min", "must be at least 1", "query", {"minimum": 1}))
    elif number > maximum:
        invalid.append(InvalidParameter(name, "max", f"must be at most {maximum}", "query", {"maximum": maximum}))
    return number
