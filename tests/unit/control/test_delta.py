"""A delta leads from one export to another, byte for byte, and holds nothing that did not change."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Actor, Control, Export, ExportDelta, Operation, Scope
from twinplane.control.errors import ControlError, NotFound
from twinplane.hybrid.table import ConfigTable, split_rows
from twinplane.schema import SchemaViolation


def table(export: Export) -> ConfigTable:
    found = split_rows(export.json())
    assert found is not None
    return found


def rows(export: Export) -> dict[tuple[str, str], bytes]:
    return {(name, row.id): row.body for name, found in export.rows.items() for row in found}


def lead(control: Control, first: Export, second: Export) -> ExportDelta:
    """The delta between two exports, checked against them."""
    delta = control.export.delta(first.control_plane_id, first.epoch, first.revision, until=second.revision)
    assert delta is not None
    assert table(first).spliced(delta.changes, delta.order).text() == second.json()
    before, after = rows(first), rows(second)
    differing = {key for key in before | after if before.get(key) != after.get(key)}
    assert {(change.collection, change.id) for change in delta.changes} == differing
    assert len(delta.changes) == len(differing)
    return delta


class World:
    """Random changes of a control plane, through the door that every API goes through."""

    def __init__(self, control: Control, scope: Scope, actor: Actor, chooser: random.Random) -> None:
        self.control, self.scope, self.actor, self.chooser = control, scope, actor, chooser
        self.ids: dict[str, list[str]] = {}

    def step(self) -> None:
        """One change, or a batch; what is refused changes nothing."""
        try:
            if self.chooser.random() < 0.15:
                operations = [self._creation(name) for name in ("services", "consumers", "routes")]
                self.control.changes.apply(self.scope, self.actor, operations)
            else:
                self.chooser.choice(
                    [self._create, self._create, self._create, self._update, self._update, self._move, self._delete]
                )()
        except (ControlError, SchemaViolation):
            pass

    def export(self) -> Export:
        return self.control.export.payload(self.scope.control_plane_id)

    def _some(self, type_name: str) -> dict[str, str] | None:
        known = self.ids.get(type_name)
        return {"id": self.chooser.choice(known)} if known else None

    def _bodies(self) -> dict[str, Callable[[], dict[str, Any]]]:
        number = self.chooser.randrange(10**9)
        is_on = self.chooser.random() < 0.7
        return {
            "services": lambda: {"name": f"s{number}", "host": "h", "enabled": is_on},
            "routes": lambda: {"name": f"r{number}", "paths": [f"/{number}"], "service": self._some("services")},
            "upstreams": lambda: {"name": f"u{number}"},
            "targets": lambda: {"target": f"10.0.0.1:{number % 60000 + 1}", "upstream": self._some("upstreams")},
            "consumers": lambda: {"username": f"c{number}"},
            "keyauth_credentials": lambda: {"key": f"k{number}", "consumer": self._some("consumers")},
            "acls": lambda: {"group": f"g{number}", "consumer": self._some("consumers")},
            "consumer_groups": lambda: {"name": f"g{number}"},
            "plugins": lambda: {
                "name": self.chooser.choice(["key-auth", "cors", "correlation-id", "bot-detection"]),
                "enabled": is_on,
                **self.chooser.choice(
                    [
                        {"service": self._some("services")},
                        {"route": self._some("routes")},
                        {"route": self._some("routes"), "service": self._some("services")},
                        {"consumer_group": self._some("consumer_groups")},
                    ]
                ),
            },
        }

    def _creation(self, type_name: str) -> Operation:
        entity_id = str(uuid.UUID(int=self.chooser.getrandbits(128), version=4))
        self.ids.setdefault(type_name, []).append(entity_id)
        return Operation("upsert", type_name, entity_id, self._bodies()[type_name]())

    def _create(self) -> None:
        operation = self._creation(self.chooser.choice(list(self._bodies())))
        self.control.changes.apply(self.scope, self.actor, [operation])

    def _any(self) -> tuple[str, str]:
        type_name = self.chooser.choice(sorted(self.ids) or ["services"])
        return type_name, self.chooser.choice(self.ids.get(type_name) or [str(uuid.uuid4())])

    def _update(self) -> None:
        type_name, entity_id = self._any()
        patch: dict[str, Any] = {"tags": [f"t{self.chooser.randrange(99)}"]}
        if type_name in ("services", "plugins"):
            patch = {"enabled": self.chooser.random() < 0.5}
        self.control.changes.update(self.scope, self.actor, type_name, entity_id, patch)

    def _move(self) -> None:
        type_name, field, parent = self.chooser.choice(
            [("routes", "service", "services"), ("plugins", "route", "routes"), ("targets", "upstream", "upstreams")]
        )
        known = self.ids.get(type_name)
        if known:
            patch = {field: self._some(parent)}
            self.control.changes.update(self.scope, self.actor, type_name, self.chooser.choice(known), patch)

    def _delete(self) -> None:
        type_name, entity_id = self._any()
        self.control.changes.delete(self.scope, self.actor, type_name, entity_id)


@pytest.mark.parametrize("seed", range(6))
def test_a_delta_equals_the_difference_of_two_exports(control: Control, scope: Scope, actor: Actor, seed: int) -> None:
    chooser = random.Random(seed)
    world = World(control, scope, actor, chooser)
    exports = [world.export()]
    for _ in range(12):
        for _ in range(chooser.choice([0, 1, 2, 5, 20, 40])):
            world.step()
        exports.append(world.export())
    assert len(rows(exports[-1])) > 10
    for _ in range(30):
        first, second = sorted(chooser.sample(range(len(exports)), 2))
        lead(control, exports[first], exports[second])


def test_what_is_switched_off_leaves_with_all_that_stands_on_it_and_comes_back(
    control: Control, scope: Scope, actor: Actor
) -> None:
    changes = control.changes
    service = changes.create(scope, actor, "services", {"name": "s", "host": "h"})
    route = changes.create(scope, actor, "routes", {"name": "r", "paths": ["/"], "service": {"id": service["id"]}})
    plugin = changes.create(scope, actor, "plugins", {"name": "cors", "route": {"id": route["id"]}})
    on = control.export.payload(scope.control_plane_id)
    changes.update(scope, actor, "services", "s", {"enabled": False})
    off = control.export.payload(scope.control_plane_id)
    gone = {(change.collection, change.id): change.row for change in lead(control, on, off).changes}
    assert gone == {("services", service["id"]): None, ("routes", route["id"]): None, ("plugins", plugin["id"]): None}
    # What changes while it is off is not sent, and comes with the rest as it is then.
    changes.update(scope, actor, "plugins", plugin["id"], {"tags": ["new"]})
    assert lead(control, off, control.export.payload(scope.control_plane_id)).changes == []
    changes.update(scope, actor, "services", "s", {"enabled": True})
    back = control.export.payload(scope.control_plane_id)
    assert len(lead(control, off, back).changes) == 3
    assert len(lead(control, on, back).changes) == 1


def test_a_cascade_is_a_deletion_of_each(control: Control, scope: Scope, actor: Actor) -> None:
    changes = control.changes
    consumer = changes.create(scope, actor, "consumers", {"username": "alice"})
    for number in range(30):
        body = {"key": f"k{number}", "consumer": {"id": consumer["id"]}}
        changes.create(scope, actor, "keyauth_credentials", body)
    before = control.export.payload(scope.control_plane_id)
    changes.delete(scope, actor, "consumers", "alice")
    delta = lead(control, before, control.export.payload(scope.control_plane_id))
    assert [change.row for change in delta.changes] == [None] * 31


def test_two_thousand_missed_changes_are_no_case_of_their_own(control: Control, scope: Scope, actor: Actor) -> None:
    service = control.changes.create(scope, actor, "services", {"name": "s", "host": "h"})
    before = control.export.payload(scope.control_plane_id)
    for batch in range(40):
        control.changes.apply(
            scope,
            actor,
            [Operation("update", "services", service["id"], {"tags": [f"t{batch}-{number}"]}) for number in range(50)],
        )
    after = control.export.payload(scope.control_plane_id)
    assert after.revision == before.revision + 40
    assert len(lead(control, before, after).changes) == 1


def test_there_is_no_delta_without_its_history(control: Control, scope: Scope, actor: Actor, clock: Clock) -> None:
    plane = scope.control_plane_id
    control.changes.create(scope, actor, "services", {"name": "s", "host": "h"})
    at = control.export.payload(plane)
    assert control.export.delta(plane, at.epoch, at.revision + 1) is None
    assert control.export.delta(plane, at.epoch, 0, until=at.revision + 1) is None
    assert control.export.delta(plane, "1764000000000-aabbccdd", 0) is None
    with pytest.raises(NotFound):
        control.export.delta(str(uuid.uuid4()), at.epoch, 0)
    found = control.export.delta(plane, at.epoch, at.revision)
    assert found is not None
    assert (found.base, found.revision, list(found.changes)) == (at.revision, at.revision, [])


def test_too_many_changes_are_sent_whole(control: Control, scope: Scope, actor: Actor) -> None:
    plane = scope.control_plane_id
    at = control.export.payload(plane)
    limited = type(control.export)(control._database, type(control.settings)(delta_changes_max=5))
    for number in range(5):
        control.changes.create(scope, actor, "services", {"name": f"s{number}", "host": "h"})
    assert limited.delta(plane, at.epoch, at.revision) is not None
    control.changes.create(scope, actor, "services", {"name": "more", "host": "h"})
    assert limited.delta(plane, at.epoch, at.revision) is None


def test_forgotten_changes_lead_nowhere(control: Control, scope: Scope, actor: Actor, clock: Clock) -> None:
    plane = scope.control_plane_id
    control.changes.create(scope, actor, "services", {"name": "old", "host": "h"})
    old = control.export.payload(plane)
    clock.now += 10 * 86_400
    control.changes.create(scope, actor, "services", {"name": "new", "host": "h"})
    publishing = control.publishing
    assert publishing.forget_changes() == 0
    forgetful = type(publishing)(control._database, type(control.settings)(change_retention_days=7), clock)
    assert forgetful.forget_changes() == old.revision
    assert forgetful.forgotten_total == old.revision
    assert forgetful.forget_changes() == 0
    assert control.export.delta(plane, old.epoch, old.revision - 1) is None
    assert control.export.delta(plane, old.epoch, old.revision) is not None
    assert [change.entity_id for change in control.history.list(scope)] == [
        control.changes.get(scope, "services", "new")["id"]
    ]
