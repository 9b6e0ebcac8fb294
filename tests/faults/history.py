"""What was written and what was seen, in order, and whether the two agree. Pure.

A write gives a version its place; a restored backup gives an old version a new place. A probe is a request whose answer
says which version served it; an agreement is a moment at which the node was said to run what was expected of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Write:
    """A version, from the moment it was asked for. `acknowledged` is None where no answer came."""

    version: int
    begun: float
    acknowledged: float | None


@dataclass(frozen=True)
class Probe:
    """What a request was served by."""

    begun: float
    ended: float
    version: int


@dataclass
class History:
    """One node's."""

    writes: list[Write] = field(default_factory=list)
    """In the order of their places."""
    probes: list[Probe] = field(default_factory=list)
    agreements: list[tuple[float, int]] = field(default_factory=list)
    """(moment, number of writes whose effect it covers)."""

    def violations(self) -> list[str]:
        """Every probe that the writes do not explain."""
        return [*self._invented(), *self._backwards(), *self._unseen()]

    def _invented(self) -> list[str]:
        known = {write.version: write.begun for write in reversed(self.writes)}
        return [
            f"C1: version {probe.version} was served before anybody wrote it"
            for probe in self.probes
            if known.get(probe.version, float("inf")) > probe.ended
        ]

    def _backwards(self) -> list[str]:
        """Each probe is at the first place of its version that is not before what was seen by an earlier one."""
        found: list[str] = []
        seen: list[tuple[float, int]] = []
        for probe in sorted(self.probes, key=lambda one: one.ended):
            least = max((place for ended, place in seen if ended <= probe.begun), default=0)
            place = self._place(probe.version, least)
            if place is None:
                found.append(f"C2: version {probe.version} was served after {self.writes[least].version}")
                continue
            # Only the furthest counts, for each moment.
            seen = [*[one for one in seen if one[1] > place or one[0] < probe.ended], (probe.ended, place)][-64:]
        return found

    def _unseen(self) -> list[str]:
        return [
            f"C3: version {probe.version} was served after {self.writes[covered - 1].version} was told"
            for moment, covered in self.agreements
            for probe in self.probes
            if probe.begun >= moment and covered and self._place(probe.version, covered - 1) is None
        ]

    def _place(self, version: int, since: int) -> int | None:
        places: Sequence[int] = range(since, len(self.writes))
        return next((place for place in places if self.writes[place].version == version), None)
