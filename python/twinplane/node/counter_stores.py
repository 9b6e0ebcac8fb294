"""How the stores of shared counters fare (the Redis of rate limits): a line when one is lost or back, and a condition.

The core asks them; this only tells people. However many requests fail, there is one line a second at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from twinplane.node.conditions import Conditions

UNREACHABLE: Final = "counter_store_unreachable"
_LOOK_S = 1.0
_NAMED_MAX = 5
_log = logging.getLogger(__name__)


class CountingCore(Protocol):
    """The part of the core that this module needs."""

    def drain(self, kind: Any) -> bytes:
        """Of the kind `counter_stores` rows of stores: a JSON list."""


@dataclass(frozen=True, slots=True)
class _Store:
    is_in_trouble: bool
    failures: int
    reason: str


class CounterStores:
    """The stores that a node's configuration names."""

    def __init__(self, core: CountingCore) -> None:
        self._core = core

    async def watch(self, conditions: Conditions) -> None:
        """Log each store that is lost or back, and note those that are lost, until cancelled."""
        before: dict[str, _Store] = {}
        while True:
            now = self._stores()
            _tell(before, now)
            before = now
            if lost := [name for name, store in now.items() if store.is_in_trouble]:
                conditions.note(UNREACHABLE, _worded(lost))
            else:
                conditions.clear(UNREACHABLE)
            await asyncio.sleep(_LOOK_S)

    def _stores(self) -> dict[str, _Store]:
        stores: dict[str, _Store] = {}
        for row in orjson.loads(self._core.drain("counter_stores")):
            store = _Store(row["is_in_trouble"], row["failures"], row["reason"])
            same = stores.get(row["store"])
            # Two plugins may go to one place as different users.
            stores[row["store"]] = store if same is None or store.is_in_trouble else same
        return stores


def _worded(lost: list[str]) -> str:
    more = len(lost) - _NAMED_MAX
    named = ", ".join(lost[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"requests cannot be counted in {named}: they pass or are refused, as fault_tolerant says"


def _tell(before: Mapping[str, _Store], now: Mapping[str, _Store]) -> None:
    for name, store in now.items():
        known = before.get(name, _Store(is_in_trouble=False, failures=0, reason=""))
        if store.is_in_trouble and not known.is_in_trouble:
            _log.warning("counter_store_lost store=%s reason=%r", name, store.reason)
        elif known.is_in_trouble and not store.is_in_trouble:
            _log.info("counter_store_found store=%s", name)
        elif store.failures > known.failures and not store.is_in_trouble:
            failed = store.failures - known.failures
            _log.warning("counter_store_failed store=%s commands=%d reason=%r", name, failed, store.reason)
