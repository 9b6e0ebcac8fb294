"""The clock of either plane jumps an hour, a day, to 2038 and back: traffic, changes and telemetry go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes
from tests.integration.shifted_clock import ShiftedClock, build_shim

HOUR, DAY = 3600.0, 86_400.0


def to_2038() -> float:
    return 2**31 + DAY - time.time()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def planes(tmp_path: Path, shim: Path) -> Iterator[tuple[Planes, ShiftedClock, ShiftedClock]]:
    found = Planes(tmp_path)
    of_control_plane = ShiftedClock(shim, tmp_path / "control-plane.shift")
    of_node = ShiftedClock(shim, tmp_path / "node.shift")
    found.control_plane_environ, found.node_environ = of_control_plane.environ, of_node.environ
    try:
        found.start_control_plane()
        found.join()
        found.start_node()
        yield found, of_control_plane, of_node
    finally:
        found.stop()


@pytest.mark.parametrize("whose", ["control plane", "node"])
def test_a_jump_stops_nothing(planes: tuple[Planes, ShiftedClock, ShiftedClock], whose: str) -> None:
    found, of_control_plane, of_node = planes
    clock = of_node if whose == "node" else of_control_plane
    with Upstream() as upstream:
        found.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        found.admin("PUT", "/services/s/routes/r", {"paths": ["/0"]})
        eventually(lambda: found.proxy("GET", "/0").status == 200)
        for number, shift in enumerate((HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0, to_2038(), 0), start=1):
            clock.shift(shift)
            for _ in range(10):
                assert found.proxy("GET", f"/{number - 1}").status == 200
            found.admin("PUT", "/services/s/routes/r", {"paths": [f"/{number}"]})
            eventually(lambda number=number: found.proxy("GET", f"/{number}").status == 200)
        eventually(found.in_sync, seconds=30)
        _check_spent_window(found, of_node)
        # All that was measured arrived, and none of it is from the future.
        counted = eventually(lambda: len(records := _recorded(found)) >= 110 and records, seconds=30)
        now = time.time()
        assert all(each["request_start"] < _iso(now + HOUR) for each in counted)
        # A jump drops no link that was well: the first one, and what came of the clock of 2038.
        metrics = found.status("GET", "/metrics").body.decode()
        failures = next(line for line in metrics.splitlines() if line.startswith("twinplane_link_failures_total"))
        assert float(failures.split()[-1]) <= 3, failures


def _check_spent_window(planes: Planes, clock: ShiftedClock) -> None:
    """A window of a rate limit that was spent stays spent when the clock goes back."""
    planes.admin("PUT", "/services/s/routes/limited", {"paths": ["/limited"]})
    config = {"year": 3, "policy": "local"}
    created = planes.admin("POST", "/routes/limited/plugins", {"name": "rate-limiting", "config": config})
    assert created.status == 201, created.body
    eventually(lambda: planes.proxy("GET", "/limited").status == 429)
    for shift in (-HOUR, -DAY, 0):
        clock.shift(shift)
        assert planes.proxy("GET", "/limited").status == 429


def _recorded(planes: Planes) -> list[dict[str, Any]]:
    now = time.time()
    period = {"type": "absolute", "start": f"{_iso(now - 3 * DAY)}Z", "end": f"{_iso(now + 3 * DAY)}Z"}
    answer = planes.api("POST", "/v2/api-requests", {"size": 1000, "time_range": period})
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
