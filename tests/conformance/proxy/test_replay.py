"""Every recorded case in scope, against a node of our own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.conformance.known_differences import known_differences
from tests.conformance.proxy.recording import RECORDINGS, Case, cases

pytest.importorskip("twinplane._dataplane", reason="the core is not built")
pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not at hand")

from tests.conformance.proxy.replay import Player  # noqa: E402  # needs the core

from twinplane.control import declarative  # noqa: E402
from twinplane.control.errors import DeclarativeViolation  # noqa: E402

CASES = list(cases()) if RECORDINGS.exists() else []
KNOWN = known_differences("proxy")


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    player = Player()
    yield player
    player.close()


@pytest.mark.parametrize("case", [each for each in CASES if each.refusal is None], ids=lambda case: case.id)
def test_a_node_behaves_as_recorded(case: Case, player: Player) -> None:
    differences = list(player.play(case))
    if case.id in KNOWN:
        assert differences, f"{case.id} is as recorded now: take it off the list of known differences"
        return
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("case", [each for each in CASES if each.refusal is not None], ids=lambda case: case.id)
def test_a_declarative_file_is_refused_as_recorded(case: Case) -> None:
    if case.id in KNOWN:
        assert declarative.load(case.config, now=time.time()).rows
        return
    with pytest.raises(DeclarativeViolation):
        declarative.load(case.config, now=time.time())


def test_the_list_of_known_differences_names_cases_that_exist() -> None:
    if CASES:
        assert set(KNOWN) <= {case.id for case in CASES}
