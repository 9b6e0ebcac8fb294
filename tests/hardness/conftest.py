"""A recording upstream for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.hardness.recorded import RecordingUpstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    """An upstream that keeps every byte."""
    found = RecordingUpstream()
    yield found
    found.close()
