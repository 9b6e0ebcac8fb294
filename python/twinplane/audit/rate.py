"""How fast one sender may go on: a bucket that fills with time. Pure."""

from __future__ import annotations


class Bucket:
    """`rate` lines a second, and `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled_at: float | None = None

    def is_free(self, now: float) -> bool:
        """Take a place; False where there is none."""
        self._fill(now)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def delay(self, now: float) -> float:
        """Take the next place; the answer is how long to wait for it."""
        self._fill(now)
        self._level -= 1
        return max(0.0, -self._level / self._rate)

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
