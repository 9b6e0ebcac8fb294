"""Forgets what has expired in the stores of a control plane; never on the word of a clock that has just jumped."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from twinplane.node.steady_clock import SLACK_S, SteadyClock

TIDY_SECONDS = 60.0
_HOURLY = 60
log = logging.getLogger("control_plane")


class Control(Protocol):
    """A store of entities, nodes and sessions."""

    def tidy_up(self) -> None:
        """Forget what has expired."""


class Analytics(Protocol):
    """A store of telemetry."""

    def forget_old(self) -> int:
        """Forget what is past its retention; returns how much."""


class Tidying:
    """Tidies once a minute, telemetry once an hour."""

    def __init__(
        self,
        controls: Sequence[Control],
        analytics: Sequence[Analytics],
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The clocks are for tests."""
        self._controls, self._analytics = controls, analytics
        self._wall, self._monotonic = wall, monotonic
        self._clock = SteadyClock()
        self._is_waiting = False
        self._minutes = 0
        self._clock.read(wall(), monotonic())

    async def run(self) -> None:
        """Tidy until cancelled."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            try:
                await self.tidy()
            except Exception:
                log.exception("tidying_failed")

    async def tidy(self) -> None:
        """One round; none where the clock ran ahead of what the monotonic clock can vouch for."""
        wall = self._wall()
        ahead_s = wall - self._clock.read(wall, self._monotonic())
        is_waiting, self._is_waiting = self._is_waiting, ahead_s > SLACK_S
        if self._is_waiting:
            if not is_waiting:
                log.warning("clock_jumped ahead_s=%d; nothing is forgotten until it has stayed for an hour", ahead_s)
            return
        self._minutes += 1
        for control in self._controls:
            await asyncio.to_thread(control.tidy_up)
        for analytics in self._analytics if self._minutes % _HOURLY == 0 else ():
            log.info("records_forgotten count=%d", await asyncio.to_thread(analytics.forget_old))
