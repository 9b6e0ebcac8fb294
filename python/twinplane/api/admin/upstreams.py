"""Targets of an upstream in the Admin API's own order, and their health, of which a control plane knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import Answer, Call, Query, json_answer
from twinplane.api.core.numerals import parse_number
from twinplane.api.core.paging import SIZE_DEFAULT, SIZE_MAX, BadSize, page_body, read_page, read_tags
from twinplane.api.core.source import Source
from twinplane.control import Page, Parent
from twinplane.control.errors import InvalidOffset
from twinplane.registry import entity_type


class Targets:
    """Lists of targets below `/upstreams/{u}`."""

    def __init__(self, control: Source, node_id: str) -> None:
        self._control = control
        self._node_id = node_id

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/upstreams/{upstreams}/targets/all": {"GET": self.all},
            "/upstreams/{upstreams}/health": {"GET": self.health},
        }

    def newest_first(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One page of targets, the newest first; the offset is a count (vectors: targets/paging)."""
        rows = self._rows(call, keys, tags=read_tags(call.request.query))
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
        start, size = _offset(call.request.query), _size(call.request.query)
        end = start + max(0, size)
        more = len(rows) > end and size >= 0
        body = page_body(rows[start:end], path=call.path.rstrip("/"), offset=str(end) if more else None, repeated={})
        return json_answer(200, body)

    def all(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One page of targets in the order of all other lists."""
        asked = read_page(call.request.query, accepts_empty_offset=False)
        parent = Parent("upstreams", keys[0])
        page = self._page(call, parent, asked.size, asked.offset, asked.tags)
        return json_answer(200, page_body(page.rows, path=call.path.rstrip("/"), offset=page.offset, repeated={}))

    def health(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """The targets without a word on their health, which only nodes know."""
        rows = self._rows(call, keys)
        if call.request.query.first("balancer_health") == "1":
            return json_answer(200, {"next": None, "node_id": self._node_id})
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
        return json_answer(200, {"data": rows, "next": None, "node_id": self._node_id})

    def _rows(self, call: Call, keys: tuple[str, ...], *, tags: str | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        parent, offset = Parent("upstreams", keys[0]), None
        while True:
            page = self._page(call, parent, SIZE_MAX, offset, tags)
            rows.extend(page.rows)
            if page.offset is None:
                return rows
            offset = page.offset

    def _page(self, call: Call, parent: Parent, size: int, offset: str | None, tags: str | None) -> Page:
        changes = self._control.changes
        page = changes.page(call.site.scope, "targets", size=size, offset=offset, tags=tags, parent=parent)
        kind = entity_type("targets")
        return Page([kind.answer(row) for row in page.rows], page.offset)


def _size(query: Query) -> int:
    values = query.all("size")
    if not values:
        return SIZE_DEFAULT
    number = parse_number(values[0]) if len(values) == 1 and values[0] is not None else None
    if number is None:
        raise BadSize(is_number=False)
    return int(number)


def _offset(query: Query) -> int:
    text = query.first("offset")
    if text is None:
        return 0
    if not text.isdigit() or len(text) > 9:
        raise InvalidOffset(text, "not a number")
    return int(text)
