"""A process that `up` runs: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

LOG_BYTES_MAX = 16 * 1024 * 1024
GRACE_SECONDS = 20.0
_DELAY_FIRST, _DELAY_MAX, _STEADY_SECONDS = 0.5, 10.0, 30.0
_LAST_LINES = 15


class Child:
    """One role of the program in a process of its own. Its log goes to a file; it ends when this process ends."""

    def __init__(self, role: str, arguments: Sequence[str], log: Path) -> None:
        self.role = role
        self.log = log
        self._arguments = list(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline = -1

    @property
    def pid(self) -> int | None:
        """Process id, None where it does not run."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        """Start the process. It watches a pipe whose other end is held here, so that it never outlives this one."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        self._close_lifeline()
        read_end, self._lifeline = os.pipe()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "twinplane", self.role, *self._arguments, "--parent-fd", str(read_end)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(read_end,),
                start_new_session=True,
            )
        os.close(read_end)

    async def keep_running(self, restarted: Callable[[], None]) -> None:
        """Start the process again whenever it ends, with a delay that doubles while it does not stay up."""
        delay = _DELAY_FIRST
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self._process is not None:
                status = await self._process.wait()
                print(f"the {self.role} process ended with status {status}; starting it again", flush=True)
            if loop.time() - began > _STEADY_SECONDS:
                delay = _DELAY_FIRST
            await asyncio.sleep(delay)
            delay = min(delay * 2, _DELAY_MAX)
            await self.start()
            restarted()

    async def stop(self) -> None:
        """Ask the process to stop, and end it where it does not."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._close_lifeline()

    def last_lines(self) -> list[str]:
        """The end of the log, for a person who wants to know why."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        except OSError:
            return []

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
