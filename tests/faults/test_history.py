"""The checker of histories finds what it is there for."""

from __future__ import annotations

import pytest
from tests.faults.history import History, Probe, Write

WRITES = [Write(0, 0.0, 0.1), Write(1, 1.0, 1.1), Write(2, 2.0, 2.1), Write(3, 3.0, None)]


def history(
    *probes: tuple[float, int], agreements: tuple[tuple[float, int], ...] = (), restored: bool = False
) -> History:
    writes = [*WRITES, Write(1, 4.0, 4.1)] if restored else WRITES
    return History(list(writes), [Probe(at, at + 0.01, version) for at, version in probes], list(agreements))


@pytest.mark.parametrize(
    "found",
    [
        history((0.5, 0), (1.5, 0), (1.6, 1), (2.5, 2)),
        history((2.5, 1), (3.5, 3)),
        history((3.5, 3), (4.5, 1), restored=True),
        history((2.2, 1), (2.5, 2), agreements=((2.4, 3),)),
    ],
)
def test_what_may_be_is_let_pass(found: History) -> None:
    assert found.violations() == []


@pytest.mark.parametrize(
    ("found", "promise"),
    [
        (history((0.5, 1)), "C1"),
        (history((2.5, 7)), "C1"),
        (history((2.2, 2), (2.5, 1)), "C2"),
        (history((3.5, 3), (4.5, 2), restored=True), "C2"),
        (history((2.5, 1), agreements=((2.4, 3),)), "C3"),
    ],
)
def test_what_must_not_be_is_found(found: History, promise: str) -> None:
    assert any(one.startswith(promise) for one in found.violations())
