"""What repeats is told once a period, with its count, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

from twinplane.audit.repeats import Repeats
from twinplane.control.audit import AuditNote
from twinplane.control.scope import Actor

NOTE = AuditNote("token.refused", "o", detail={"reason": "missing"})


class Desk:
    def __init__(self) -> None:
        self.notes: list[AuditNote] = []
        self.now = 0.0

    def take(self, note: AuditNote) -> bool:
        self.notes.append(note)
        return True

    def clock(self) -> float:
        return self.now


def test_repeats_are_counted_and_told_when_their_period_is_over() -> None:
    desk = Desk()
    repeats = Repeats(desk.take, "installation", clock=desk.clock)
    for _ in range(5):
        repeats.note("a", NOTE)
    repeats.note("b", NOTE)
    assert desk.notes == [NOTE, NOTE]
    repeats.tell(until=-1)
    assert len(desk.notes) == 2
    repeats.tell(until=0)
    assert [note.detail for note in desk.notes[2:]] == [{"reason": "missing", "repeated": 4}]
    repeats.note("a", NOTE)
    assert len(desk.notes) == 4


def test_ever_new_names_cost_bounded_memory_and_are_counted() -> None:
    desk = Desk()
    repeats = Repeats(desk.take, "installation", names_max=10, clock=desk.clock)
    for number in range(1000):
        repeats.note(number, replace(NOTE, actor=Actor("user", str(number), "somebody"), client_ip="192.0.2.1"))
    assert (len(desk.notes), repeats.untold_total, len(repeats._known)) == (10, 990, 11)
    repeats.tell(until=float("inf"))
    # Of many, so under nobody's name.
    told = AuditNote("audit.repeats", "installation", "unknown", detail={"of": "many senders", "repeated": 990})
    assert desk.notes[10:] == [told]
