"""What a real Kong's schema code answered, asked of our shapes: defaults filled in, and violations found."""

from __future__ import annotations

import pytest
from tests.conformance.known_differences import known_differences
from tests.conformance.schema.recording import VECTORS, cases, difference

AGREEMENT_MIN = 0.97
SUITE = "schema"

pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason=f"recordings are not at {VECTORS}")


def test_recorded_calls_are_answered_as_recorded() -> None:
    listed = known_differences(SUITE)
    found = {case.id: text for case in cases() if case.id not in listed and (text := difference(case)) is not None}
    assert not found, "answered otherwise and not listed:\n" + "\n".join(
        f"{case}: {text}" for case, text in found.items()
    )


def test_listed_differences_still_differ() -> None:
    listed = known_differences(SUITE)
    recorded = {case.id: case for case in cases()}
    assert not listed.keys() - recorded.keys(), "listed cases that are not recorded"
    agreeing = [name for name in listed if recorded[name].schema != "migration" and difference(recorded[name]) is None]
    assert not agreeing, f"these agree by now: {agreeing}"
    assert 1 - len(listed) / len(recorded) >= AGREEMENT_MIN
