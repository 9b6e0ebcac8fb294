"""What an ingress controller says of the compatibility of its nodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nodes that are known already said nothing."""
    with op.batch_alter_table("node") as table:
        table.add_column(sa.Column("told_compatibility", sa.String(), nullable=True))
