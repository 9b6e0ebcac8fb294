"""What operators are told of the stores that nodes count in together: each change once, and what went wrong between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import orjson
import pytest

from twinplane.node import counter_stores
from twinplane.node.conditions import Conditions
from twinplane.node.counter_stores import UNREACHABLE, CounterStores
from twinplane.node.metrics import counter_store_samples


def row(*, failures: int = 0, is_in_trouble: bool = False) -> dict[str, Any]:
    return {"store": "r:6379/0", "is_in_trouble": is_in_trouble, "failures": failures, "reason": "gone\n"}


class Core:
    """Tells of stores what the test says, one look after the other."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self._looks = list(looks)

    def drain(self, kind: str) -> bytes:
        assert kind == "counter_stores"
        return orjson.dumps(self._looks.pop(0) if len(self._looks) > 1 else self._looks[0])


async def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_stores, "_LOOK_S", 0.001)
    caplog.set_level(logging.INFO)
    lost = [row(failures=7, is_in_trouble=True)]
    conditions = Conditions()
    noted: list[tuple[str, ...]] = []
    conditions.watch(lambda: noted.append(tuple(issue.code for issue in conditions.issues())))
    core = Core([], [row()], lost, [row(failures=90, is_in_trouble=True)], [row(failures=90)], [row(failures=92)])
    watching = asyncio.create_task(CounterStores(core).watch(conditions))
    async with asyncio.timeout(60):
        while "counter_store_failed" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.005)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    told = [(record.levelname, record.getMessage()) for record in caplog.records if "store" in record.getMessage()]
    assert told == [
        ("WARNING", "counter_store_lost store=r:6379/0 reason='gone\\n'"),
        ("INFO", "counter_store_found store=r:6379/0"),
        ("WARNING", "counter_store_failed store=r:6379/0 commands=2 reason='gone\\n'"),
    ]
    assert noted == [(UNREACHABLE,), ()]


def test_a_store_is_up_if_all_who_count_there_can() -> None:
    samples = list(counter_store_samples([row(), row(is_in_trouble=True)]))
    assert [(one.labels["store"], one.value) for one in samples] == [("r:6379/0", 0.0)]
    assert [one.value for one in counter_store_samples([row()])] == [1.0]
