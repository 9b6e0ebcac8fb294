"""What a node says is not as it should be has a meaning at its control plane and a line in the guide."""

from __future__ import annotations

import threading
from pathlib import Path

from twinplane.hybrid.node_conditions import CONDITIONS
from twinplane.node import config, counter_stores, fallback, license_gate, runner, target_health, telemetry
from twinplane.node.conditions import Conditions

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "node-survival.md"


def test_every_condition_is_known_to_the_control_plane_and_described() -> None:
    codes = {
        config.CACHE_DAMAGED,
        config.CACHE_UNWRITABLE,
        config.FALLBACK_SERVED,
        counter_stores.UNREACHABLE,
        fallback.NOT_EXPORTED,
        fallback.NOT_IMPORTED,
        license_gate.EXPIRED,
        license_gate.EXPIRING,
        runner.DECLARED_REFUSED,
        target_health.NO_TARGETS,
        telemetry.NOT_DURABLE,
        *(f"{name}_refused" for name in ("cluster_certificate", "ssl_certificate", "status_ssl_certificate")),
    }
    assert set(CONDITIONS) == codes
    described = {line.split("|")[1] for line in GUIDE.read_text().splitlines() if line.startswith("| `")}
    text = " ".join(described)
    assert [code for code in codes if f"`{code}`" not in text] == []


def test_watchers_are_told_of_each_change_once_and_from_any_thread() -> None:
    conditions, told = Conditions(), []
    conditions.watch(lambda: told.append(conditions.issues()))
    thread = threading.Thread(target=conditions.note, args=("b", "text"))
    thread.start()
    thread.join()
    conditions.note("b", "text")
    conditions.note("a", "text")
    conditions.note("b", "other")
    conditions.clear("c")
    conditions.clear("b")
    assert [[issue.code for issue in issues] for issues in told] == [["b"], ["a", "b"], ["a", "b"], ["a"]]
    assert conditions.has("a")
