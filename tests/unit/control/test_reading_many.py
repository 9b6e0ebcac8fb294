"""Many entities and nodes read at once: as exact as one by one, and of this scope alone."""

from __future__ import annotations

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Actor, Control, NodeHello, NodeTally, Parent, Scope
from twinplane.control.errors import LimitExceeded

FOREIGN = "0c9a7d8e-2f51-4a38-8a55-0d4f6a1d7b01"


@pytest.fixture
def other(control: Control, scope: Scope, actor: Actor) -> Scope:
    return control.control_planes.create(scope.organization_id, "us", actor, {"name": "other"}).scope


def test_counts_leave_out_what_is_over_and_what_is_elsewhere(
    control: Control, scope: Scope, other: Scope, actor: Actor, clock: Clock
) -> None:
    control.changes.create(scope, actor, "consumers", {"username": "alice"})
    for body in ({"key": "short", "ttl": 60}, {"key": "for ever"}):
        control.changes.create(scope, actor, "keyauth_credentials", body, parent=Parent("consumers", "alice"))
    control.changes.create(other, actor, "consumers", {"username": "bob"})
    types = ["consumers", "keyauth_credentials", "services"]
    assert control.changes.counts(scope, types) == {"consumers": 1, "keyauth_credentials": 2, "services": 0}
    assert control.changes.counts(other, types) == {"consumers": 1, "keyauth_credentials": 0, "services": 0}
    clock.now += 61
    assert control.changes.counts(scope, types)["keyauth_credentials"] == 1
    assert control.changes.count(scope, "keyauth_credentials") == 1
    control.tidy_up()
    assert control.changes.count(scope, "keyauth_credentials") == 1


def test_several_are_those_that_one_by_one_would_be(control: Control, scope: Scope, other: Scope, actor: Actor) -> None:
    services = [control.changes.create(scope, actor, "services", {"name": f"s{n}", "host": "h"}) for n in range(3)]
    consumer = control.changes.create(scope, actor, "consumers", {"username": "alice"})
    wanted = {"services": [row["id"] for row in services] + [FOREIGN], "consumers": [consumer["id"]], "routes": []}
    found = control.changes.several(scope, wanted)
    assert found == {("services", row["id"]): row for row in services} | {("consumers", consumer["id"]): consumer}
    assert control.changes.several(other, wanted) == {}
    with pytest.raises(LimitExceeded):
        control.changes.several(scope, {"services": [str(n) for n in range(2000)]})


def test_nodes_are_tallied_by_control_plane(control: Control, scope: Scope, other: Scope, clock: Clock) -> None:
    for name in ("one", "two"):
        control.nodes.record_hello(scope, NodeHello(name, name, "192.0.2.1", "3.9.3"))
    clock.now += 100
    control.nodes.record_hello(scope, NodeHello("three", "three", "192.0.2.1", "3.9.3"))
    planes = [scope.control_plane_id, other.control_plane_id]
    found = control.nodes.tallies(scope.organization_id, planes, silent_s=60)
    assert found == {scope.control_plane_id: NodeTally(3, 1)}
    assert {node.id for node in control.nodes.several(scope, ["one", "three", "none"])} == {"one", "three"}
    assert control.nodes.several(other, ["one"]) == []
    assert control.nodes.tallies("another", planes, silent_s=60) == {}
