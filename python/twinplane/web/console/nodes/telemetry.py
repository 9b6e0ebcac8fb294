"""How the telemetry of a node fares: how far behind it comes, and what of it was lost. For people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinplane.control.analytics import Analytics
from twinplane.web.console.visit import Visit

LATE_S = 60.0
"""Records that come so long after their request are late: the node was cut off, or is overloaded."""
LOST_RECENTLY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Of one node. Times are seconds since 1970; None where nothing ever came, or was lost."""

    received_at: float | None = None
    lag_s: float | None = None
    lost_records: int = 0
    lost_at: float | None = None

    @property
    def lag(self) -> tuple[str, str]:
        """How far behind the records came that came last: words, and their colour."""
        if self.lag_s is None:
            return "", ""
        if self.lag_s < LATE_S:
            return f"{self.lag_s:.1f} s", ""
        unit, length = ("min", 60) if self.lag_s < 7200 else ("h", 3600)
        return f"{self.lag_s / length:.0f} {unit} late", "warn"

    def was_lost_recently(self, now: float) -> bool:
        """Whether records were dropped within a day."""
        return self.lost_at is not None and now - self.lost_at < LOST_RECENTLY_S


NOTHING = Telemetry()


async def telemetry_of(visit: Visit, control_plane_id: str) -> Mapping[str, Telemetry]:
    """By node; nothing of any of them where telemetry cannot be read."""
    return await visit.measured(_read, {}, visit.analytics, control_plane_id)


def _read(analytics: Analytics, control_plane_id: str) -> Mapping[str, Telemetry]:
    lost = {row.node_id: row.lost_records for row in analytics.losses([control_plane_id])}
    found = {}
    for row in analytics.timeliness([control_plane_id]):
        lag_us = None if row.received_us is None or row.newest_us is None else max(row.received_us - row.newest_us, 0)
        found[row.node_id] = Telemetry(
            None if row.received_us is None else row.received_us / 1e6,
            None if lag_us is None else lag_us / 1e6,
            lost.get(row.node_id, 0),
            None if row.lost_us is None else row.lost_us / 1e6,
        )
    return {**{node: Telemetry(lost_records=number) for node, number in lost.items()}, **found}
