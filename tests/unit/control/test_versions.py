"""Promises of the announcements of revisions."""

from __future__ import annotations

import pytest

from twinplane.control import Versions


def test_a_revision_is_told_once_and_never_after_a_newer_one() -> None:
    versions, told = Versions(), []
    versions.subscribe(lambda plane, revision: told.append((plane, revision)))
    for plane, revision in [("a", 1), ("a", 3), ("a", 2), ("a", 3), ("b", 1)]:
        versions.announce(plane, revision)
    assert told == [("a", 1), ("a", 3), ("b", 1)]


def test_a_failing_subscriber_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_plane: str, _revision: int) -> None:
        raise RuntimeError

    versions, told = Versions(), []
    versions.subscribe(fail)
    end = versions.subscribe(lambda plane, revision: told.append((plane, revision)))
    versions.announce("a", 1)
    end()
    versions.announce("a", 2)
    assert told == [("a", 1)]
    assert "version_subscriber_failed" in caplog.text
