"""What operators are told of targets: each change once, and a target as healthy as the best of its addresses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import orjson
import pytest

from twinplane.node import target_health
from twinplane.node.target_health import TargetHealth


def row(address: str, health: str, **fields: Any) -> dict[str, Any]:
    own = {"upstream": "u", "upstream_id": "1", "target": "a.test:80", "target_id": "t", "weight": 100}
    return {**own, "address": address, "health": health, **fields}


class Core:
    """Tells of targets what the test says, one look after the other."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self._looks = list(looks)

    def drain(self, _kind: str) -> bytes:
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return orjson.dumps(look)

    def judge(self, _judgements: bytes) -> int:
        return 0


async def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_health, "_LOOK_S", 0.001)
    caplog.set_level(logging.INFO)
    out, missing = row("10.0.0.1:80", "unhealthy"), row("", "dns_error")
    core = Core([], [out], [out], [missing], [missing], [])
    watching = asyncio.create_task(TargetHealth(core).watch())
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
