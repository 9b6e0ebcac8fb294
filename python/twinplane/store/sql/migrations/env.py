"""Runs migrations on the connection that `store.sql.schema` hands in; there is no other way in."""

from __future__ import annotations

from alembic import context

from twinplane.store.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
