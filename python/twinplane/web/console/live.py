"""Pages that change by themselves: an event stream that tells a page when a part of it is worth fetching again.

The stream carries no content, only "changed": the page then fetches the part as it would at first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import Response, StreamingResponse

from twinplane.web.console.errors import PageError

STREAMS_MAX = 200
_LOOK_EVERY_S = 1.0
_HEARTBEAT_S = 15.0
_LIFETIME_S = 600.0
_log = logging.getLogger(__name__)


class LiveStreams:
    """All open event streams of one console."""

    def __init__(self) -> None:
        self.open = 0
        self.refused_total = 0
        self._ends = asyncio.Event()
        self._failing = 0

    def end(self) -> None:
        """End all streams: the process stops. Browsers come back by themselves."""
        self._ends.set()

    def stream(self, look: Callable[[], Awaitable[bytes]]) -> Response:
        """Say "changed" whenever what `look` sees is no longer the same. Raises PageError where there are too many."""
        if self.open >= STREAMS_MAX:
            self.refused_total += 1
            raise PageError(503, "Too many live pages", "The page still shows what is; reload it to see changes.")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(look), media_type="text/event-stream", headers=headers)

    async def _events(self, look: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
        self.open += 1
        loop = asyncio.get_running_loop()
        began = beat = loop.time()
        seen = b""
        is_failing = False
        try:
            yield b"retry: 2000\n\n"
            while loop.time() - began < _LIFETIME_S and not self._ends.is_set():
                try:
                    now = hashlib.sha256(await look()).digest()
                except Exception:
                    # The store may be away for a moment: the page is told, asks, and says that it is not current.
                    now = b"failed"
                    if not is_failing:
                        is_failing = True
                        self._note_failing()
                else:
                    is_failing = self._note_seeing(is_failing)
                # The first look says so too: what happened since the page was made would else never be shown.
                if now != seen:
                    beat = loop.time()
                    yield b"event: changed\ndata: \n\n"
                elif loop.time() - beat >= _HEARTBEAT_S:
                    beat = loop.time()
                    yield b": still here\n\n"
                seen = now
                try:
                    await asyncio.wait_for(self._ends.wait(), _LOOK_EVERY_S)
                except TimeoutError:
                    continue
        finally:
            self.open -= 1
            self._failing -= is_failing

    def _note_failing(self) -> None:
        """One more stream sees nothing; the first of an outage says why, and the others would say the same."""
        self._failing += 1
        if self._failing == 1:
            _log.exception("live_look_failed")

    def _note_seeing(self, was_failing: bool) -> bool:
        """A stream sees something; the last one whose look failed says that the outage is over."""
        if was_failing:
            self._failing -= 1
            if self._failing == 0:
                _log.info("live_look_works_again")
        return False
