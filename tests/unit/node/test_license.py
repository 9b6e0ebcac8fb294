"""What a licence means, by date and setting, and that a clock that jumps does not make it flap."""

from __future__ import annotations

import json
import logging

import pytest

from twinplane.node.conditions import Conditions
from twinplane.node.errors import LicenseExpired
from twinplane.node.license_expiry import Policy, judge, read_expiry
from twinplane.node.license_gate import LicenseGate
from twinplane.node.steady_clock import SteadyClock

DAY = 86_400.0
HOUR = 3600.0
YEAR_2038 = 2**31 + DAY
# 2026-01-01T00:00:00Z
NOW = 1_767_225_600.0
POLICIES: list[Policy] = ["warn", "restart", "enforce"]


def license_text(date: object) -> str:
    """A licence as its vendor writes it."""
    payload = {"customer": "somebody", "license_creation_date": "2025-01-01", "license_expiration_date": date}
    return json.dumps({"license": {"version": 1, "signature": "00ff", "payload": payload}})


def table(date: str | None = None) -> bytes:
    licenses = [] if date is None else [{"id": "1", "payload": license_text(date)}]
    return json.dumps({"_format_version": "3.0", "services": [{"id": "s"}], "licenses": licenses}).encode()


def test_the_last_of_several_licences_counts_to_the_end_of_its_day() -> None:
    texts = [license_text("2026-01-31"), license_text("2026-02-28"), license_text("2025-12-31")]
    assert read_expiry(texts) == NOW + 59 * DAY
    assert read_expiry([license_text("2026-01-31T10:00:00Z")]) == NOW + 31 * DAY


NO_DATES = [license_text(date) for date in (None, 7, "soon", "2026-13-01", "9999-99-99")]


@pytest.mark.parametrize("text", ["", "[]", "{}", "-", '{"license":null}', '{"license":{"payload":[]}}', *NO_DATES])
def test_what_names_no_date_means_nothing(text: str) -> None:
    assert read_expiry([text]) is None


def test_warnings_start_90_30_and_10_days_before() -> None:
    steps = [judge(NOW, NOW - days * DAY).days for days in (91, 90, 89.9, 30, 29.9, 10, 9.9, 0.1, 0, -1)]
    assert steps == [None, None, 90, 90, 30, 30, 10, 10, 0, 0]
    assert judge(NOW, NOW).date == "2025-12-31"


class Core:
    """Stands for the core: remembers what it was handed."""

    def __init__(self) -> None:
        self.tables: list[dict[str, object]] = []

    def apply(self, data: bytes) -> str:
        self.tables.append(json.loads(data))
        return "taken"

    @property
    def is_closed(self) -> bool:
        plugins = self.tables[-1].get("plugins")
        return isinstance(plugins, list) and plugins[0]["name"] == "request-termination"


class World:
    """A gate, its core, and two clocks."""

    def __init__(self, policy: Policy) -> None:
        self.wall, self.monotonic = NOW, 100.0
        self.conditions = Conditions()
        self.gate = LicenseGate(policy, self.conditions, wall=lambda: self.wall, monotonic=lambda: self.monotonic)
        self.core = Core()
        self.table = b""

    def serve(self, data: bytes) -> None:
        self.table = data
        assert self.gate.apply(data, self.core.apply) == "taken"
        self.gate.note_served(data)

    async def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        await self.look()

    async def look(self) -> None:
        async def again() -> bool:
            self.gate.apply(self.table, self.core.apply)
            return True

        await self.gate.look(again)

    def codes(self) -> list[str]:
        return [issue.code for issue in self.conditions.issues()]


@pytest.mark.parametrize("policy", POLICIES)
async def test_each_step_is_said_once_and_the_setting_decides_what_the_end_does(
    policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(policy)
    with caplog.at_level(logging.WARNING):
        world.serve(table("2026-04-30"))
        assert world.codes() == []
        for _ in range(125):
            await world.pass_time(DAY)
    said = [line.split()[0] for line in caplog.messages]
    assert said == ["license_expiring", "license_expiring", "license_expiring", "license_expired"]
    assert world.codes() == ["license_expired"]
    assert world.core.is_closed == (policy == "enforce")
    assert "licenses" not in world.core.tables[0]
    world.serve(table("2027-12-31"))
    assert world.codes() == []
    assert not world.core.is_closed


@pytest.mark.parametrize("policy", POLICIES)
def test_a_start_with_an_expired_licence(policy: Policy) -> None:
    world = World(policy)
    if policy == "restart":
        with pytest.raises(LicenseExpired, match="2025-12-31"):
            world.gate.first_table(table("2025-12-31"))
        return
    first = json.loads(world.gate.first_table(table("2025-12-31")))
    assert ("plugins" in first) == (policy == "enforce")
    if policy == "enforce":
        assert first["plugins"][0]["config"]["status_code"] == 503
        assert "2025-12-31" in first["plugins"][0]["config"]["message"]


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_licence_nothing_follows(policy: Policy) -> None:
    world = World(policy)
    assert json.loads(world.gate.first_table(table()))["services"]
    world.serve(table())
    assert (world.codes(), world.core.is_closed, world.gate.expires_at) == ([], False, None)


@pytest.mark.parametrize("jump", [HOUR, DAY, YEAR_2038 - NOW])
async def test_a_clock_that_jumps_forward_and_back_closes_nothing(jump: float) -> None:
    world = World("enforce")
    world.serve(table("2025-12-31" if jump < 0 else "2026-01-01"))
    for _ in range(20):
        world.wall += jump
        for _ in range(10):
            await world.pass_time(60)
            assert not world.core.is_closed
        world.wall -= jump
        await world.pass_time(60)
        assert not world.core.is_closed


async def test_a_clock_that_jumps_back_opens_at_once_and_stays_open_for_an_hour_after_it_returns() -> None:
    world = World("enforce")
    world.serve(table("2025-12-31"))
    assert world.core.is_closed
    world.wall -= DAY
    await world.look()
    assert not world.core.is_closed
    world.wall += DAY
    await world.pass_time(60)
    assert not world.core.is_closed
    await world.pass_time(HOUR)
    assert world.core.is_closed


def test_a_steady_clock_follows_small_steps_and_settles_after_an_hour() -> None:
    clock = SteadyClock()
    assert clock.read(1000.0, 0.0) == 1000.0
    assert clock.read(1031.0, 1.0) == 1031.0
    # Forward: not yet.
    assert clock.read(1000.0 + DAY, 2.0) == 1032.0
    assert clock.read(1000.0 + DAY + 1800, 1802.0) == 2832.0
    assert clock.read(1000.0 + DAY + 3600, 3602.0) == 1000.0 + DAY + 3600
    # Back: at once.
    assert clock.read(50.0, 3603.0) == 50.0


def test_a_clock_that_keeps_jumping_is_never_believed() -> None:
    clock = SteadyClock()
    clock.read(0.0, 0.0)
    for hour in range(1, 50):
        assert clock.read(hour * DAY, hour * HOUR) == hour * HOUR
