"""Every table of the configuration store, in SQLAlchemy Core. What a body holds is no matter of columns.

Times are Unix seconds. A body is canonical JSON text: keys sorted, references as bare ids, so that a payload is a join.
Every key begins with the organization and the control plane: no statement can reach another tenant by leaving one out.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_ENTITY_KEY = ["organization_id", "control_plane_id", "workspace", "type", "id"]
_ENTITY_COLUMNS = [f"entity.{name}" for name in _ENTITY_KEY]

META = Table("meta", METADATA, Column("name", String, primary_key=True), Column("value", Text, nullable=False))

ORGANIZATION = Table(
    "organization",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

USER = Table(
    "user",
    METADATA,
    Column("id", String, primary_key=True),
    Column("organization_id", String, ForeignKey("organization.id", ondelete="CASCADE"), nullable=False),
    Column("email", String, nullable=False),
    Column("full_name", String, nullable=False),
    Column("preferred_name", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("organization_id", "email"),
    UniqueConstraint("organization_id", "id"),
)

# Only a keyed hash of the secret is here; the key lies in a file of its own.
TOKEN = Table(
    "token",
    METADATA,
    Column("id", String, primary_key=True),
    Column("organization_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("last_used_at", Float),
    Column("revoked_at", Float),
    ForeignKeyConstraint(["organization_id", "user_id"], ["user.organization_id", "user.id"], ondelete="CASCADE"),
    UniqueConstraint("organization_id", "user_id", "name"),
)

# Only a keyed hash of the cookie's secret is here. A session ends with the token that it was begun with.
SESSION = Table(
    "session",
    METADATA,
    Column("hash", String, primary_key=True),
    Column("organization_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("token_id", String, ForeignKey("token.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
    Index("ix_session_user", "organization_id", "user_id", "created_at"),
)

CONTROL_PLANE = Table(
    "control_plane",
    METADATA,
    Column("id", String, primary_key=True),
    Column("organization_id", String, ForeignKey("organization.id", ondelete="CASCADE"), nullable=False),
    Column("region", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("cluster_type", String, nullable=False),
    Column("auth_type", String, nullable=False),
    Column("cloud_gateway", Boolean, nullable=False),
    Column("proxy_urls", Text, nullable=False),
    Column("router_flavor", String, nullable=False),
    Column("prefix", String, nullable=False, unique=True),
    Column("is_predefined", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "region", "name"),
)

# The hash of the newest payload, kept so that asking for it does not build the payload again.
EXPECTED_HASH = Table(
    "expected_hash",
    METADATA,
    Column("control_plane_id", String, ForeignKey("control_plane.id", ondelete="CASCADE"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("hash", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

ENTITY = Table(
    "entity",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint(*_ENTITY_KEY),
    ForeignKeyConstraint(
        ["organization_id", "control_plane_id"],
        ["control_plane.organization_id", "control_plane.id"],
        ondelete="CASCADE",
    ),
)
Index("ix_entity_expires_at", ENTITY.c.expires_at, sqlite_where=ENTITY.c.expires_at.is_not(None))

# One row for each unique field or set of fields that an entity holds; `workspace` is * where all workspaces share it.
UNIQUE_KEY = Table(
    "unique_key",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("shared_by", String, nullable=False),
    Column("field", String, nullable=False),
    Column("value", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("id", String, nullable=False),
    PrimaryKeyConstraint("organization_id", "control_plane_id", "type", "shared_by", "field", "value"),
    ForeignKeyConstraint(_ENTITY_KEY, _ENTITY_COLUMNS, ondelete="CASCADE", name="fk_unique_key_entity"),
    Index("ix_unique_key_entity", *_ENTITY_KEY),
    sqlite_with_rowid=False,
)

# One row for each reference that is set: no entity can name another that is not there, and none can go while named.
REFERENCE = Table(
    "reference",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("field", String, nullable=False),
    Column("target_workspace", String, nullable=False),
    Column("target_type", String, nullable=False),
    Column("target_id", String, nullable=False),
    PrimaryKeyConstraint(*_ENTITY_KEY, "field"),
    ForeignKeyConstraint(_ENTITY_KEY, _ENTITY_COLUMNS, ondelete="CASCADE", name="fk_reference_entity"),
    ForeignKeyConstraint(
        ["organization_id", "control_plane_id", "target_workspace", "target_type", "target_id"],
        _ENTITY_COLUMNS,
        name="fk_reference_target",
    ),
    Index(
        "ix_reference_target",
        "organization_id",
        "control_plane_id",
        "target_workspace",
        "target_type",
        "target_id",
        "workspace",
        "type",
        "field",
        "id",
    ),
    sqlite_with_rowid=False,
)

TAG = Table(
    "tag",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("tag", String, nullable=False),
    PrimaryKeyConstraint(*_ENTITY_KEY, "position"),
    ForeignKeyConstraint(_ENTITY_KEY, _ENTITY_COLUMNS, ondelete="CASCADE", name="fk_tag_entity"),
    Index("ix_tag_tag", "organization_id", "control_plane_id", "workspace", "tag", "id"),
    Index("ix_tag_entity", "organization_id", "control_plane_id", "workspace", "id", "position"),
    sqlite_with_rowid=False,
)

# Append-only. A revision is one accepted write; its positions are the rows that it changed, cascades included.
CHANGE = Table(
    "change",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("actor_kind", String, nullable=False),
    Column("actor_id", String, nullable=False),
    Column("actor_name", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("before", Text),
    Column("after", Text),
    PrimaryKeyConstraint("organization_id", "control_plane_id", "revision", "position"),
    CheckConstraint("operation IN ('create', 'update', 'delete')", name="operation"),
    Index("ix_change_entity", "organization_id", "control_plane_id", "id", "revision"),
)

NODE_CERTIFICATE = Table(
    "node_certificate",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("cert", Text, nullable=False),
    Column("title", String, nullable=False),
    Column("fingerprint", String, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("organization_id", "control_plane_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "control_plane_id"],
        ["control_plane.organization_id", "control_plane.id"],
        ondelete="CASCADE",
    ),
)

NODE = Table(
    "node",
    METADATA,
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("hostname", String, nullable=False),
    Column("ip", String, nullable=False),
    Column("version", String, nullable=False),
    Column("type", String, nullable=False),
    Column("labels", Text, nullable=False),
    Column("last_ping", Float, nullable=False),
    Column("config_hash", String, nullable=False),
    Column("revision", Integer),
    Column("epoch", String),
    Column("sync_status", String, nullable=False),
    Column("issues", Text),
    Column("told_compatibility", String),
    Column("certificate_id", String),
    Column("certificate_expires_at", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("organization_id", "control_plane_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "control_plane_id"],
        ["control_plane.organization_id", "control_plane.id"],
        ondelete="CASCADE",
    ),
)

# Append-only; the oldest are forgotten. Each row carries the hash of the one before: see control/audit.py.
AUDIT = Table(
    "audit",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("organization_id", String, nullable=False),
    Column("control_plane_id", String),
    Column("node_id", String),
    Column("certificate_id", String),
    Column("actor_kind", String),
    Column("actor_id", String),
    Column("actor_name", String),
    Column("client_ip", String),
    Column("result", String, nullable=False),
    Column("request_id", String),
    Column("detail", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("ix_audit_at", "organization_id", "at", "position"),
    Index("ix_audit_control_plane", "organization_id", "control_plane_id", "position"),
    Index("ix_audit_node", "control_plane_id", "node_id", "position"),
)
