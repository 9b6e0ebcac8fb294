"""Promises of reading settings again: whatever happens, the node serves on, can be asked again, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from twinplane.cli.data_plane import SETTINGS_REFUSED, _reread_when
from twinplane.node.conditions import Conditions
from twinplane.node.runner import Node
from twinplane.settings import NodeSettings


def test_what_nobody_thought_of_is_told_and_asked_again() -> None:
    conditions = Conditions()
    asked = 0

    def load() -> NodeSettings:
        nonlocal asked
        asked += 1
        raise RuntimeError(f"strange {asked}")

    async def run() -> Sequence[Any]:
        wanted, told = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        conditions.watch(lambda: loop.call_soon_threadsafe(told.set))
        node = cast("Node", SimpleNamespace(conditions=conditions))
        rereading = asyncio.create_task(_reread_when(wanted, node, load))
        for _ in range(2):
            told.clear()
            wanted.set()
            await asyncio.wait_for(told.wait(), 60)
        rereading.cancel()
        return conditions.issues()

    (issue,) = asyncio.run(run())
    assert (issue.code, issue.message) == (SETTINGS_REFUSED, "not read again: RuntimeError: strange 2")
