"""Promises of the store: what is written is kept whole, what cannot be opened says why."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from twinplane.store.errors import StoreBusy, StoreConflict, StoreTooNew, StoreUnreadable, StoreUnwritable
from twinplane.store.sql import (
    FILE_NAME,
    ControlPlaneRow,
    Database,
    EntityKey,
    EntityRow,
    OrganizationRow,
    Realm,
    ReferenceRow,
    UniqueKeyRow,
)
from twinplane.store.sql.schema import SCHEMA_VERSION
from twinplane.store.sql.tables import METADATA

REALM = Realm("o", "c")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path)
    with opened.writing() as tx:
        tx.identity.add_organization(OrganizationRow("o", "one", "active", 1.0, 1.0))
        tx.control_planes.add(_control_plane("c"))
    yield opened
    opened.close()


def _control_plane(plane_id: str, **fields: object) -> ControlPlaneRow:
    values: dict[str, object] = {
        "id": plane_id,
        "organization_id": "o",
        "region": "us",
        "name": plane_id,
        "description": "",
        "labels": "{}",
        "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE",
        "auth_type": "pinned_client_certs",
        "cloud_gateway": False,
        "proxy_urls": "[]",
        "router_flavor": "traditional_compatible",
        "prefix": f"prefix-{plane_id}",
        "is_predefined": False,
        "revision": 0,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return ControlPlaneRow(**{**values, **fields})  # type: ignore[arg-type]


def _entity(entity_id: str, type_name: str = "services", body: str = "{}") -> EntityRow:
    return EntityRow(EntityKey("default", type_name, entity_id), body, True, 1.0, 1.0, None, 1)


def _insert(database: Database, row: EntityRow, **extra: object) -> None:
    sides: dict[str, object] = {"keys": [], "references": [], "tags": [], **extra}
    with database.writing() as tx:
        tx.entities.insert(REALM, row, **sides)  # type: ignore[arg-type]


def test_migrations_make_exactly_the_tables_that_are_declared(database: Database) -> None:
    engine = create_engine(f"sqlite:///{database.path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


def test_what_is_committed_is_there_after_reopening(tmp_path: Path) -> None:
    first = Database.open(tmp_path)
    with first.writing() as tx:
        tx.meta.put("name", "value")
    first.close()
    second = Database.open(tmp_path)
    with second.reading() as tx:
        assert tx.meta.get("name") == "value"
    second.close()


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def fail_after_writing() -> None:
        with database.writing() as tx:
            tx.entities.insert(REALM, _entity("a"), keys=[], references=[], tags=["x"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_writing()
    with database.reading() as tx:
        assert tx.entities.count(REALM) == 0
        assert tx.entities.tags(REALM, ["default"], tag=None, after=("", -1), limit=10) == []


def test_the_database_itself_refuses_a_second_holder_of_a_unique_value(database: Database) -> None:
    key = UniqueKeyRow("default", "name", "orders")
    _insert(database, _entity("a"), keys=[key])
    with pytest.raises(StoreConflict):
        _insert(database, _entity("b"), keys=[key])
    with database.reading() as tx:
        assert tx.entities.get(REALM, EntityKey("default", "services", "b")) is None


def test_the_database_itself_refuses_a_reference_to_nothing(database: Database) -> None:
    reference = ReferenceRow("service", EntityKey("default", "services", "absent"))
    with pytest.raises(StoreConflict):
        _insert(database, _entity("r", "routes"), references=[reference])


def test_the_database_itself_keeps_what_is_referenced(database: Database) -> None:
    service = EntityKey("default", "services", "s")
    _insert(database, _entity("s"))
    _insert(database, _entity("r", "routes"), references=[ReferenceRow("service", service)])
    with pytest.raises(StoreConflict), database.writing() as tx:
        tx.entities.delete(REALM, service)
    with database.reading() as tx:
        assert tx.entities.exists(REALM, service)


def test_a_deleted_entity_gives_its_names_back(database: Database) -> None:
    key = UniqueKeyRow("default", "name", "orders")
    _insert(database, _entity("a"), keys=[key])
    with database.writing() as tx:
        tx.entities.delete(REALM, EntityKey("default", "services", "a"))
    _insert(database, _entity("b"), keys=[key])


def test_an_entity_of_another_control_plane_is_not_there(database: Database) -> None:
    _insert(database, _entity("a"))
    with database.reading() as tx:
        for other in (Realm("o", "other"), Realm("other", "c")):
            assert tx.entities.get(other, EntityKey("default", "services", "a")) is None
            assert tx.entities.page(other, "default", "services", after="", limit=10, now=0.0) == []


def test_a_control_plane_goes_with_all_it_holds(database: Database) -> None:
    service = EntityKey("default", "services", "s")
    _insert(database, _entity("s"), keys=[UniqueKeyRow("default", "name", "s")], tags=["t"])
    _insert(database, _entity("r", "routes"), references=[ReferenceRow("service", service)])
    with database.writing() as tx:
        assert tx.control_planes.delete(REALM)
    with database.reading() as tx:
        assert tx.entities.count(REALM) == 0


def test_a_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreTooNew) as refusal:
        Database.open(tmp_path)
    assert (refusal.value.found, refusal.value.known) == (9999, SCHEMA_VERSION)
    assert str(tmp_path) in str(refusal.value)


def test_a_directory_that_is_a_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("not a directory")
    with pytest.raises(StoreUnreadable) as refusal:
        Database.open(path)
    assert str(path) in str(refusal.value)


def test_a_database_that_is_none_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreUnreadable):
        Database.open(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission_is_unreadable(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    with pytest.raises(StoreUnreadable):
        Database.open(closed)


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    database = Database.open(directory)
    with database.writing() as tx:
        tx.meta.put("a", "b")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    database.close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


def test_writers_of_many_threads_take_turns(database: Database) -> None:
    def count_up() -> None:
        for _ in range(20):
            with database.writing() as tx:
                tx.control_planes.next_revision(REALM)

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as tx:
        plane = tx.control_planes.by_id("c")
    assert plane is not None
    assert plane.revision == 160


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as reader:
        assert reader.meta.get("name") is None
        with database.writing() as writer:
            writer.meta.put("name", "value")
        assert reader.meta.get("name") is None
    with database.reading() as later:
        assert later.meta.get("name") == "value"


def test_a_full_disk_refuses_writes_keeps_reads_and_heals(database: Database) -> None:
    """Simulated by a limit on file sizes: SQLite meets it in the same place."""
    _insert(database, _entity("before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = database.path.with_name(f"{FILE_NAME}-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 4096, hard))
    try:
        with pytest.raises(StoreUnwritable):
            _insert(database, _entity("too much", body='"' + "x" * 1_000_000 + '"'))
        with database.reading() as tx:
            assert tx.entities.count(REALM) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _insert(database, _entity("after"))
    with database.reading() as tx:
        assert tx.entities.count(REALM) == 2
    connection = sqlite3.connect(database.path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_writer_that_waits_too_long_is_told(tmp_path: Path) -> None:
    database = Database.open(tmp_path, busy_timeout_ms=50)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy), database.writing() as tx:
        tx.meta.put("a", "b")
    other.execute("ROLLBACK")
    other.close()
    with database.writing() as tx:
        tx.meta.put("a", "b")
    database.close()
