"""The addresses that an installation publishes, and how they changed: kept, so that a restart tells nothing new.

Reads are answered from memory; a write happens only where something changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import orjson

from twinplane.store.sql import Database

CHANGES_MAX = 100
INGRESS, EGRESS = "ingress", "egress"
_KEY = "published_addresses"

ByRegion = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What came and went in one region at one moment. `number` counts up and is never given twice."""

    number: int
    at: float
    region: str
    direction: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedAddresses:
    """What is published now. `changes` are the newest, the last one first; `changed_at` is None before the first."""

    ingress: ByRegion
    egress: ByRegion
    changes: tuple[AddressChange, ...]
    changed_at: float | None


class Addresses:
    """Published addresses of one store."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._lock = Lock()
        self._now: PublishedAddresses | None = None

    def published(self) -> PublishedAddresses:
        """What is published now."""
        with self._lock:
            if self._now is None:
                self._now = self._load()
            return self._now

    def publish(self, *, ingress: ByRegion, egress: ByRegion) -> PublishedAddresses:
        """Publish these from now on; what differs from before becomes part of the history."""
        before = self.published()
        wanted = {INGRESS: _sorted(ingress), EGRESS: _sorted(egress)}
        now = self._clock()
        number = before.changes[0].number if before.changes else 0
        changes: list[AddressChange] = []
        for direction, known in ((INGRESS, before.ingress), (EGRESS, before.egress)):
            for region in sorted({*known, *wanted[direction]}):
                old, new = known.get(region, ()), wanted[direction].get(region, ())
                added = tuple(each for each in new if each not in old)
                removed = tuple(each for each in old if each not in new)
                if added or removed:
                    number += 1
                    changes.append(AddressChange(number, now, region, direction, added, removed))
        same_regions = set(before.ingress) == set(wanted[INGRESS]) and set(before.egress) == set(wanted[EGRESS])
        if not changes and same_regions:
            return before
        published = PublishedAddresses(
            wanted[INGRESS],
            wanted[EGRESS],
            (*reversed(changes), *before.changes)[:CHANGES_MAX],
            now if changes else before.changed_at,
        )
        with self._database.writing() as tx:
            tx.meta.put(_KEY, orjson.dumps(published).decode())
        with self._lock:
            self._now = published
        return published

    def _load(self) -> PublishedAddresses:
        with self._database.reading() as tx:
            text = tx.meta.get(_KEY)
        if text is None:
            return PublishedAddresses({}, {}, (), None)
        kept: dict[str, Any] = orjson.loads(text)
        changes = tuple(
            AddressChange(
                one["number"],
                one["at"],
                one["region"],
                one["direction"],
                tuple(one["added"]),
                tuple(one["removed"]),
            )
            for one in kept["changes"]
        )
        return PublishedAddresses(kept["ingress"], kept["egress"], changes, kept["changed_at"])


def _sorted(given: ByRegion) -> dict[str, list[str]]:
    return {region: sorted(set(values)) for region, values in given.items()}
