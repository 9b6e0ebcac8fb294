"""What happens again and again is told once, and counted: a flood of refusals must not become a flood of records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from twinplane.control.audit import AuditNote

PERIOD_S = 60.0
KINDS_MAX = 2048


@dataclass(slots=True)
class _Repeated:
    note: AuditNote
    since: float
    count: int = 0


class Repeats:
    """Takes notes with a name; those of one name are one record a period, with their count."""

    def __init__(
        self,
        take: Callable[[AuditNote], bool],
        organization_id: str,
        *,
        period_s: float = PERIOD_S,
        names_max: int = KINDS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`organization_id` keeps the count of those for whom there are no more names."""
        self.untold_total = 0
        self._organization_id = organization_id
        self._take = take
        self._period_s = period_s
        self._names_max = names_max
        self._clock = clock
        self._known: dict[Hashable, _Repeated] = {}

    def note(self, name: Hashable, note: AuditNote) -> None:
        """Tell it, or count it where the same was told a moment ago."""
        known = self._known.get(name)
        if known is not None:
            known.count += 1
        elif len(self._known) >= self._names_max:
            # Who comes from ever new addresses is only counted, under nobody's name; it is told with the next period.
            self.untold_total += 1
            self._rest().count += 1
        else:
            self._known[name] = _Repeated(note, self._clock())
            self._take(note)

    def _rest(self) -> _Repeated:
        rest = self._known.get(_REST)
        if rest is None:
            many = AuditNote("audit.repeats", self._organization_id, "unknown", detail={"of": "many senders"})
            rest = self._known[_REST] = _Repeated(many, self._clock())
        return rest

    async def run(self) -> None:
        """Tell counts whose period is over, until cancelled; then those that are left."""
        try:
            while True:
                await asyncio.sleep(self._period_s / 10)
                self.tell(until=self._clock() - self._period_s)
        finally:
            self.tell(until=float("inf"))

    def tell(self, *, until: float) -> None:
        """Tell the counts of periods that began before a moment."""
        for name, one in [pair for pair in self._known.items() if pair[1].since <= until]:
            del self._known[name]
            if one.count:
                self._take(replace(one.note, detail={**one.note.detail, "repeated": one.count}))


_REST = object()
