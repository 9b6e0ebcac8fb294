"""The audit trail: kept in order, chained, forgotten from the old end, and no tampering goes unnoticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.control_room import Platform, open_platform

from twinplane.control.audit import AuditNote
from twinplane.store.sql import AuditFilter

DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(tmp_path: Path, clock: Clock) -> Iterator[Platform]:
    with open_platform(tmp_path, clock=clock) as found:
        yield found


def _note(platform: Platform, kind: str, **more: object) -> AuditNote:
    return AuditNote(kind, platform.principal.organization_id, **more)  # type: ignore[arg-type]


def _fill(platform: Platform, count: int) -> None:
    platform.control.audit.append([_note(platform, f"test.{number}", detail={"n": number}) for number in range(count)])


def _tamper(platform: Platform, directory: Path, statement: str) -> list[str]:
    with sqlite3.connect(directory / "control.db") as connection:
        connection.execute(statement)
    connection.close()
    return list(platform.control.audit.verify().faults)


def test_records_come_back_as_they_were_noted_newest_first(platform: Platform) -> None:
    _fill(platform, 3)
    organization = platform.principal.organization_id
    records = platform.control.audit.page(organization, AuditFilter(), size=2)
    assert [record.kind for record in records] == ["test.2", "test.1"]
    assert records[0].detail == {"n": 2}
    older = platform.control.audit.page(organization, AuditFilter(), size=100, below=records[-1].position)
    assert "test.0" in [record.kind for record in older]
    newer = platform.control.audit.page(organization, AuditFilter(), size=1, above=older[0].position)
    assert [record.kind for record in newer] == ["test.1"]
    assert platform.control.audit.page("another", AuditFilter(), size=10) == []


def test_filters_by_time_control_plane_node_and_kind(platform: Platform, clock: Clock) -> None:
    organization, audit = platform.principal.organization_id, platform.control.audit
    audit.append([_note(platform, "node.started", control_plane_id="c1", node_id="n1")])
    clock.now += 100
    audit.append([_note(platform, "node.stopped", control_plane_id="c2", node_id="n2")])

    def kinds(**wanted: object) -> list[str]:
        found = audit.page(organization, AuditFilter(**wanted), size=10)  # type: ignore[arg-type]
        return [record.kind for record in found if record.kind.startswith("node.")]

    assert kinds(since=clock.now) == ["node.stopped"]
    assert kinds(until=clock.now - 1) == ["node.started"]
    assert kinds(control_plane_id="c1") == ["node.started"]
    assert kinds(node_id="n2") == ["node.stopped"]
    assert kinds(kind="node.started") == ["node.started"]


def test_a_whole_chain_is_found_whole_and_a_noted_hash_is_found_in_it(platform: Platform) -> None:
    _fill(platform, 5)
    found = platform.control.audit.verify()
    assert found.faults == []
    assert found.records == found.last >= 5
    _fill(platform, 1)
    assert platform.control.audit.verify(known=found.head).faults == []
    assert platform.control.audit.verify(known="f" * 64).faults != []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE position = 3",
        "DELETE FROM audit WHERE position = 1",
        "DELETE FROM audit WHERE position = (SELECT max(position) FROM audit)",
        "UPDATE audit SET result = 'failure' WHERE position = 2",
        "UPDATE audit SET detail = '{}' WHERE position = 2",
        "UPDATE audit SET hash = previous WHERE position = 4",
        "UPDATE audit SET position = CASE position WHEN 2 THEN -3 WHEN 3 THEN 2 END WHERE position IN (2, 3)",
    ],
)
def test_removal_edit_and_reorder_of_any_record_are_found(platform: Platform, tmp_path: Path, statement: str) -> None:
    _fill(platform, 5)
    assert _tamper(platform, tmp_path, statement) != []


def test_the_oldest_are_forgotten_and_the_rest_is_still_a_chain(platform: Platform, clock: Clock) -> None:
    audit = platform.control.audit
    _fill(platform, 4)
    clock.now += 10 * DAY_S
    _fill(platform, 2)
    forgotten = audit.forget_old(keep_s=5 * DAY_S, records_max=1000)
    assert forgotten >= 4
    assert audit.forgotten_total == forgotten
    found = audit.verify()
    assert (found.faults, found.records) == ([], 3)
    newest = audit.page(platform.principal.organization_id, AuditFilter(), size=1)[0]
    assert (newest.kind, newest.detail["records"]) == ("audit.forgotten", forgotten)
    assert audit.forget_old(keep_s=5 * DAY_S, records_max=1000) == 0
    assert audit.forget_old(keep_s=5 * DAY_S, records_max=1) == 2
    assert audit.verify().faults == []


def test_a_record_of_a_wrong_clock_takes_no_others_along(platform: Platform, clock: Clock) -> None:
    _fill(platform, 3)
    right = clock.now
    clock.now = 0.0
    _fill(platform, 1)
    clock.now = right + DAY_S
    _fill(platform, 1)
    assert platform.control.audit.forget_old(keep_s=5 * DAY_S, records_max=1000) == 0


def test_a_detail_beyond_the_limit_is_left_out_and_said_so(platform: Platform) -> None:
    kept = platform.control.audit.append([_note(platform, "large", detail={"text": "x" * 100_000})])[0]
    assert list(kept.detail) == ["omitted"]


def test_the_last_number_of_a_node_is_known_from_its_records(platform: Platform) -> None:
    audit = platform.control.audit
    detail = {"boot": "b1", "number": 7}
    audit.append([_note(platform, "node.started", control_plane_id="c", node_id="n", detail=detail)])
    assert audit.last_number("c", "n") == ("b1", 7)
    assert audit.last_number("c", "other") is None
