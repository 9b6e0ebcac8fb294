"""Writes an access log: takes the lines that wait for it, and appends them to a file a few times a second.

A file is opened anew each time, so that it can be moved away without a word. A pipe stays open, or its reader would see
an end each time; where nobody reads, lines wait and the node does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twinplane.hybrid.node_conditions import ConditionCode
from twinplane.node.conditions import Conditions

INTERVAL_S = 0.25
PATIENCE_S = 0.5
"""How long one attempt waits for a reader that is slow."""
_CONDITIONS: Mapping[str, ConditionCode] = {
    "proxy_access_log": "access_log_unwritable",
    "status_access_log": "status_access_log_unwritable",
    "admin_access_log": "admin_access_log_unwritable",
}
# A reader that is slow, not there yet, or gone.
_WAITING = {errno.EAGAIN, errno.ENXIO, errno.EPIPE}
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o666
log = logging.getLogger("access_log")


class AccessLog:
    """One access log of a node."""

    def __init__(
        self, drain: Callable[[], bytes], path: Path, conditions: Conditions, setting: str = "proxy_access_log"
    ) -> None:
        """`setting` is where its path comes from."""
        self._setting = setting
        self._unwritable = _CONDITIONS[setting]
        self._drain = drain
        self._path = path
        self._conditions = conditions
        self._rest = memoryview(b"")
        self._is_torn = False
        self._pipe: int | None = None
        self.bytes_lost = 0
        """Bytes of lines that could not be written. Lines that found no room before are counted by the core."""

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write what there is; what a file does not take is lost, counted and told, what nobody reads waits."""
        # While it waits, more is left in the core, which has a limit for it.
        if not self._rest:
            lines = self._drain()
            self._rest = memoryview(b"\n" + lines if lines and self._is_torn else lines)
        if not self._rest and not self._conditions.has(self._unwritable):
            return
        try:
            with self._opened() as file:
                self._write(file)
        except OSError as error:
            if error.errno in _WAITING:
                self._tell("nobody reads it")
            else:
                self._lose()
                self._tell(error.strerror or str(error))
        else:
            if not self._rest:
                self._conditions.clear(self._unwritable)

    def close(self) -> None:
        """Write what there is for the last time."""
        self.flush()
        self._lose()
        self._hang_up()

    def _write(self, file: int) -> None:
        """Write for as long as patience lasts. Raises BlockingIOError where nothing at all was taken."""
        until, before = time.monotonic() + PATIENCE_S, len(self._rest)
        while self._rest:
            try:
                written = os.write(file, self._rest)
            except BlockingIOError:
                poll = select.poll()
                poll.register(file, select.POLLOUT)
                left_ms = int((until - time.monotonic()) * 1000)
                if left_ms > 0 and poll.poll(left_ms):
                    continue
                if len(self._rest) == before:
                    raise
                return
            self._is_torn = self._rest[written - 1] != ord("\n")
            self._rest = self._rest[written:]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The file. Raises OSError."""
        if self._pipe is not None:
            try:
                yield self._pipe
            except BlockingIOError:
                raise
            except OSError:
                self._hang_up()
                raise
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, _FLAGS, _MODE)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            self._pipe = file
            with self._opened() as pipe:
                yield pipe
            return
        try:
            yield file
        finally:
            os.close(file)

    def _hang_up(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._is_torn:
            # The next reader begins with a whole line.
            torn = len(bytes(self._rest).partition(b"\n")[0]) + 1
            self.bytes_lost += min(torn, len(self._rest))
            self._rest, self._is_torn = self._rest[torn:], False

    def _lose(self) -> None:
        self.bytes_lost += len(self._rest)
        self._rest = memoryview(b"")

    def _tell(self, problem: str) -> None:
        if not self._conditions.has(self._unwritable):
            log.error("%s path=%s detail=%s", self._unwritable, self._path, problem)
        self._conditions.note(self._unwritable, f"{self._setting} {self._path}: {problem}")
