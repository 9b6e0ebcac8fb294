"""Numbers that have come from one sender: which are new, which come again, which are missing. Pure.

Order may be lost on the way, so a number that is late by less than the window is still taken, once.
"""

from __future__ import annotations

WIDTH = 256
LOSS_MAX = 2**32


class Window:
    """The numbers of one start of one sender; they begin at 1."""

    def __init__(self, after: int = 0) -> None:
        """`after`: the highest number that is known already."""
        self.highest = after
        self.lost = 0
        # Bit n stands for the number `highest - n`: set where it has come, or was counted as lost.
        self._seen = (1 << WIDTH) - 1
        self._advanced_at = 0.0

    def take(self, number: int, now: float) -> bool:
        """Note a number; False where it has come before, or is too late to tell."""
        ahead = number - self.highest
        if number < 1 or ahead > LOSS_MAX:
            return False
        if ahead > 0:
            self._advance(ahead)
            self._advanced_at = now
            return True
        bit = 1 << -ahead
        if -ahead >= WIDTH or self._seen & bit:
            return False
        self._seen |= bit
        return True

    def settle(self, now: float, after_s: float) -> int:
        """Count what is missing as lost where nothing new came for a while; the answer is how many."""
        if self._missing() == 0 or now - self._advanced_at < after_s:
            return 0
        missing = self._missing()
        self._seen = (1 << WIDTH) - 1
        self.lost += missing
        return missing

    def _advance(self, ahead: int) -> None:
        leaving = min(ahead, WIDTH)
        # What leaves the window unseen will not be taken any more.
        gone = self._seen >> (WIDTH - leaving)
        self.lost += leaving - gone.bit_count() + max(0, ahead - WIDTH)
        self._seen = ((self._seen << ahead) | 1) & ((1 << WIDTH) - 1) if ahead < WIDTH else 1
        self.highest += ahead

    def _missing(self) -> int:
        return WIDTH - self._seen.bit_count()
