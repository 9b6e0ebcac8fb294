"""Opens the configuration store and runs transactions on it: one writer at a time, any number of readers.

SQLite in WAL mode, every commit on disk before it returns. What is particular to SQLite stands here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.pool import QueuePool

from twinplane.store.errors import StoreBusy, StoreConflict, StoreError, StoreTooNew, StoreUnreadable, StoreUnwritable
from twinplane.store.sql.schema import SCHEMA_VERSION, migrate
from twinplane.store.sql.transaction import Transaction

FILE_NAME = "control.db"

_READERS = 8
_READERS_MAX = 64
_CACHE_KIB = 32 * 1024


class Database:
    """The store in one data directory."""

    def __init__(self, path: Path, engine: Engine, *, busy_timeout_ms: int) -> None:
        self.path = path
        self._engine = engine
        self._busy_timeout_ms = busy_timeout_ms
        # Writers queue here rather than in SQLite, which polls and knows no order.
        self._writer_lock = Lock()
        self._writer: Connection | None = None

    @classmethod
    def open(cls, directory: Path, *, busy_timeout_ms: int = 10_000) -> Database:
        """Open the store in `directory`, making or upgrading it. Raises StoreTooNew, StoreUnreadable."""
        path = directory / FILE_NAME
        _prepare_files(directory, path)
        engine = _engine(path, busy_timeout_ms)
        database = cls(path, engine, busy_timeout_ms=busy_timeout_ms)
        try:
            found = database._version()
            if found is not None and found > SCHEMA_VERSION:
                raise StoreTooNew(directory, found, SCHEMA_VERSION)
            if found != SCHEMA_VERSION:
                with engine.connect().execution_options(writes=True) as connection, connection.begin():
                    migrate(connection)
        except DatabaseError as error:
            engine.dispose()
            raise StoreUnreadable(directory, _reason(error)) from error
        except StoreError:
            engine.dispose()
            raise
        return database

    def close(self) -> None:
        """Close every connection; the next process finds the log folded into the file."""
        with self._writer_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A consistent view of the newest committed revision."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield Transaction(connection)
        except DatabaseError as error:
            raise self._typed(error) from error

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One transaction, kept whole or not at all; on disk when the block has ended."""
        if not self._writer_lock.acquire(timeout=self._busy_timeout_ms / 1000):
            raise StoreBusy(self._busy_timeout_ms)
        try:
            if self._writer is None:
                self._writer = self._engine.connect().execution_options(writes=True)
            with self._writer.begin():
                yield Transaction(self._writer)
        except DatabaseError as error:
            self._drop_writer()
            raise self._typed(error) from error
        finally:
            self._writer_lock.release()

    def _drop_writer(self) -> None:
        """Start the next write on a fresh connection: after a failed commit this one's state is not to be trusted."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.invalidate()
            writer.close()

    def _version(self) -> int | None:
        with self._engine.connect() as connection, connection.begin():
            known = connection.execute(
                text("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'")
            ).scalar_one()
            if not known:
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
            return None if found is None else int(found)

    def _typed(self, error: DatabaseError) -> StoreError:
        if isinstance(error, IntegrityError):
            return StoreConflict(str(error.orig))
        reason = _reason(error)
        if isinstance(error, OperationalError) and ("locked" in reason or "busy" in reason):
            return StoreBusy(self._busy_timeout_ms)
        if "malformed" in reason or "not a database" in reason or "unable to open" in reason:
            return StoreUnreadable(self.path, reason)
        return StoreUnwritable(reason)


def _prepare_files(directory: Path, path: Path) -> None:
    """Make the directory and the file with modes that keep others out; say plainly why not."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log the mode of the database file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
        os.close(descriptor)
    except OSError as error:
        raise StoreUnreadable(directory, error.strerror or str(error)) from error


def _engine(path: Path, busy_timeout_ms: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=_READERS,
        max_overflow=_READERS_MAX - _READERS,
        pool_timeout=busy_timeout_ms / 1000,
        connect_args={"check_same_thread": False, "timeout": busy_timeout_ms / 1000, "cached_statements": 512},
        query_cache_size=2000,
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver must not open transactions of its own accord: `begin` below does, and says of which kind.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {busy_timeout_ms}",
            f"cache_size = -{_CACHE_KIB}",
            "temp_store = MEMORY",
            "journal_size_limit = 67108864",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A writer takes its lock at once: what it reads stays true until it commits.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _reason(error: DatabaseError) -> str:
    return str(error.orig) if error.orig is not None else str(error)
