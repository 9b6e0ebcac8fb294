"""Where audit notes wait to be kept: a bounded queue, written in groups by a thread, in the order of arrival."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from twinplane.control.audit import AuditNote, AuditRecord
from twinplane.control.errors import StoreError

GATHER_S = 0.05
NOTES_AT_ONCE = 500
RETRY_S = 1.0
_log = logging.getLogger(__name__)


class AuditDesk:
    """Takes notes at once and keeps them soon. `run` writes."""

    def __init__(self, append: Callable[[Sequence[AuditNote]], Sequence[AuditRecord]], *, notes_max: int) -> None:
        self.dropped_total = 0
        self.kept_total = 0
        self.unwritable_total = 0
        self._append = append
        self._notes_max = notes_max
        self._waiting: deque[AuditNote] = deque()
        self._noted = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def room(self) -> None:
        """Wait until there is room, for those who can."""
        while len(self._waiting) >= self._notes_max:
            self._has_room.clear()
            await self._has_room.wait()

    def take(self, note: AuditNote) -> bool:
        """Note something; False, and counted, where there is no room."""
        if len(self._waiting) >= self._notes_max:
            self.dropped_total += 1
            if self.dropped_total == 1 or self.dropped_total % 1000 == 0:
                _log.error("audit_notes_dropped total=%d", self.dropped_total)
            return False
        self._waiting.append(note)
        self._noted.set()
        return True

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                await self._noted.wait()
                await asyncio.sleep(GATHER_S)
                self._noted.clear()
                while self._waiting:
                    await self._write()
        finally:
            while self._waiting and await self._write():
                pass

    async def _write(self) -> bool:
        """Keep the next notes. What cannot be kept now stays in the queue."""
        notes = [self._waiting.popleft() for _ in range(min(NOTES_AT_ONCE, len(self._waiting)))]
        self._has_room.set()
        # A write that has begun is waited for, also where this task ends: its notes must not be written twice.
        writing = asyncio.ensure_future(asyncio.to_thread(self._keep, notes))
        is_cancelled = False
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError:
                is_cancelled = True
        left, error = writing.result()
        if error is not None:
            _log.error("audit_not_written notes=%d detail=%s", len(left), error)
            self._waiting.extendleft(reversed(left))
        if is_cancelled:
            raise asyncio.CancelledError
        if error is not None:
            await asyncio.sleep(RETRY_S)
        return error is None

    def _keep(self, notes: Sequence[AuditNote]) -> tuple[Sequence[AuditNote], StoreError | None]:
        """Keep notes in a thread. Those that the store cannot keep now come back; one that it never can is dropped."""
        try:
            self._append(notes)
        except StoreError as error:
            return notes, error
        except Exception as error:
            if len(notes) == 1:
                self.unwritable_total += 1
                _log.exception("audit_note_unwritable kind=%s detail=%s", notes[0].kind, error)
                return [], None
        else:
            self.kept_total += len(notes)
            return [], None
        # A bad one among them must not keep the others waiting: it is looked for by halves, in their order.
        middle = len(notes) // 2
        left, failure = self._keep(notes[:middle])
        if failure is not None:
            return [*left, *notes[middle:]], failure
        return self._keep(notes[middle:])
