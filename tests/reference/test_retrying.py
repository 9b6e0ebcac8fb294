"""The engine repeats what the plain statement repeats: every case, not a sample."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

from tests.reference import retrying
from tests.reference.deciding import Engine

METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "LOCK", "PURGE")


def test_attempts_are_repeated_as_the_plain_statement_says(engine: Engine) -> None:
    facts = product(retrying.FAILURES, METHODS, (0, 1, 5), *[(False, True)] * 4)
    for fact in facts:
        attempt = retrying.Attempt(*fact)
        assert engine.decide("retry", **asdict(attempt)) == retrying.decide(attempt), attempt
