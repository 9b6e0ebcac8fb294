"""Event streams of live pages: told of changes, and quiet about a store that stays away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from twinplane.web.console import live
from twinplane.web.console.live import LiveStreams

TOLD = b"event: changed\ndata: \n\n"
WITHIN_S = 30.0


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_EVERY_S", 0.01)


def _parts(streams: LiveStreams, look: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    return streams.stream(look).body_iterator  # type: ignore[attr-defined,no-any-return]


async def test_a_page_is_told_at_the_start_and_of_each_change() -> None:
    streams, looks = LiveStreams(), 0

    async def look() -> bytes:
        nonlocal looks
        looks += 1
        if looks == 20:
            streams.end()
        return b"one" if looks < 10 else b"two"

    async with asyncio.timeout(WITHIN_S):
        seen = [part async for part in _parts(streams, look)]
    # Once at the start, for what happened since the page was made, and once for the change.
    assert (seen[0][:6], seen[1:]) == (b"retry:", [TOLD, TOLD])
    assert (looks, streams.open) == (20, 0)


async def test_an_outage_is_told_once_whatever_number_of_pages_sees_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=live.__name__)
    streams, looks = LiveStreams(), {"a": 0, "b": 0}

    def look_of(name: str) -> Callable[[], Awaitable[bytes]]:
        async def look() -> bytes:
            looks[name] += 1
            # Both see it before one of them sees the end of it, however slowly one is run.
            if min(looks.values()) < 5:
                raise OSError("away")
            return b"here"

        return look

    async def read(name: str) -> list[bytes]:
        seen = []
        async for part in _parts(streams, look_of(name)):
            seen.append(part)
            if seen.count(TOLD) == 2:
                break
        return seen

    async with asyncio.timeout(WITHIN_S):
        found = await asyncio.gather(read("a"), read("b"))
    assert [seen.count(TOLD) for seen in found] == [2, 2], "the failing look, and the one that works again"
    said = [record.getMessage() for record in caplog.records]
    assert said == ["live_look_failed", "live_look_works_again"]
    assert caplog.records[0].exc_info is not None
