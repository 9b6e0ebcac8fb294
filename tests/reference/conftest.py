"""The engine that statements are compared with, and how many random cases a test takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.reference import deciding

# Bounded and the same each time: these run with every other test.
settings.register_profile(
    "reference",
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="session")
def engine() -> Iterator[deciding.Engine]:
    """One program for all questions."""
    yield from deciding.running()
