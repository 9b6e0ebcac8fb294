"""The time of day for what must not flap when a clock jumps. Pure: both clocks are arguments.

A step back is believed at once, since it makes nothing expire. A step forward is believed only after the clock has gone
on from there for an hour.
"""

from __future__ import annotations

SLACK_S = 60.0
SETTLE_S = 3600.0


class SteadyClock:
    """Believes the first reading, and from then on what the monotonic clock can vouch for."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._jumped: float | None = None
        self._jumped_at = 0.0

    def read(self, wall: float, monotonic: float) -> float:
        """The time of day to go by."""
        offset = wall - monotonic
        if self._offset is None or offset <= self._offset + SLACK_S:
            self._offset, self._jumped = offset, None
            return wall
        if self._jumped is None or abs(offset - self._jumped) > SLACK_S:
            self._jumped, self._jumped_at = offset, monotonic
        if monotonic - self._jumped_at >= SETTLE_S:
            self._offset, self._jumped = offset, None
            return wall
        return self._offset + monotonic
