"""Recorded Admin API cases of a real Kong 3.9.3, played against the Admin face over a real store.

Every difference is listed with its cause in `known_differences.toml`, and nothing is listed that agrees: `summary`
takes such entries out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.admin.recording import FOLDER, cases, fixtures
from tests.conformance.admin.replay import Difference, play
from tests.conformance.known_differences import known_differences
from tests.control_room import Platform, open_platform

from twinplane.api.admin import create_app

AGREEMENT_MIN = 0.99
GROUPS = 8
SUITE = "admin"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"recordings are not at {FOLDER}")


def group_of(number: int) -> list[dict[str, Any]]:
    """Every eighth case: a group holds some of each entity."""
    return [case for index, case in enumerate(cases()) if index % GROUPS == number]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path) as opened:
        yield opened


async def differences(platform: Platform, chosen: list[dict[str, Any]]) -> AsyncIterator[tuple[str, Difference]]:
    """The cases that are answered otherwise. Each starts from an empty control plane of its own."""
    texts = fixtures()
    actor = platform.principal.actor
    for case in chosen:
        planes = platform.control.control_planes
        plane = planes.create(platform.principal.organization_id, "us", actor, {"name": case["id"]})
        app = create_app(platform.control, plane.scope, allowed_origins=("*",))
        difference = await play(app, case, texts, waits=case["id"] in _WAITS)
        app.close()
        if difference is not None:
            yield case["id"], difference


_WAITS = {"key-auth/ttl-expiry", "node/debug"}


@pytest.mark.parametrize("number", range(GROUPS))
async def test_recorded_cases_are_answered_as_recorded(platform: Platform, number: int) -> None:
    chosen = group_of(number)
    found = {case: difference async for case, difference in differences(platform, chosen)}
    ids = {case["id"] for case in chosen}
    listed = {case for case in known_differences(SUITE) if case in ids}
    unlisted = [f"{case} step {d.step}: {d.request}\n    {d.text}" for case, d in found.items() if case not in listed]
    assert not unlisted, "answered otherwise and not listed:\n" + "\n".join(unlisted)
    assert not listed - found.keys(), f"listed as different, but agree: {sorted(listed - found.keys())}"


def test_agreement_is_above_its_floor() -> None:
    recorded = {case["id"]: bool(case.get("has_500")) for case in cases()}
    listed = known_differences(SUITE)
    assert not listed.keys() - recorded.keys(), "listed cases that are not recorded"
    share = 1 - len(listed) / len(recorded)
    assert share >= AGREEMENT_MIN, f"{share:.1%} agree; {Counter(listed.values()).most_common()}"
