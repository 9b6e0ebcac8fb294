"""Recovery times are written down where `python -m tests.faults` asks for them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FIGURES = "FAULT_FIGURES"


@pytest.fixture(scope="session")
def _figures() -> Iterator[dict[str, float]]:
    found: dict[str, float] = {}
    yield found
    path = os.environ.get(FIGURES)
    if path and found:
        Path(path).write_text(json.dumps(found, indent=2, sort_keys=True))


@pytest.fixture
def figure(_figures: dict[str, float]) -> Callable[[str, float], None]:
    """Writes a figure down."""

    def note(name: str, value: float) -> None:
        _figures[name] = round(value, 2)
        print(f"{name}: {value:.2f}")

    return note
