"""Statements on sessions: people who signed in with a token and go on with a cookie."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from twinplane.store.sql.rows import SessionRow
from twinplane.store.sql.tables import SESSION


class SessionTable:
    """Who is signed in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: SessionRow) -> None:
        """Add a session."""
        self._connection.execute(insert(SESSION), asdict(row))

    def by_hash(self, keyed_hash: str) -> SessionRow | None:
        """The session whose secret has this keyed hash."""
        found = self._connection.execute(select(SESSION).where(SESSION.c.hash == keyed_hash)).one_or_none()
        return None if found is None else SessionRow(**found._mapping)

    def touch(self, keyed_hash: str, *, at: float) -> None:
        """Note when a session was last used."""
        statement = update(SESSION).where(SESSION.c.hash == bindparam("h")).values(last_used_at=bindparam("at_"))
        self._connection.execute(statement, {"h": keyed_hash, "at_": at})

    def remove(self, keyed_hash: str) -> bool:
        """Remove a session."""
        return self._connection.execute(delete(SESSION).where(SESSION.c.hash == keyed_hash)).rowcount > 0

    def remove_older(self, *, last_used_before: float, created_before: float) -> int:
        """Remove sessions that were not used, or have lived, for too long. Returns how many."""
        is_over = (SESSION.c.last_used_at <= last_used_before) | (SESSION.c.created_at <= created_before)
        return self._connection.execute(delete(SESSION).where(is_over)).rowcount

    def remove_oldest(self, organization_id: str, user_id: str, *, kept: int) -> int:
        """Remove all but the `kept` newest sessions of a user. Returns how many."""
        of_user = (SESSION.c.organization_id == organization_id) & (SESSION.c.user_id == user_id)
        newest = select(SESSION.c.hash).where(of_user).order_by(SESSION.c.created_at.desc(), SESSION.c.hash).limit(kept)
        return self._connection.execute(delete(SESSION).where(of_user, SESSION.c.hash.not_in(newest))).rowcount
