"""Statements on organizations, users and tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from twinplane.store.sql.rows import OrganizationRow, TokenRow, UserRow
from twinplane.store.sql.tables import ORGANIZATION, TOKEN, USER

R = TypeVar("R")

_TOKEN_AT = (
    (TOKEN.c.organization_id == bindparam("o")) & (TOKEN.c.user_id == bindparam("u")) & (TOKEN.c.id == bindparam("i"))
)


class IdentityTable:
    """Who may call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def organization(self, organization_id: str) -> OrganizationRow | None:
        """One organization."""
        return self._one(select(ORGANIZATION).where(ORGANIZATION.c.id == organization_id), OrganizationRow)

    def first_organization(self) -> OrganizationRow | None:
        """The oldest organization."""
        found = select(ORGANIZATION).order_by(ORGANIZATION.c.created_at, ORGANIZATION.c.id).limit(1)
        return self._one(found, OrganizationRow)

    def add_organization(self, row: OrganizationRow) -> None:
        """Add an organization."""
        self._connection.execute(insert(ORGANIZATION), asdict(row))

    def organizations(self) -> list[OrganizationRow]:
        """All organizations, oldest first."""
        found = select(ORGANIZATION).order_by(ORGANIZATION.c.created_at, ORGANIZATION.c.id)
        return [OrganizationRow(**row._mapping) for row in self._connection.execute(found)]

    def put_organization(self, row: OrganizationRow) -> None:
        """Add an organization, or bring a known one up to date."""
        changed = update(ORGANIZATION).where(ORGANIZATION.c.id == row.id).values(**asdict(row))
        if self._connection.execute(changed).rowcount == 0:
            self.add_organization(row)

    def user(self, organization_id: str, user_id: str) -> UserRow | None:
        """One user of an organization."""
        found = select(USER).where(USER.c.organization_id == organization_id, USER.c.id == user_id)
        return self._one(found, UserRow)

    def users(self, organization_id: str) -> list[UserRow]:
        """All users of an organization, oldest first."""
        found = select(USER).where(USER.c.organization_id == organization_id).order_by(USER.c.created_at, USER.c.id)
        return [UserRow(**row._mapping) for row in self._connection.execute(found)]

    def add_user(self, row: UserRow) -> None:
        """Add a user."""
        self._connection.execute(insert(USER), asdict(row))

    def put_user(self, row: UserRow) -> None:
        """Add a user, or bring a known one up to date."""
        changed = update(USER).where(USER.c.organization_id == row.organization_id, USER.c.id == row.id)
        if self._connection.execute(changed.values(**asdict(row))).rowcount == 0:
            self.add_user(row)

    def token_by_hash(self, keyed_hash: str) -> TokenRow | None:
        """The token whose secret has this keyed hash."""
        return self._one(select(TOKEN).where(TOKEN.c.hash == keyed_hash), TokenRow)

    def token(self, organization_id: str, user_id: str, token_id: str) -> TokenRow | None:
        """One token of a user."""
        return self._one(select(TOKEN).where(_TOKEN_AT), TokenRow, {"o": organization_id, "u": user_id, "i": token_id})

    def tokens(self, organization_id: str, user_id: str) -> list[TokenRow]:
        """All tokens of a user, oldest first."""
        found = (
            select(TOKEN)
            .where(TOKEN.c.organization_id == organization_id, TOKEN.c.user_id == user_id)
            .order_by(TOKEN.c.created_at, TOKEN.c.id)
        )
        return [TokenRow(**row._mapping) for row in self._connection.execute(found)]

    def has_tokens(self) -> bool:
        """Whether any token was ever made and kept."""
        return self._connection.execute(select(TOKEN.c.id).limit(1)).first() is not None

    def add_token(self, row: TokenRow) -> None:
        """Add a token."""
        self._connection.execute(insert(TOKEN), asdict(row))

    def revoke_token(self, organization_id: str, user_id: str, token_id: str, *, at: float) -> None:
        """Mark a token revoked; the first time counts."""
        self._connection.execute(
            update(TOKEN)
            .where(_TOKEN_AT, TOKEN.c.revoked_at.is_(None))
            .values(revoked_at=bindparam("at_"), updated_at=bindparam("at_")),
            {"o": organization_id, "u": user_id, "i": token_id, "at_": at},
        )

    def touch_token(self, token_id: str, *, at: float) -> None:
        """Note when a token was last used."""
        self._connection.execute(update(TOKEN).where(TOKEN.c.id == token_id).values(last_used_at=at))

    def delete_token(self, organization_id: str, user_id: str, token_id: str) -> bool:
        """Remove a token."""
        found = self._connection.execute(
            delete(TOKEN).where(_TOKEN_AT), {"o": organization_id, "u": user_id, "i": token_id}
        )
        return found.rowcount > 0

    def _one(self, statement: Any, kind: type[R], at: dict[str, Any] | None = None) -> R | None:
        found = self._connection.execute(statement, at or {}).one_or_none()
        return None if found is None else kind(**found._mapping)
