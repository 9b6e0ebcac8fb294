"""The requests of the demo: every caller sends its own, one at a time, so that their number is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable

from twinplane.cli.demo.callers import CALLERS, RATE_PER_SECOND, Caller, busyness
from twinplane.cli.demo.line import Address, Line, LineError

_PAUSE_SECONDS = 1.0


class Traffic:
    """All callers. `answered` counts statuses; `unanswered_total` requests without one, as while the node restarts."""

    def __init__(self, plain: Address, tls: Address, *, secret: str, chance: random.Random) -> None:
        self._plain, self._tls = plain, tls
        self._secret = secret
        self._chance = chance
        self.answered: Counter[int] = Counter()
        self.unanswered_total = 0

    async def run(self, clock: Callable[[], float] = time.time) -> None:
        """Send requests until cancelled."""
        scale = RATE_PER_SECOND / sum(caller.share for caller in CALLERS)
        async with asyncio.TaskGroup() as tasks:
            for caller in CALLERS:
                tasks.create_task(self._call(caller, caller.share * scale, clock))

    async def _call(self, caller: Caller, rate: float, clock: Callable[[], float]) -> None:
        weights = [call.weight for call in caller.calls]
        headers = {"User-Agent": f"demo/{caller.name}"}
        if caller.key:
            headers["apikey"] = f"{caller.key}-{self._secret}" if caller.is_known else caller.key
        with contextlib.closing(Line(self._tls if caller.over_tls else self._plain)) as line:
            while True:
                await asyncio.sleep(self._chance.expovariate(rate * busyness(clock())))
                call = self._chance.choices(caller.calls, weights)[0]
                body = call.body(self._chance)
                kind = {"Content-Type": "application/json"} if body else {}
                try:
                    status = await line.ask(call.method, call.target(self._chance), {**headers, **kind}, body)
                except (LineError, TimeoutError):
                    self.unanswered_total += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    self.answered[status] += 1
