"""The configuration store on SQL: a data directory opened as a `Database`, whose transactions `control` works in."""

from __future__ import annotations

from twinplane.store.sql.audit import AuditFilter
from twinplane.store.sql.database import FILE_NAME, Database
from twinplane.store.sql.entities import EntityTable
from twinplane.store.sql.rows import (
    SHARED_BY_ALL,
    AuditRow,
    ChangeRow,
    ControlPlaneRow,
    EntityKey,
    EntityRow,
    ExpectedHashRow,
    NodeCertificateRow,
    NodeRow,
    OrganizationRow,
    Realm,
    ReferenceRow,
    Referrer,
    SessionRow,
    TagRow,
    TokenRow,
    UniqueKeyRow,
    UserRow,
)
from twinplane.store.sql.transaction import Transaction

__all__ = [
    "FILE_NAME",
    "SHARED_BY_ALL",
    "AuditFilter",
    "AuditRow",
    "ChangeRow",
    "ControlPlaneRow",
    "Database",
    "EntityKey",
    "EntityRow",
    "EntityTable",
    "ExpectedHashRow",
    "NodeCertificateRow",
    "NodeRow",
    "OrganizationRow",
    "Realm",
    "ReferenceRow",
    "Referrer",
    "SessionRow",
    "TagRow",
    "TokenRow",
    "Transaction",
    "UniqueKeyRow",
    "UserRow",
]
