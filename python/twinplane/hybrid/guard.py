"""What a peer may cost: frames and bytes each second, and lines in the log. What it is refused is counted by reason.

A peer that sends nonsense as fast as it can reconnect fills neither the memory nor the log; others notice nothing.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twinplane.hybrid.errors import FrameInvalid

FRAMES_PER_SECOND: Final = 100
_BURST_SECONDS: Final = 10
# A node that cannot run much of what it is sent says so at length after each change.
BYTES_PER_SECOND: Final = 2_097_152
BYTES_BURST: Final = 33_554_432
LOG_INTERVAL_S: Final = 60.0
LINES_OF_PEER_MAX: Final = 60
_REMEMBERED_MAX: Final = 2_000
# Reasons are words of ours and few; the limit only holds what a mistake in that would cost.
_REASONS_MAX: Final = 100
_log = logging.getLogger(__name__)


class FrameBudget:
    """The frames and bytes of one link: so many each second, and a store of them for a busy moment."""

    def __init__(
        self,
        frames_per_second: float = FRAMES_PER_SECOND,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._frames_per_second = frames_per_second
        self._frames_burst = self._frames = frames_per_second * _BURST_SECONDS
        self._bytes: float = BYTES_BURST
        self._clock = clock
        self._filled_at = clock()

    def take(self, size: int) -> None:
        """A frame came. Raises FrameInvalid where it is one too many."""
        now = self._clock()
        passed, self._filled_at = now - self._filled_at, now
        self._frames = min(self._frames_burst, self._frames + passed * self._frames_per_second) - 1
        self._bytes = min(BYTES_BURST, self._bytes + passed * BYTES_PER_SECOND) - size
        if self._frames < 0:
            raise FrameInvalid(f"more than {self._frames_per_second:g} frames a second", "frame_rate")
        if self._bytes < 0:
            raise FrameInvalid(f"more than {BYTES_PER_SECOND} bytes a second", "byte_rate")


@dataclass(slots=True)
class _Told:
    at: float
    left_out: int = 0


class RefusalLog:
    """Refusals: every one is counted; of one node and reason one a minute is logged, of one certificate sixty."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.by_reason: dict[str, int] = {}
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()
        # Lines of each certificate in the present minute: whoever has one may call itself any node.
        self._lines: dict[str, int] = {}
        self._minute_began = clock()

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_reason.values())

    def note(self, reason: str, detail: str, *, peer: str, who: str, node: str = "") -> None:
        """Something of a peer was refused. `peer` is its certificate, `node` what it calls itself, `who` the log's."""
        if reason in self.by_reason or len(self.by_reason) < _REASONS_MAX:
            self.by_reason[reason] = self.by_reason.get(reason, 0) + 1
        now = self._clock()
        key = peer, node, reason
        told = self._told.pop(key, None)
        is_recent = told is not None and now - told.at < LOG_INTERVAL_S
        if told is not None and (is_recent or not self._has_line(peer, now)):
            told.left_out += 1
            self._told[key] = told
            return
        if told is None and not self._has_line(peer, now):
            return
        left_out = told.left_out if told is not None else 0
        self._told[key] = _Told(now)
        while len(self._told) > _REMEMBERED_MAX:
            self._told.popitem(last=False)
        self._lines[peer] = self._lines.get(peer, 0) + 1
        _log.warning("peer_refused reason=%s detail=%.300s left_out=%d %s", reason, detail, left_out, who)

    def _has_line(self, peer: str, now: float) -> bool:
        if now - self._minute_began >= LOG_INTERVAL_S:
            self._lines.clear()
            self._minute_began = now
        return self._lines.get(peer, 0) < LINES_OF_PEER_MAX and (
            peer in self._lines or len(self._lines) < _REMEMBERED_MAX
        )
