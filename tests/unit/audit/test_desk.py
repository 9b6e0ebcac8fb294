"""A note that cannot be written harms no other; a store that cannot be written now loses none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.control_room import open_platform
from tests.integration.audit_port import until

from twinplane.audit import desk as audit_desk
from twinplane.audit.desk import AuditDesk
from twinplane.control.audit import AuditNote, AuditRecord
from twinplane.control.errors import StoreError
from twinplane.store.sql import AuditFilter


async def _written(desk: AuditDesk, count: int) -> None:
    """Run the desk until it is done with so many notes."""
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.kept_total + desk.unwritable_total >= count)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("bad", [{0}, {3, 4}, {9}, set(range(10))])
async def test_a_note_that_cannot_be_written_is_dropped_alone(tmp_path: Path, bad: set[int]) -> None:
    with open_platform(tmp_path) as platform:
        trail, organization = platform.control.audit, platform.principal.organization_id
        desk = AuditDesk(trail.append, notes_max=100)
        for number in range(10):
            desk.take(AuditNote("test", organization, detail={"n": 2**70 if number in bad else number}))
        await _written(desk, 10)
        desk.take(AuditNote("test", organization, detail={"n": 10}))
        await _written(desk, 11)
        found = trail.page(organization, AuditFilter(kind="test"), size=100)
        assert [record.detail["n"] for record in reversed(found)] == [n for n in range(11) if n not in bad]
        assert (desk.kept_total, desk.unwritable_total, desk.dropped_total) == (11 - len(bad), len(bad), 0)
        assert trail.verify().faults == []


async def test_what_a_store_cannot_keep_now_is_kept_later_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_desk, "RETRY_S", 0.01)
    failing = iter([False, False, True, True, False])

    with open_platform(tmp_path) as platform:
        trail, organization = platform.control.audit, platform.principal.organization_id

        def append(notes: Sequence[AuditNote]) -> Sequence[AuditRecord]:
            if next(failing, False):
                raise StoreError("not now")
            return trail.append(notes)

        desk = AuditDesk(append, notes_max=100)
        for number in range(10):
            desk.take(AuditNote("test", organization, detail={"n": 2**70 if number == 6 else number}))
        await _written(desk, 10)
        found = trail.page(organization, AuditFilter(kind="test"), size=100)
        assert [record.detail["n"] for record in reversed(found)] == [0, 1, 2, 3, 4, 5, 7, 8, 9]
        assert (desk.kept_total, desk.unwritable_total) == (9, 1)
