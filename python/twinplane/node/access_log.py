"""Writes the access log: takes the lines that the core has made, and appends them to a file a few times a second.

The file is opened anew each time, so that it can be moved away without a word.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

INTERVAL_S = 0.25
log = logging.getLogger("access_log")


class AccessLog:
    """The access log of a node."""

    def __init__(self, drain: Callable[[], bytes], path: Path) -> None:
        self._drain = drain
        self._path = path
        self._is_failing = False
        self.bytes_lost = 0
        """Bytes of lines that could not be written. Lines that found no room before are counted by the core."""

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write what there is; what cannot be written is lost, counted, and told once."""
        lines = self._drain()
        if not lines:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            self.bytes_lost += len(lines)
            if not self._is_failing:
                log.error("access_log_unwritable path=%s detail=%s", self._path, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
