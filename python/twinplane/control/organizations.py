"""Organizations and their people. The first of each is made when a store is new."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from twinplane.control.errors import NotFound
from twinplane.control.records import Organization, User
from twinplane.store.sql import Database, OrganizationRow, Transaction, UserRow


class Organizations:
    """Tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, organization_id: str) -> Organization:
        """The organization. Raises NotFound."""
        with self._database.reading() as tx:
            row = tx.identity.organization(organization_id)
        if row is None:
            raise NotFound("organizations", {"id": organization_id})
        return Organization(**asdict(row))

    def first(self) -> Organization:
        """The organization made at the first start."""
        with self._database.reading() as tx:
            row = tx.identity.first_organization()
        if row is None:
            raise NotFound("organizations", {})
        return Organization(**asdict(row))


class Users:
    """People of an organization."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, organization_id: str, user_id: str) -> User:
        """The user. Raises NotFound."""
        with self._database.reading() as tx:
            row = tx.identity.user(organization_id, user_id)
        if row is None:
            raise NotFound("users", {"id": user_id})
        return User(**asdict(row))

    def list(self, organization_id: str) -> list[User]:
        """All users, oldest first."""
        with self._database.reading() as tx:
            return [User(**asdict(row)) for row in tx.identity.users(organization_id)]


def make_first(tx: Transaction, *, now: float) -> str:
    """Make the first organization and its administrator where there is none; the organization's id."""
    known = tx.identity.first_organization()
    if known is not None:
        return known.id
    organization = OrganizationRow(str(uuid.uuid4()), "default", "active", now, now)
    tx.identity.add_organization(organization)
    tx.identity.add_user(
        UserRow(
            id=str(uuid.uuid4()),
            organization_id=organization.id,
            email="admin@localhost",
            full_name="Administrator",
            preferred_name="admin",
            active=True,
            created_at=now,
            updated_at=now,
        )
    )
    return organization.id
