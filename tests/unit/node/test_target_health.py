"""What operators are told of targets: each change once, and a target as healthy as the best of its addresses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import orjson
import pytest

from twinplane.node import target_health
from twinplane.node.conditions import Conditions
from twinplane.node.target_health import TargetHealth


def row(address: str, health: str, **fields: Any) -> dict[str, Any]:
    own = {"upstream": "u", "upstream_id": "1", "target": "a.test:80", "target_id": "t", "weight": 100}
    return {**own, "address": address, "health": health, **fields}


class Core:
    """Tells of targets what the test says, one look after the other; those that are well are told apart."""

    def __init__(self, *looks: list[dict[str, Any]], well: list[dict[str, Any]] | None = None) -> None:
        self._looks = list(looks)
        self._well = well
        self._last: list[dict[str, Any]] = []

    def drain(self, kind: str) -> bytes:
        if kind == "health" and self._well is not None:
            return orjson.dumps([*self._last, *self._well])
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        self._last = look
        return orjson.dumps(look)

    def judge(self, _judgements: bytes) -> int:
        return 0


async def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_health, "_LOOK_S", 0.001)
    caplog.set_level(logging.INFO)
    out, missing = row("10.0.0.1:80", "unhealthy"), row("", "dns_error")
    core = Core([], [out], [out], [missing], [missing], [], well=[])
    watching = asyncio.create_task(TargetHealth(core).watch(Conditions()))
    async with asyncio.timeout(60):
        while "target_name_found" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.005)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    told = [(record.levelname, record.getMessage()) for record in caplog.records if "target" in record.getMessage()]
    assert sorted(told) == [
        ("INFO", "target_name_found upstream=u target=a.test:80"),
        ("INFO", "target_put_in upstream=u target=a.test:80 address=10.0.0.1:80"),
        ("WARNING", "target_name_failed upstream=u target=a.test:80"),
        ("WARNING", "target_put_out upstream=u target=a.test:80 address=10.0.0.1:80"),
    ]


@pytest.mark.parametrize(
    ("states", "whole", "available"),
    [
        (["unhealthy", "healthy"], "HEALTHY", 100),
        (["unhealthy", "healthchecks_off"], "HEALTHCHECKS_OFF", 100),
        (["unhealthy", "unhealthy"], "UNHEALTHY", 0),
    ],
)
def test_a_target_is_as_healthy_as_its_best_address(states: list[str], whole: str, available: int) -> None:
    rows = [row(f"10.0.0.{number}:80", state) for number, state in enumerate(states)]
    (target,) = TargetHealth(Core([*rows, row("::1", "healthy", upstream="other", upstream_id="2")])).of("u")
    assert target["health"] == whole
    assert target["data"]["weight"] == {"total": 200, "available": available, "unavailable": 200 - available}
    assert [address["ip"] for address in target["data"]["addresses"]] == ["10.0.0.0", "10.0.0.1"]


def test_a_name_without_address_has_none_to_show() -> None:
    (target,) = TargetHealth(Core([row("", "dns_error")])).of("1")
    assert (target["health"], target["data"]["addresses"]) == ("DNS_ERROR", [])


async def test_an_upstream_without_a_target_is_a_condition_until_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_health, "_LOOK_S", 0.001)
    half, gone = row("10.0.0.1:80", "unhealthy"), row("", "dns_error", upstream="gone")
    many = [row(f"10.0.1.{number}:80", "unhealthy", upstream=f"m{number}") for number in range(7)]
    well = [row("10.0.0.2:80", "healthy"), row("10.0.0.3:80", "healthy", upstream="gone", weight=0)]
    conditions, told = Conditions(), []
    conditions.watch(lambda: told.append([issue.message for issue in conditions.issues()]))
    core = Core([half], [half, gone], [half, *many], [half], [], well=well)
    watching = asyncio.create_task(TargetHealth(core).watch(conditions))
    async with asyncio.timeout(60):
        while len(told) < 3:  # noqa: ASYNC110 - a condition wakes nobody here
            await asyncio.sleep(0.005)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    end = "their requests are answered with 503"
    assert told == [
        [f"no target is available of gone: {end}"],
        [f"no target is available of m0, m1, m2, m3, m4 and 2 more: {end}"],
        [],
    ]
