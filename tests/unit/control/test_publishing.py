"""A store keeps its epoch; a new one begins where a node shows that history was lost, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.control.conftest import START, Clock

from twinplane.control import Actor, Control, ControlPlane, Scope
from twinplane.control.epoch import began_at_ms, is_outdated, new_epoch
from twinplane.hybrid.hashing import config_hash


def test_an_epoch_is_later_than_the_one_before_whatever_the_clock_says() -> None:
    first = new_epoch(START)
    assert began_at_ms(first) == int(START * 1000)
    assert new_epoch(START - 1000, after=first) > first
    assert new_epoch(START, after="of another form") > "0"


@pytest.mark.parametrize(
    ("one", "than", "expected"),
    [
        (("1764000000000-aabbccdd", 4), ("1764000000000-aabbccdd", 5), True),
        (("1764000000000-aabbccdd", 5), ("1764000000000-aabbccdd", 5), False),
        (("1764000000000-aabbccdd", 9), ("1764000000001-aabbccdd", 5), True),
        (("1764000000001-aabbccdd", 1), ("1764000000000-aabbccdd", 5), False),
        (("e", 1), ("f", 5), False),
        (("1764000000000-aabbccdd", None), ("1764000000001-aabbccdd", 5), False),
        ((None, 1), ("1764000000001-aabbccdd", 5), False),
    ],
)
def test_what_came_before(one: tuple[str, int], than: tuple[str, int], expected: bool) -> None:
    assert is_outdated(*one, *than) is expected


def test_several_processes_on_one_store_share_its_epoch(control: Control, scope: Scope, tmp_path: Path) -> None:
    other = Control.open(tmp_path, config_hash=config_hash)
    assert other.export.position(scope.control_plane_id) == control.export.position(scope.control_plane_id)
    other.close()


def test_a_node_that_is_ahead_begins_an_epoch(control: Control, scope: Scope, actor: Actor, clock: Clock) -> None:
    control.changes.create(scope, actor, "services", {"name": "s", "host": "h"})
    plane = scope.control_plane_id
    position = control.export.position(plane)
    assert position is not None
    epoch, revision = position
    assert not control.publishing.renew_epoch(plane, epoch=epoch, revision=revision)
    assert control.publishing.renew_epoch(plane, epoch=epoch, revision=revision + 1)
    renewed = control.export.position(plane)
    assert renewed is not None
    assert renewed > (epoch, revision)
    assert renewed[1] == revision
    assert control.export.payload(plane).epoch == renewed[0]
    # The old one is over: a node of it is no reason for another.
    clock.now += 60
    assert not control.publishing.renew_epoch(plane, epoch=epoch, revision=revision + 5)
    assert control.export.delta(plane, epoch, revision) is None
    assert control.publishing.renewed_total == 1


def test_other_control_planes_keep_their_epoch(control: Control, scope: Scope) -> None:
    other = control.control_planes.default(scope.organization_id, "eu")
    before = control.export.position(other.id)
    assert control.publishing.renew_epoch(scope.control_plane_id, epoch=control.epoch, revision=99)
    assert control.export.position(other.id) == before


def test_a_node_of_another_store_that_is_younger_begins_an_epoch(control: Control, scope: Scope) -> None:
    theirs = new_epoch(START + 3600)
    assert control.publishing.renew_epoch(scope.control_plane_id, epoch=theirs, revision=7)
    position = control.export.position(scope.control_plane_id)
    assert position is not None
    assert position[0] > theirs


def test_a_node_is_not_trusted_with_more(control: Control, scope: Scope, plane: ControlPlane, clock: Clock) -> None:
    far = new_epoch(START + 400 * 86_400)
    assert not control.publishing.renew_epoch(plane.id, epoch=far, revision=7)
    assert not control.publishing.renew_epoch(plane.id, epoch="of another form", revision=10**9)
    assert not control.publishing.renew_epoch("00000000-0000-4000-8000-000000000999", epoch=control.epoch, revision=9)
    assert control.publishing.renew_epoch(plane.id, epoch=control.epoch, revision=10**9)
    for _ in range(3):
        position = control.export.position(plane.id)
        assert position is not None
        # Once in a while only.
        assert not control.publishing.renew_epoch(plane.id, epoch=position[0], revision=10**9)
    clock.now += 11
    assert control.publishing.renew_epoch(plane.id, epoch=position[0], revision=10**9)
