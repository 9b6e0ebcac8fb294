"""Has the licence setting obeyed: says what is coming, and where it is to, puts an answer of 503 before everything.

The core knows no licence: what it is handed in place of the configuration is one route that answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import orjson

from twinplane.hybrid.node_conditions import ConditionCode
from twinplane.node.conditions import Conditions
from twinplane.node.errors import LicenseExpired
from twinplane.node.license_expiry import Policy, Standing, judge, read_expiry
from twinplane.node.licenses import split_licenses
from twinplane.node.sparse import complete_table
from twinplane.node.steady_clock import SteadyClock

LOOK_EVERY_S = 60.0
EXPIRED: Final = "license_expired"
EXPIRING: Final = "license_expiring"
_Taken = TypeVar("_Taken")
_log = logging.getLogger(__name__)


class LicenseGate:
    """Watches the licences of what is being served. Safe for the thread that applies and the one that looks."""

    def __init__(
        self,
        policy: Policy,
        conditions: Conditions,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The clocks are for tests."""
        self._policy = policy
        self._conditions = conditions
        self._clock = SteadyClock()
        self._wall, self._monotonic = wall, monotonic
        self._expires_at: float | None = None
        self._said: tuple[float, int] | None = None
        self._is_closed = False

    @property
    def expires_at(self) -> float | None:
        """When the licence of what is being served ends."""
        return self._expires_at

    def first_table(self, table: bytes) -> bytes:
        """What a core is started with in place of `table`. Raises LicenseExpired where the node is not to start."""
        plain, texts = split_licenses(table)
        standing = self._standing(read_expiry(texts))
        if standing is not None and standing.is_expired and self._policy == "restart":
            raise LicenseExpired(f"{standing.text(self._policy)} (license_expiry = restart)")
        self._is_closed = self._closes(standing)
        return closing_table(standing) if self._is_closed and standing is not None else plain

    def apply(self, table: bytes, apply: Callable[[bytes], _Taken]) -> _Taken:
        """Have a core serve `table`, and where its licence is over, the answer of 503 right after it was taken."""
        plain, texts = split_licenses(table)
        result = apply(plain)
        standing = self._standing(read_expiry(texts))
        self._is_closed = self._closes(standing)
        if self._is_closed and standing is not None:
            apply(closing_table(standing))
        return result

    def note_served(self, table: bytes) -> None:
        """A configuration is being served."""
        self._expires_at = read_expiry(split_licenses(table)[1])
        self._say(self._standing(self._expires_at))

    async def run(self, serve_again: Callable[[], Awaitable[bool]]) -> None:
        """Look at the date until cancelled; `serve_again` applies what is being served once more."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look(serve_again)

    async def look(self, serve_again: Callable[[], Awaitable[bool]]) -> None:
        """Look at the date once."""
        standing = self._standing(self._expires_at)
        self._say(standing)
        if self._closes(standing) != self._is_closed and not await serve_again():
            _log.error("license_gate_stuck closed=%s", self._is_closed)

    def _standing(self, expires_at: float | None) -> Standing | None:
        now = self._clock.read(self._wall(), self._monotonic())
        return None if expires_at is None else judge(expires_at, now)

    def _closes(self, standing: Standing | None) -> bool:
        return self._policy == "enforce" and standing is not None and standing.is_expired

    def _say(self, standing: Standing | None) -> None:
        text = standing.text(self._policy) if standing is not None else None
        if standing is None or standing.days is None or text is None:
            self._conditions.clear(EXPIRED)
            self._conditions.clear(EXPIRING)
            self._said = None
            return
        code: ConditionCode = EXPIRED if standing.is_expired else EXPIRING
        self._conditions.clear(EXPIRING if standing.is_expired else EXPIRED)
        self._conditions.note(code, text)
        if self._said != (standing.expires_at, standing.days):
            # Once for each step, not once a minute.
            self._said = standing.expires_at, standing.days
            (_log.error if standing.is_expired else _log.warning)("%s detail=%s", code, text)


def closing_table(standing: Standing) -> bytes:
    """A configuration that answers every request with 503 and the reason."""
    route = {"name": "license", "paths": ["/"], "protocols": ["http", "https"]}
    config = {"status_code": 503, "message": f"the license of this gateway expired on {standing.date}"}
    document = {
        "_format_version": "3.0",
        "routes": [route],
        "plugins": [{"name": "request-termination", "config": config}],
    }
    return complete_table(orjson.dumps(document))
