"""Notices that the process stood still: stopped by a signal, suspended with its machine, or starved."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

TICK_S = 1.0
PAUSE_S = 5.0
_log = logging.getLogger(__name__)


async def watch_pauses(
    resumed: Callable[[], None],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> None:
    """Until cancelled, call `resumed` after each pause. The monotonic clock stands while a machine is suspended."""
    before, before_wall = monotonic(), wall()
    while True:
        await asyncio.sleep(TICK_S)
        now, now_wall = monotonic(), wall()
        paused_s = max(now - before, now_wall - before_wall) - TICK_S
        before, before_wall = now, now_wall
        if paused_s > PAUSE_S:
            _log.warning("process_resumed after_s=%d", paused_s)
            resumed()
