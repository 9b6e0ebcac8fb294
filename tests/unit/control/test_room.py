"""Promises of the room as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twinplane import control as room
from twinplane.control import Control
from twinplane.control.errors import StoreError, StoreUnreadable
from twinplane.hybrid.hashing import config_hash


def test_reading_a_document_loads_neither_sql_nor_a_web_framework() -> None:
    program = (
        "import sys; from twinplane.control import declarative, Scope, Versions; "
        "heavy = {'sqlalchemy', 'alembic', 'duckdb', 'fastapi', 'starlette', 'uvicorn'} & set(sys.modules); "
        "sys.exit(sorted(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_name_of_the_door_is_there() -> None:
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError):
        room.surprise  # noqa: B018 - the asking is the test


def test_a_healthy_store_is_readable_and_writable(control: Control) -> None:
    control.check()


def test_a_broken_store_says_so(control: Control, tmp_path: Path) -> None:
    control.close()
    (tmp_path / "control.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(StoreUnreadable):
        Control.open(tmp_path, config_hash=config_hash)
    with pytest.raises(StoreError):
        control.check()
