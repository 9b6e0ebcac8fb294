"""`/tags`: which entities carry which tag; to be read only."""

from __future__ import annotations

from collections.abc import Mapping

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.errors import kong_error, schema_violation
from twinplane.api.core.message import Answer, Call, json_answer
from twinplane.api.core.paging import page_body, read_page
from twinplane.api.core.source import Source


class Tags:
    """Handlers of `/tags`."""

    def __init__(self, control: Source) -> None:
        self._control = control

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {"/tags": {"GET": self.list, "POST": self.refuse}, "/tags/{tags}": {"GET": self.list}}

    def list(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Tags of all entities, or the entities of one tag."""
        tag = keys[0] if keys else None
        if tag is not None and ("," in tag or "/" in tag or "�" in tag):
            reason = f"invalid tag '{tag}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
            return kong_error(10, reason, name="invalid unique tag")
        asked = read_page(call.request.query, accepts_empty_offset=False)
        page = self._control.changes.tags(call.site.scope, tag, size=asked.size, offset=asked.offset)
        repeated = {"size": call.request.query.first("size")}
        return json_answer(200, page_body(page.rows, path=call.path.rstrip("/"), offset=page.offset, repeated=repeated))

    def refuse(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Tags are written with the entities that carry them."""
        reason = "does not support insert/upsert/update/delete operations"
        return schema_violation({"tags": reason}, f"schema violation (tags: {reason})")
