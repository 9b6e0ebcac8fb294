"""How a role is told to stop, to stop patiently, or to read its settings again.

SIGTERM and SIGINT stop it, SIGQUIT lets what is under way take longer, SIGHUP reads again; a second signal to stop ends
the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

log = logging.getLogger("process")

EXIT_SIGNALLED = 128
"""Added to the number of the signal that ended the process at once."""


class Stop:
    """Whether this process is to stop, and how patiently."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.is_patient = False
        """SIGQUIT: what is under way may take longer to end."""

    @property
    def is_asked(self) -> bool:
        """Whether the process is to stop."""
        return self._asked.is_set()

    def ask(self, *, is_patient: bool = False) -> None:
        """The process is to stop. The first one to ask says how."""
        if not self.is_asked:
            self.is_patient = is_patient
            self._asked.set()

    async def wait(self) -> None:
        """Until the process is to stop."""
        await self._asked.wait()


def stop_on_signals(
    parent_fd: int = -1, *, reload: Callable[[], None] | None = None, reopen: Callable[[], bool] = lambda: False
) -> Stop:
    """What signals ask of this process from now on, and the end of the one that holds the other end of `parent_fd`.

    `reload` is called at SIGHUP; without one SIGHUP stops the process, as the end of its terminal should.
    `reopen` opens log files anew at SIGUSR1; false where there are none.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(signum, _stop_or_end, stop, signum)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # Ignored from the start is what `nohup` asks for.
        loop.add_signal_handler(signal.SIGHUP, _stop_or_end, stop, signal.SIGHUP)
    # Log rotation sends it. Where there is no file it must not end the process all the same.
    loop.add_signal_handler(signal.SIGUSR1, _reopen, reopen)
    if parent_fd >= 0:

        def parent_ended() -> None:
            if not os.read(parent_fd, 1):
                loop.remove_reader(parent_fd)
                stop.ask()

        loop.add_reader(parent_fd, parent_ended)
    return stop


def _reopen(reopen: Callable[[], bool]) -> None:
    if reopen():
        log.info("logs_reopened")
    else:
        log.info("signal_without_effect name=SIGUSR1")


def _stop_or_end(stop: Stop, signum: signal.Signals) -> None:
    if stop.is_asked:
        log.warning("process_ended_at_once signal=%s", signum.name)
        logging.shutdown()
        os._exit(EXIT_SIGNALLED + signum)
    log.info("stop_asked signal=%s", signum.name)
    stop.ask(is_patient=signum == signal.SIGQUIT)
