"""Budgets refill with time, refusals are counted one by one and logged once a minute, and neither grows without end."""

from __future__ import annotations

import logging

import pytest

from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.figures import exposition
from twinplane.hybrid.guard import LOG_INTERVAL_S, FrameBudget, RefusalLog
from twinplane.hybrid.server import LinkServerFacts


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(budget: FrameBudget, size: int, most: int) -> int:
    """How many frames are taken at once."""
    for number in range(most):
        try:
            budget.take(size)
        except FrameInvalid:
            return number
    return most


def test_a_budget_lets_a_busy_moment_through_and_fills_up_again() -> None:
    clock = Clock()
    budget = FrameBudget(10, clock=clock)
    assert taken(budget, 0, 1000) == 100
    clock.now += 2
    assert taken(budget, 0, 1000) == 19
    clock.now += 10**6
    assert taken(budget, 0, 1000) == 100


def test_bytes_have_a_budget_of_their_own() -> None:
    clock = Clock()
    budget = FrameBudget(1000, clock=clock)
    assert taken(budget, 4_194_304, 10) == 8
    with pytest.raises(FrameInvalid) as refused:
        budget.take(1)
    assert refused.value.code == "byte_rate"
    clock.now += 60
    budget.take(4_194_304)


def test_a_reason_of_a_peer_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = RefusalLog(clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            refusals.note("not_json", "x" * 1000, peer="a", who="node=a")
        refusals.note("not_json", "", peer="b", who="node=b")
        clock.now += LOG_INTERVAL_S
        refusals.note("not_json", "", peer="a", who="node=a")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[-1] for line in lines] == ["node=a", "node=b", "node=a"]
    assert [line.split("left_out=")[1].split()[0] for line in lines] == ["0", "0", "49"]
    assert max(map(len, lines)) < 400
    assert refusals.by_reason == {"not_json": 52}
    assert refusals.total == 52


def test_a_certificate_that_calls_itself_many_nodes_is_logged_so_often(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = RefusalLog(clock=clock)
    with caplog.at_level(logging.WARNING):
        for number in range(500):
            refusals.note("not_json", "", peer="a", node=str(number), who="")
        assert len(caplog.records) == 60
        refusals.note("not_json", "", peer="b", node="b", who="")
        assert len(caplog.records) == 61
        clock.now += LOG_INTERVAL_S
        refusals.note("not_json", "", peer="a", node="new", who="")
    assert len(caplog.records) == 62
    assert refusals.by_reason == {"not_json": 502}


def test_refusals_are_told_by_reason() -> None:
    facts = LinkServerFacts(connections=3, refused={"not_json": 2, "frame_rate": 1})
    text = exposition(facts)
    assert "twinplane_link_connections 3\n" in text
    assert 'twinplane_link_refused_total{reason="frame_rate"} 1\n' in text
    assert 'twinplane_link_refused_total{reason="not_json"} 2\n' in text
    assert all(line.startswith(("#", "twinplane_link_")) for line in text.splitlines())


def test_what_is_remembered_is_bounded() -> None:
    refusals = RefusalLog()
    for number in range(3000):
        refusals.note(f"reason {number}", "", peer=str(number), who="")
    assert len(refusals.by_reason) == 100
    assert len(refusals._told) <= 2000
    assert len(refusals._lines) <= 2000
