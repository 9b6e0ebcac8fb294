"""Facts of the store itself: its instance id, its epoch, and a mark that health checks write."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from twinplane.store.sql.tables import META

_GET = select(META.c.value).where(META.c.name == bindparam("n"))
_SET = update(META).where(META.c.name == bindparam("n")).values(value=bindparam("v"))


class MetaTable:
    """Names and values."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """The value of a name."""
        return self._connection.execute(_GET, {"n": name}).scalar_one_or_none()

    def put(self, name: str, value: str) -> None:
        """Give a name a value."""
        if self._connection.execute(_SET, {"n": name, "v": value}).rowcount == 0:
            self._connection.execute(insert(META), {"name": name, "value": value})
