"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "change",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.CheckConstraint("operation IN ('create', 'update', 'delete')", name=op.f("ck_change_operation")),
        sa.PrimaryKeyConstraint("organization_id", "control_plane_id", "revision", "position", name=op.f("pk_change")),
    )
    op.create_index(
        "ix_change_entity", "change", ["organization_id", "control_plane_id", "id", "revision"], unique=False
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
    )
    op.create_table(
        "control_plane",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("cluster_type", sa.String(), nullable=False),
        sa.Column("auth_type", sa.String(), nullable=False),
        sa.Column("cloud_gateway", sa.Boolean(), nullable=False),
        sa.Column("proxy_urls", sa.Text(), nullable=False),
        sa.Column("router_flavor", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("is_predefined", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_control_plane_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_plane")),
        sa.UniqueConstraint("organization_id", "id", name=op.f("uq_control_plane_organization_id_id")),
        sa.UniqueConstraint(
            "organization_id", "region", "name", name=op.f("uq_control_plane_organization_id_region_name")
        ),
        sa.UniqueConstraint("prefix", name=op.f("uq_control_plane_prefix")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("full_name", sa.String(), nullable=False),
        sa.Column("preferred_name", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_user_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("organization_id", "email", name=op.f("uq_user_organization_id_email")),
        sa.UniqueConstraint("organization_id", "id", name=op.f("uq_user_organization_id_id")),
    )
    op.create_table(
        "entity",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id"],
            ["control_plane.organization_id", "control_plane.id"],
            name=op.f("fk_entity_organization_id_control_plane"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "control_plane_id", "workspace", "type", "id", name=op.f("pk_entity")
        ),
    )
    op.create_index(
        "ix_entity_expires_at", "entity", ["expires_at"], unique=False, sqlite_where=sa.text("expires_at IS NOT NULL")
    )
    op.create_table(
        "expected_hash",
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["control_plane_id"],
            ["control_plane.id"],
            name=op.f("fk_expected_hash_control_plane_id_control_plane"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("control_plane_id", name=op.f("pk_expected_hash")),
    )
    op.create_table(
        "node",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("last_ping", sa.Float(), nullable=False),
        sa.Column("config_hash", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("epoch", sa.String(), nullable=True),
        sa.Column("sync_status", sa.String(), nullable=False),
        sa.Column("issues", sa.Text(), nullable=True),
        sa.Column("certificate_id", sa.String(), nullable=True),
        sa.Column("certificate_expires_at", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id"],
            ["control_plane.organization_id", "control_plane.id"],
            name=op.f("fk_node_organization_id_control_plane"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "control_plane_id", "id", name=op.f("pk_node")),
    )
    op.create_table(
        "node_certificate",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("cert", sa.Text(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id"],
            ["control_plane.organization_id", "control_plane.id"],
            name=op.f("fk_node_certificate_organization_id_control_plane"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "control_plane_id", "id", name=op.f("pk_node_certificate")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_node_certificate_fingerprint")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["user.organization_id", "user.id"],
            name=op.f("fk_token_organization_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_token_hash")),
        sa.UniqueConstraint("organization_id", "user_id", "name", name=op.f("uq_token_organization_id_user_id_name")),
    )
    op.create_table(
        "reference",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("target_workspace", sa.String(), nullable=False),
        sa.Column("target_type", sa.String(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id", "target_workspace", "target_type", "target_id"],
            ["entity.organization_id", "entity.control_plane_id", "entity.workspace", "entity.type", "entity.id"],
            name="fk_reference_target",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id", "workspace", "type", "id"],
            ["entity.organization_id", "entity.control_plane_id", "entity.workspace", "entity.type", "entity.id"],
            name="fk_reference_entity",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "control_plane_id", "workspace", "type", "id", "field", name=op.f("pk_reference")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_reference_target",
        "reference",
        [
            "organization_id",
            "control_plane_id",
            "target_workspace",
            "target_type",
            "target_id",
            "workspace",
            "type",
            "field",
            "id",
        ],
        unique=False,
    )
    op.create_table(
        "tag",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id", "workspace", "type", "id"],
            ["entity.organization_id", "entity.control_plane_id", "entity.workspace", "entity.type", "entity.id"],
            name="fk_tag_entity",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "control_plane_id", "workspace", "type", "id", "position", name=op.f("pk_tag")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_tag_entity", "tag", ["organization_id", "control_plane_id", "workspace", "id", "position"], unique=False
    )
    op.create_index(
        "ix_tag_tag", "tag", ["organization_id", "control_plane_id", "workspace", "tag", "id"], unique=False
    )
    op.create_table(
        "unique_key",
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("control_plane_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("shared_by", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "control_plane_id", "workspace", "type", "id"],
            ["entity.organization_id", "entity.control_plane_id", "entity.workspace", "entity.type", "entity.id"],
            name="fk_unique_key_entity",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "control_plane_id", "type", "shared_by", "field", "value", name=op.f("pk_unique_key")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_unique_key_entity",
        "unique_key",
        ["organization_id", "control_plane_id", "workspace", "type", "id"],
        unique=False,
    )


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "unique_key",
        "tag",
        "reference",
        "token",
        "node_certificate",
        "node",
        "expected_hash",
        "entity",
        "user",
        "control_plane",
        "organization",
        "meta",
        "change",
    ):
        op.drop_table(table)
