"""The rows of a configuration that comes as deltas: put together to a whole table, which is then served as any other.

The rows live in memory only, and only where the link is of version 2; a node that starts asks for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson

from twinplane.hybrid.client import Outcome
from twinplane.hybrid.errors import PayloadTooLarge
from twinplane.hybrid.rpc.sync import Delta, Received
from twinplane.node.config import ConfigKeeper
from twinplane.registry import entity_types

ROWS_MAX: Final = 2_000_000
_Rows = dict[str, dict[str, Mapping[str, Any]]]


class DeltaRows:
    """All rows, by type and key. `take` must not run twice at a time."""

    def __init__(self, keeper: ConfigKeeper, *, rows_max: int = ROWS_MAX) -> None:
        self._keeper = keeper
        self._rows_max = rows_max
        self._rows: _Rows = {}

    async def take(self, received: Received) -> Outcome:
        """See `hybrid.rpc.client.DeltaSink`. Rows that cannot be served change nothing of what is there."""
        rows, table = await asyncio.to_thread(self._merged, received)
        outcome = await self._keeper.receive_table(table)
        if outcome.fault is None:
            self._rows = rows
        return outcome

    def _merged(self, received: Received) -> tuple[_Rows, bytes]:
        rows: _Rows = {} if received.is_whole else {name: dict(kept) for name, kept in self._rows.items()}
        for delta in received.deltas:
            key = _key(delta)
            if delta.entity is None:
                rows.get(delta.type, {}).pop(key, None)
            else:
                rows.setdefault(delta.type, {})[key] = _flat(delta.type, delta.entity)
        count = sum(len(kept) for kept in rows.values())
        if count > self._rows_max:
            raise PayloadTooLarge(count, self._rows_max)
        table = {name: list(kept.values()) for name, kept in rows.items() if kept}
        return rows, orjson.dumps({"_format_version": "3.0", "_transform": False, **table})


def _key(delta: Delta) -> str:
    """What tells a row from others of its type: its id, or the key of one that has none."""
    row = delta.pk or delta.entity or {}
    return str(row.get("id") or row.get("key"))


def _flat(type_name: str, entity: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with bare ids in place of references, as a table has them."""
    known = entity_types().get(type_name)
    row = {name: value for name, value in entity.items() if name != "ws_id"}
    for field in known.foreign if known is not None else ():
        if isinstance(row.get(field), dict):
            row[field] = row[field].get("id")
    return row
