"""Promises of what the platform knows about its nodes."""

from __future__ import annotations

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Actor, Control, ControlPlane, NodeHello, NodeIssue, Scope
from twinplane.control.errors import NotFound
from twinplane.control.nodes import FULLY_COMPATIBLE, INCOMPATIBLE, UNKNOWN
from twinplane.hybrid.hashing import config_hash

NODE = "0c9a7d8e-2f51-4a38-8a55-0d4f6a1d7b01"
HASH = "e287bdd83a30b3c83c498e6e524f619b"


def _hello(version: str = "3.9.3", node_id: str = NODE) -> NodeHello:
    return NodeHello(id=node_id, hostname="dp-1", ip="10.0.0.1", version=version, labels={"env": "test"})


def test_a_node_is_known_by_what_it_says(control: Control, scope: Scope, clock: Clock) -> None:
    node = control.nodes.record_hello(scope, _hello())
    assert (node.hostname, node.labels, node.compatibility_state) == ("dp-1", {"env": "test"}, UNKNOWN)
    clock.now += 30
    control.nodes.record_ping(scope, NODE, config_hash=HASH, revision=7, epoch="e")
    control.nodes.record_sync_status(scope, NODE, "normal")
    node = control.nodes.get(scope, NODE)
    assert (node.config_hash, node.revision, node.epoch, node.last_ping) == (HASH, 7, "e", clock.now)
    assert (node.compatibility_state, node.sync_status) == (FULLY_COMPATIBLE, "normal")
    assert list(control.nodes.list(scope)) == [node]


def test_a_returning_node_keeps_its_row_and_hash(control: Control, scope: Scope, clock: Clock) -> None:
    first = control.nodes.record_hello(scope, _hello())
    control.nodes.record_ping(scope, NODE, config_hash=HASH)
    clock.now += 100
    again = control.nodes.record_hello(scope, _hello("3.9.4"))
    assert (again.created_at, again.version, again.config_hash) == (first.created_at, "3.9.4", HASH)


def test_issues_make_a_node_incompatible_until_they_are_gone(control: Control, scope: Scope) -> None:
    control.nodes.record_hello(scope, _hello())
    control.nodes.record_ping(scope, NODE, config_hash=HASH)
    issue = NodeIssue("plugin_not_implemented", "warning", "cannot run", affected_resources=[{"id": "p"}])
    control.nodes.record_issues(scope, NODE, [issue])
    node = control.nodes.get(scope, NODE)
    assert (node.compatibility_state, list(node.issues)) == (INCOMPATIBLE, [issue])
    control.nodes.record_issues(scope, NODE, [])
    assert control.nodes.get(scope, NODE).compatibility_state == FULLY_COMPATIBLE
    control.nodes.record_sync_status(scope, NODE, "plugin_set_incompatible")
    assert control.nodes.get(scope, NODE).compatibility_state == INCOMPATIBLE


def test_a_node_of_another_control_plane_is_not_there(control: Control, scope: Scope, actor: Actor) -> None:
    control.nodes.record_hello(scope, _hello())
    organization = control.organizations.first().id
    other: ControlPlane = control.control_planes.create(organization, "us", actor, {"name": "other"})
    with pytest.raises(NotFound):
        control.nodes.get(other.scope, NODE)
    with pytest.raises(NotFound):
        control.nodes.record_ping(other.scope, NODE, config_hash=HASH)
    assert not control.nodes.delete(other.scope, NODE)


def test_silent_nodes_are_forgotten(control: Control, scope: Scope, clock: Clock) -> None:
    control.nodes.record_hello(scope, _hello())
    clock.now += 14 * 86_400
    assert control.nodes.list(scope) == []
    with pytest.raises(NotFound):
        control.nodes.get(scope, NODE)
    control.tidy_up()
    assert control.nodes.purge() == 0


def test_a_forgotten_node_may_come_back(control: Control, scope: Scope) -> None:
    control.nodes.record_hello(scope, _hello())
    assert control.nodes.delete(scope, NODE)
    assert not control.nodes.delete(scope, NODE)
    control.nodes.record_hello(scope, _hello())
    assert control.nodes.get(scope, NODE).id == NODE


def test_old_versions_are_named(control: Control, scope: Scope) -> None:
    control.nodes.record_hello(scope, _hello())
    control.nodes.record_hello(scope, _hello("2.8.4.1", "0c9a7d8e-2f51-4a38-8a55-0d4f6a1d7b02"))
    assert [node.node_version for node in control.nodes.at_end_of_life(scope)] == ["2.8.4.1"]


def test_the_expected_hash_is_that_of_the_payload(control: Control, scope: Scope, clock: Clock) -> None:
    expected = control.nodes.expected_hash(scope)
    assert expected.hash == config_hash(control.export.payload(scope.control_plane_id).config_table)
    clock.now += 60
    assert control.nodes.expected_hash(scope) == expected
