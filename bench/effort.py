"""How much is spent on an answer: seconds of load, turns, and the largest tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """What a question may spend."""

    seconds: int
    rounds: int
    entities_max: int
    idle_connections: int
    idle_tls_connections: int

    def sizes(self, *wanted: int) -> list[int]:
        """Those sizes of tables that are not too large."""
        return [each for each in wanted if each <= self.entities_max]


FULL = Effort(seconds=6, rounds=3, entities_max=1_000_000, idle_connections=10_000, idle_tls_connections=10_000)
QUICK = Effort(seconds=2, rounds=2, entities_max=100_000, idle_connections=10_000, idle_tls_connections=2_000)
# Shows that a question can be asked; its figures say nothing.
SMOKE = Effort(seconds=1, rounds=1, entities_max=100, idle_connections=50, idle_tls_connections=50)
EFFORTS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}
