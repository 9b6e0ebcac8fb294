"""A simulation is worth what it finds: bugs are planted in the product one at a time, and each must be found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.simulation.stage import forget_scenery
from tests.simulation.world import simulate

from twinplane.hybrid import progress, session, standing
from twinplane.hybrid.channel import Channel
from twinplane.hybrid.client import LinkClient
from twinplane.hybrid.delta import Delta, decode_delta
from twinplane.hybrid.publisher import Publisher
from twinplane.hybrid.server import LinkServer
from twinplane.hybrid.table import ConfigTable
from twinplane.node import config, splice
from twinplane.node.backlog import Backlog
from twinplane.node.cache import Stored
from twinplane.node.config import ConfigKeeper
from twinplane.node.journal import JournaledCache
from twinplane.node.telemetry import TelemetrySender
from twinplane.telemetry.ingest import Ingest
from twinplane.telemetry.wire import Receipt, decode_batch, encode_receipt

SEEDS_MAX = 400
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module", autouse=True)
def _stage() -> Iterator[None]:
    yield
    forget_scenery()


def cache_is_not_written(patch: Patch) -> None:
    patch.setattr(JournaledCache, "keep", lambda self, stored: None)


def served_before_it_is_kept(patch: Patch) -> None:
    def keep_and_apply(self: ConfigKeeper, stored: Stored) -> Any:
        issues = self._apply(stored.table)
        self._keep(stored)
        return issues

    patch.setattr(ConfigKeeper, "_keep_and_apply", keep_and_apply)


def reported_before_it_is_served(patch: Patch) -> None:
    take = ConfigKeeper._serve

    def serve(self: ConfigKeeper, stored: Stored, *arguments: Any) -> Any:
        self._served = stored
        return take(self, stored, *arguments)

    patch.setattr(ConfigKeeper, "_serve", serve)


def refused_stays_in_the_cache(patch: Patch) -> None:
    def keep(self: JournaledCache, stored: Stored) -> None:
        kept = Stored(stored.config_hash, stored.table, (stored.revision or 0) + 1, stored.epoch)
        original(self, kept)

    original = JournaledCache.keep
    patch.setattr(JournaledCache, "keep", keep)


def older_revisions_are_taken(patch: Patch) -> None:
    """The control plane sends what it sent first, and the node does not look at the revision."""
    original = Channel.join

    def join(self: Any, joining: Any) -> None:
        original(self, joining)
        if self._newest is not None:
            self.first = getattr(self, "first", None) or self._newest
            joining.offer(self.first)

    patch.setattr(Channel, "join", join)
    patch.setattr(progress, "is_outdated", lambda *_: False)
    patch.setattr(ConfigKeeper, "_is_outdated", lambda self, epoch, revision: False)


def change_during_publishing_is_forgotten(patch: Patch) -> None:
    def wake(self: Any) -> None:
        if not self._changed.is_set():
            self._publishing = not getattr(self, "_publishing", False)
            if self._publishing:
                self._changed.set()

    patch.setattr(Channel, "wake", wake)
    # Else it is found at the next look at the store.
    patch.setattr(LinkServer, "_look_always", lambda self: asyncio.Event().wait())


def arrival_during_applying_is_dropped(patch: Patch) -> None:
    async def apply_arrivals(self: Any) -> None:
        while True:
            await self._arrived.wait()
            arrival, self._mailbox = self._mailbox, None
            if arrival is not None:
                await self._apply(*arrival)
            self._arrived.clear()

    patch.setattr(LinkClient, "_apply_arrivals", apply_arrivals)
    # Else it is mended by pushing again.
    patch.setattr(session, "PUSHES_AGAIN_MAX", 0)


def hash_leaves_something_out(patch: Patch) -> None:
    original = standing.hash_parts
    patch.setattr(standing, "hash_parts", lambda table, parts: original({**table, "routes": []}, parts))


def change_is_incomplete_and_not_checked(patch: Patch) -> None:
    def incomplete(frame: bytes, text: bytes, served: Stored | None, rows: ConfigTable | None) -> Any:
        def decode(received: bytes) -> Delta:
            delta = decode_delta(received)
            if rows is None:
                return delta
            cut = delta.operations[:-1]
            digest = rows.spliced(cut, delta.head.collections).digest
            return Delta(replace(delta.head, digest=digest), cut)

        patch.setattr(splice, "decode_delta", decode)
        return original(frame, text, served, rows)

    original = splice.splice
    patch.setattr(config, "splice", incomplete)


def restored_store_keeps_its_epoch(patch: Patch) -> None:
    patch.setattr(Publisher, "settle", lambda *_: None)


def table_is_cut(patch: Patch) -> None:
    def apply(self: ConfigKeeper, stored: Stored) -> Any:
        table = orjson.loads(stored.table)
        table["routes"] = (table.get("routes") or [])[:2]
        return original(self, Stored(stored.config_hash, orjson.dumps(table), stored.revision, stored.epoch))

    original = ConfigKeeper._keep_and_apply
    patch.setattr(ConfigKeeper, "_keep_and_apply", apply)


def batch_is_acknowledged_unstored(patch: Patch) -> None:
    original = Ingest.take

    def take(self: Ingest, reporter: Any, frame: bytes) -> bytes:
        header, _ = decode_batch(frame)
        if header.number % 3:
            return original(self, reporter, frame)
        return encode_receipt(Receipt(header.boot_id, header.number))

    patch.setattr(Ingest, "take", take)


def batch_is_settled_when_sent(patch: Patch) -> None:
    def next_batch(self: Any) -> bytes | None:
        batch = self._backlog.unsent()
        frame = original(self)
        if batch is not None:
            self._backlog.settle(batch.boot_id, batch.number)
        return frame

    original = TelemetrySender._next
    patch.setattr(TelemetrySender, "_next", next_batch)


def unacknowledged_is_numbered_anew(patch: Patch) -> None:
    def forget_sent(self: Any) -> None:
        for batch in list(self._waiting.values()):
            if batch.is_sent:
                del self._waiting[batch.boot_id, batch.number]
                self._number += 1000
                batch.number = self._number
                self._waiting[batch.boot_id, batch.number] = batch
        original(self)

    original = Backlog.forget_sent
    patch.setattr(Backlog, "forget_sent", forget_sent)


def overflow_is_not_counted(patch: Patch) -> None:
    def drop(self: Any, batch: Any, dropped: int) -> None:
        lost = self.lost_records
        original(self, batch, dropped)
        self.lost_records = lost

    original = Backlog._drop
    patch.setattr(Backlog, "_drop", drop)


def link_is_not_dialled_again(patch: Patch) -> None:
    original = LinkClient._hold_once

    async def hold_once(self: Any) -> None:
        if self.facts.connects_total >= 3:
            await asyncio.Event().wait()
        await original(self)

    patch.setattr(LinkClient, "_hold_once", hold_once)


BUGS: dict[Callable[[Patch], None], tuple[str, ...]] = {
    cache_is_not_written: ("C2",),
    served_before_it_is_kept: ("C2",),
    reported_before_it_is_served: ("C1", "C2", "C3"),
    refused_stays_in_the_cache: ("C1", "C2"),
    older_revisions_are_taken: ("C2",),
    change_during_publishing_is_forgotten: ("C4",),
    arrival_during_applying_is_dropped: ("C4",),
    hash_leaves_something_out: ("C1", "C5"),
    change_is_incomplete_and_not_checked: ("C1", "C4"),
    restored_store_keeps_its_epoch: ("C4",),
    table_is_cut: ("C1",),
    batch_is_acknowledged_unstored: ("T2",),
    batch_is_settled_when_sent: ("T2",),
    unacknowledged_is_numbered_anew: ("T4",),
    overflow_is_not_counted: ("T2",),
    link_is_not_dialled_again: ("C4", "T1"),
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Callable[[Patch], None], monkeypatch: Patch) -> None:
    bug(monkeypatch)
    for seed in range(SEEDS_MAX):
        result = simulate(seed)
        if result.violation:
            break
    else:
        pytest.fail(f"not found by {SEEDS_MAX} seeds")
    assert any(promise in result.violation for promise in BUGS[bug]), result.violation
