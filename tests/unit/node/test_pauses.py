"""A process that stood still is noticed, and dials again without delay."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.certificates import Leaf

from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.node import pauses


@pytest.mark.parametrize(("monotonic", "wall"), [(60.0, 60.0), (0.0, 3600.0), (60.0, -3600.0)])
async def test_a_pause_is_noticed_once(monkeypatch: pytest.MonkeyPatch, monotonic: float, wall: float) -> None:
    monkeypatch.setattr(pauses, "TICK_S", 0.01)
    jump = [0.0, 0.0]
    resumed: list[float] = []
    task = asyncio.create_task(
        pauses.watch_pauses(
            lambda: resumed.append(1),
            monotonic=lambda: time.monotonic() + jump[0],
            wall=lambda: time.time() + jump[1],
        )
    )
    await asyncio.sleep(0.1)
    assert resumed == []
    jump[:] = [monotonic, wall]
    async with asyncio.timeout(10):
        while not resumed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert resumed == [1]
    task.cancel()


async def test_who_hurries_does_not_wait_for_the_next_attempt_but_for_the_one_after() -> None:
    leaf = Leaf.self_signed("node")
    tls = LinkTls(mode="pki", certificate=leaf.certificate, key=leaf.key, trusted=leaf.certificate)
    dialer = Dialer(Endpoint("127.0.0.1", 1, "peer"), tls)
    async with asyncio.timeout(10):
        dialer.hurry()
        await dialer.pause(3600)
    waiting = asyncio.create_task(dialer.pause(3600))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with asyncio.timeout(10):
        dialer.hurry()
        await waiting
