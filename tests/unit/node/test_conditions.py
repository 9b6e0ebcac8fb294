"""What a node says is not as it should be has a meaning at its control plane and a line in the guide."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import get_args

from twinplane.hybrid.node_conditions import CONDITIONS, ConditionCode
from twinplane.node.conditions import Conditions

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "node-survival.md"


def test_every_condition_is_known_to_the_control_plane_and_described() -> None:
    # That nothing else is ever noted, the type checker shows.
    codes = set(get_args(ConditionCode))
    assert set(CONDITIONS) == codes
    described = {line.split("|")[1] for line in GUIDE.read_text().splitlines() if line.startswith("| `")}
    text = " ".join(described)
    assert [code for code in codes if f"`{code}`" not in text] == []


def test_watchers_are_told_of_each_change_once_and_from_any_thread() -> None:
    conditions, told = Conditions(), []
    conditions.watch(lambda: told.append(conditions.issues()))
    thread = threading.Thread(target=conditions.note, args=("cache_damaged", "text"))
    thread.start()
    thread.join()
    conditions.note("cache_damaged", "text")
    conditions.note("admin_unavailable", "text")
    conditions.note("cache_damaged", "other")
    conditions.clear("fallback_served")
    conditions.clear("cache_damaged")
    admin, damaged = "admin_unavailable", "cache_damaged"
    assert [[issue.code for issue in issues] for issues in told] == [
        [damaged],
        [admin, damaged],
        [admin, damaged],
        [admin],
    ]
    assert conditions.has("admin_unavailable")
