"""What a node tells of itself: bounded, numbered, repeated reads counted, no line forged, no quoted value told."""

from __future__ import annotations

import pytest

from twinplane.audit.cef import parse_extension
from twinplane.audit.line import EVENT_ELEMENT, ORIGIN_ELEMENT, parse_line
from twinplane.audit.signature import is_signed_by
from twinplane.hybrid.audit_key import AuditKey
from twinplane.hybrid.wire import Issue
from twinplane.node.audit import AuditEvent, AuditLog, AuditOrigin, shown_reason

KEY = AuditKey("k1", b"s" * 32, 8071)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def events(log: AuditLog) -> list[AuditEvent]:
    found = []
    while (event := log.first()) is not None:
        found.append(event)
        log.sent(event)
    return found


def test_the_oldest_gives_way_and_its_number_is_missing() -> None:
    log = AuditLog(events_max=3)
    for _ in range(5):
        log.note("x")
    assert (len(log), log.dropped_total, log.noted_total) == (3, 2, 5)
    assert [event.number for event in events(log)] == [3, 4, 5]


def test_an_event_that_gave_way_while_it_was_sent_takes_no_other_along() -> None:
    log = AuditLog(events_max=1)
    log.note("a")
    first = log.first()
    assert first is not None
    log.note("b")
    log.sent(first)
    assert [event.kind for event in events(log)] == ["b"]


def test_nothing_is_noted_where_nothing_is_sent() -> None:
    log = AuditLog(events_max=0)
    log.note("x")
    log.access("status", method="GET", path="/", status=200, peer="::1")
    assert (len(log), log.noted_total) == (0, 0)


def test_repeated_reads_are_told_once_and_counted() -> None:
    clock = Clock()
    log = AuditLog(events_max=100, clock=clock)
    for _ in range(10):
        log.access("status", method="GET", path="/metrics", status=200, peer="10.0.0.1")
    log.access("status", method="GET", path="/metrics", status=200, peer="10.0.0.2")
    log.access("status", method="GET", path="/metrics", status=503, peer="10.0.0.1")
    log.access("status", method="GET", path="/metrics", status=503, peer="10.0.0.1")
    log.access("status", method="POST", path="/status/ready", status=204, peer="10.0.0.1")
    told = events(log)
    assert [event.result for event in told] == ["success", "success", "failure", "failure", "success"]
    assert all("repeated" not in event.said for event in told)
    log.tell_repeats()
    assert not events(log)
    clock.now += 61
    log.tell_repeats()
    assert [(event.said["repeated"], event.said["peer"]) for event in events(log)] == [("9", "10.0.0.1")]
    log.access("status", method="GET", path="/metrics", status=200, peer="10.0.0.1")
    log.access("status", method="GET", path="/metrics", status=200, peer="10.0.0.1")
    log.tell_repeats(all_of_them=True)
    assert len(events(log)) == 2


def test_reads_of_ever_new_paths_cost_no_memory() -> None:
    log = AuditLog(events_max=10)
    for number in range(10_000):
        log.access("status", method="GET", path=f"/{number}", status=200, peer="::1")
    assert len(log._repeats) <= 256


def test_conditions_are_told_as_they_come_and_go() -> None:
    log = AuditLog(events_max=10)
    log.conditions_changed((Issue("cache_unwritable", "no space on 'disk'"),))
    log.conditions_changed((Issue("cache_unwritable", "no space on 'disk'"),))
    log.conditions_changed(())
    told = [(event.result, event.said["state"]) for event in events(log)]
    assert told == [("failure", "present"), ("success", "over")]


@pytest.mark.parametrize("form", ["rfc5424", "cef"])
def test_a_line_says_what_happened_signed_and_unforged(form: str) -> None:
    log = AuditLog(events_max=10)
    log.note("access", "failure", path='/a\n<13>1 forged]"=|', peer="::1", absent=None)
    event = events(log)[0]
    raw = AuditOrigin("n1", "host name", "1.0", "7", form, log.boot).line(event, KEY)
    assert raw.decode().isprintable()
    line = parse_line(raw)
    assert is_signed_by(line, KEY.secret)
    assert line.elements[ORIGIN_ELEMENT] == {"boot": log.boot, "seq": "1", "node": "n1"}
    assert (line.hostname, line.message_id) == ("host_name", "access")
    said = line.elements[EVENT_ELEMENT] if form == "rfc5424" else parse_extension(line.message)
    assert said["path"] == '/a\\u{a}<13>1 forged]"=|'
    assert said["result"] == "failure"
    assert "absent" not in said


def test_reasons_do_not_quote_values() -> None:
    assert shown_reason("key 's3cret' of \"x\" is `y` wrong") == "key '...' of '...' is '...' wrong"
    assert len(shown_reason("x" * 10_000)) == 300
