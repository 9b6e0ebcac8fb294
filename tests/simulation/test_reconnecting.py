"""Five hundred nodes lose their control plane at one moment: they come back spread over time, and agree."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.planes import ControlPlaneProcess, EventShelf, Node, NodeProcess
from tests.simulation.stage import forget_scenery, memory_directory, scenery, staged
from tests.simulation.stores import ModelShelf, Op, content_of_bodies

NODES = 500
AWAY_S = 0.5
SHARE_MAX = 0.30
RECOVERY_S = 60.0
SERVICE = Op("services", "bbbbbbbb-0000-4000-8000-000000000001", {"name": "s", "host": "later.example"})


def test_nodes_come_back_spread_over_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "twinplane")
    scene, loop = scenery(), VirtualLoop(random.Random(7))
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=memory_directory()))
    network, events, shelf = Network(loop), EventShelf(), ModelShelf(scene.plane, scene.certificate, 1000)
    nodes = []
    for number in range(NODES):
        home = directory / str(number)
        home.mkdir()
        nodes.append(Node(number, home, scene.der, scene.names))

    async def live() -> tuple[float, list[float]]:
        plane = ControlPlaneProcess(loop, shelf, events, lambda _report: None)
        for node in nodes:
            node.run = NodeProcess(
                loop,
                node,
                network,
                records_max=100,
                journal_from=1_048_576,
                has_telemetry=False,
                refuses=lambda _content: None,
                on_applied=lambda _content: None,
            )
            loop.call_later(loop.chance.random() * 5, node.run.start)
        await asyncio.sleep(20)
        loop.kill(plane.process)
        network.drop_process(plane.process)
        await asyncio.sleep(AWAY_S)
        plane = ControlPlaneProcess(loop, shelf, events, lambda _report: None)
        plane.process.run(plane.store.commit, [SERVICE])
        back, before = loop.time(), len(network.accepted)
        wanted = content_of_bodies({(SERVICE.type_name, SERVICE.id): SERVICE.body or {}})
        while any(node.run is None or node.run.core.serving != wanted for node in nodes):
            await asyncio.sleep(0.5)
            assert loop.time() < back + RECOVERY_S
        return loop.time() - back, [at - back for at in network.accepted[before:]]

    try:
        with staged(loop, lambda _call: None):
            took_s, moments = loop.run_until_complete(live())
            loop.bury()
    finally:
        shutil.rmtree(directory)
        forget_scenery()
    assert len(moments) == NODES
    # The busiest second, wherever it begins.
    busiest = max(
        Counter(int((moment - offset / 10) // 1) for moment in moments).most_common(1)[0][1] for offset in range(10)
    )
    assert busiest <= NODES * SHARE_MAX
    print(f"away {AWAY_S} s: in sync after {took_s:.1f} s, {busiest / NODES:.0%} in the busiest second")
