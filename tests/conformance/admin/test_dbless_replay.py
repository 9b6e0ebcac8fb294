"""Recorded cases of a real DB-less Kong 3.9.3, played against the Admin API of a running DB-less node.

Every difference is listed with its cause in `known_differences.toml`, and nothing is listed that agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.admin.recording import FOLDER, cases, fixtures
from tests.conformance.admin.replay import Difference, play
from tests.conformance.admin.served_node import ServedNode
from tests.conformance.known_differences import known_differences
from tests.integration.dbless import DblessNode, dbless_node

SUITE = "dbless"
AGREEMENT_MIN = 0.9

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"recordings are not at {FOLDER}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DblessNode]:
    directory: Path = tmp_path_factory.mktemp("dbless")
    with dbless_node(directory, admin_origins="*", dns_resolver="127.0.0.1:9", lua_ssl_trusted_certificate="") as found:
        yield found


async def test_recorded_cases_are_answered_as_recorded(node: DblessNode) -> None:
    texts, found = fixtures(), dict[str, Difference]()
    recorded = list(cases("dbless.jsonl"))
    for case in recorded:
        difference = await play(ServedNode(node.admin.port), case, texts, waits=case["id"] in _WAITS)
        if difference is not None:
            found[case["id"]] = difference
    listed = known_differences(SUITE)
    unlisted = [f"{case} step {d.step}: {d.request}\n    {d.text}" for case, d in found.items() if case not in listed]
    assert not unlisted, "answered otherwise and not listed:\n" + "\n".join(unlisted)
    assert not listed.keys() - found.keys(), f"listed as different, but agree: {sorted(listed.keys() - found.keys())}"
    assert 1 - len(found) / len(recorded) >= AGREEMENT_MIN


_WAITS = {"node/health"}
