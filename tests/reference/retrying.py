"""Whether a failed attempt at an upstream is followed by another, stated plainly."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = ("connect", "connect_timeout", "broken", "read_timeout", "write_timeout", "invalid_response")
# Repeating these could act twice.
ACTS_ONCE = ("POST", "PATCH", "LOCK")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed before any byte of an answer was passed on."""

    failure: str
    method: str
    retries_left: int
    is_sent: bool
    is_replayable: bool
    is_reused: bool
    is_free_attempt_used: bool


def decide(attempt: Attempt) -> str:
    """`retry` takes one of the retries left, `retry_free` does not, `give_up` ends it."""
    something_answered = attempt.failure == "invalid_response"
    could_act_twice = attempt.is_sent and attempt.method in ACTS_ONCE
    body_is_gone = attempt.is_sent and not attempt.is_replayable
    if something_answered or could_act_twice or body_is_gone:
        return "give_up"
    # An idle connection that the upstream was just closing says nothing about the upstream.
    was_stale = attempt.failure == "broken" and attempt.is_reused
    if was_stale and not attempt.is_free_attempt_used:
        return "retry_free"
    return "retry" if attempt.retries_left > 0 else "give_up"
