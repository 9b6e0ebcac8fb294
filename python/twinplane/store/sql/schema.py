"""Brings a store to this version's tables. The migrations lie beside this file and travel in the package."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

SCHEMA_VERSION = 4
"""Number of the newest migration; a store with a higher one was written by a newer version."""

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing, in the caller's transaction."""
    # Alembic takes a while to load, and most starts do not need it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, f"{SCHEMA_VERSION:04d}")
