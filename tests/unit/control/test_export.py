"""Promises of the payload that nodes are sent."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.unit.control.conftest import Clock
from tests.unit.control.pem import make_pair

from twinplane.control import Actor, Control, Operation, Parent, Scope
from twinplane.control.errors import ForeignKeyViolation, NotFound
from twinplane.hybrid.hashing import config_hash


def _entities() -> list[tuple[str, dict[str, Any]]]:
    """Something of most types, with fixed ids and times."""
    cert, key = make_pair()

    def at(number: int) -> dict[str, Any]:
        return {"id": f"00000000-0000-4000-8000-0000000001{number:02d}", "created_at": 1_700_000_000}

    def to(number: int) -> dict[str, str]:
        return {"id": str(at(number)["id"])}

    return [
        ("certificates", {**at(1), "cert": cert, "key": key}),
        ("services", {**at(2), "name": "orders", "host": "h", "protocol": "https", "client_certificate": to(1)}),
        ("routes", {**at(3), "name": "r", "paths": ["/a"], "service": to(2)}),
        ("consumers", {**at(4), "username": "alice"}),
        ("keyauth_credentials", {**at(5), "key": "k", "consumer": to(4)}),
        ("plugins", {**at(6), "name": "key-auth", "route": to(3)}),
        ("upstreams", {**at(7), "name": "pool"}),
        ("targets", {**at(8), "target": "10.0.0.1:80", "upstream": to(7)}),
        ("snis", {**at(9), "name": "a.test", "certificate": to(1)}),
    ]


def _fill(control: Control, scope: Scope, actor: Actor) -> None:
    for type_name, body in _entities():
        control.changes.create(scope, actor, type_name, body)


def test_an_empty_control_plane_sends_what_makes_a_node_ready(control: Control, scope: Scope) -> None:
    table = control.export.payload(scope.control_plane_id).config_table
    assert list(table) == ["_format_version", "_transform", "parameters", "workspaces"]
    assert (table["_format_version"], table["_transform"]) == ("3.0", False)
    assert table["parameters"] == [{"key": "cluster_id", "value": scope.control_plane_id, "created_at": None}]
    (workspace,) = table["workspaces"]
    assert (workspace["name"], workspace["id"]) == ("default", "0dc6f45b-8f8d-40d2-a504-473544ee190b")


def test_rows_are_flat_with_bare_ids_and_every_field(control: Control, scope: Scope, actor: Actor) -> None:
    _fill(control, scope, actor)
    table = control.export.payload(scope.control_plane_id).config_table
    given = dict(_entities())
    assert set(given) < set(table)
    for type_name, body in given.items():
        (row,) = table[type_name]
        for field, value in body.items():
            assert row[field] == (value["id"] if isinstance(value, dict) else value)
    assert table["routes"][0]["methods"] is None
    assert table["keyauth_credentials"][0]["ttl"] is None
    assert "ws_id" not in table["services"][0]


def test_parents_come_before_children(control: Control, scope: Scope, actor: Actor) -> None:
    _fill(control, scope, actor)
    order = list(control.export.payload(scope.control_plane_id).config_table)
    for parent, child in [
        ("certificates", "services"),
        ("services", "routes"),
        ("routes", "plugins"),
        ("consumers", "keyauth_credentials"),
        ("upstreams", "targets"),
        ("certificates", "snis"),
    ]:
        assert order.index(parent) < order.index(child)


def test_the_same_entities_give_the_same_bytes_in_any_order(
    control: Control, scope: Scope, actor: Actor, tmp_path: Path, clock: Clock
) -> None:
    _fill(control, scope, actor)
    first = control.export.payload(scope.control_plane_id)
    second_control = Control.open(tmp_path / "second", config_hash=config_hash, clock=clock)
    plane = second_control.control_planes.default(second_control.organizations.first().id, "us")
    shuffled = [(type_name, body) for type_name, body in _entities() if type_name == "certificates"]
    rest = [(type_name, body) for type_name, body in _entities() if type_name != "certificates"]
    random.Random(7).shuffle(rest)
    waiting = shuffled + rest
    while waiting:
        type_name, body = waiting.pop(0)
        fields = list(body.items())
        random.Random(8).shuffle(fields)
        try:
            second_control.changes.create(plane.scope, actor, type_name, dict(fields))
        except ForeignKeyViolation:
            # Its parent comes later.
            waiting.append((type_name, body))
    second = second_control.export.payload(plane.id)
    for type_name, rows in first.rows.items():
        if type_name != "parameters":
            assert [row.body for row in rows] == [row.body for row in second.rows[type_name]]
    second_control.close()


def test_the_joined_bytes_are_the_table(control: Control, scope: Scope, actor: Actor) -> None:
    _fill(control, scope, actor)
    export = control.export.payload(scope.control_plane_id)
    assert json.loads(export.json()) == export.config_table
    for row in export.rows["services"]:
        assert row.body == json.dumps(json.loads(row.body), sort_keys=True, separators=(",", ":")).encode()


def test_what_is_switched_off_is_left_out_with_what_stands_on_it(control: Control, scope: Scope, actor: Actor) -> None:
    _fill(control, scope, actor)
    control.changes.create(scope, actor, "services", {"name": "other", "host": "h"})
    control.changes.create(scope, actor, "plugins", {"name": "cors", "enabled": False})
    control.changes.create(
        scope, actor, "plugins", {"name": "acl", "config": {"allow": ["x"]}}, parent=Parent("services", "orders")
    )
    control.changes.update(scope, actor, "services", "orders", {"enabled": False})
    table = control.export.payload(scope.control_plane_id).config_table
    assert [row["name"] for row in table["services"]] == ["other"]
    assert "routes" not in table
    assert "plugins" not in table
    control.changes.update(scope, actor, "services", "orders", {"enabled": True})
    table = control.export.payload(scope.control_plane_id).config_table
    assert len(table["services"]) == 2
    assert {row["name"] for row in table["plugins"]} == {"key-auth", "acl"}


def test_what_names_something_that_is_not_sent_is_left_out(control: Control, scope: Scope, actor: Actor) -> None:
    """A limit for one group of consumers must not become one for everybody."""
    group = control.changes.create(scope, actor, "consumer_groups", {"name": "gold"})
    limit = {"name": "rate-limiting", "config": {"minute": 1}, "consumer_group": {"id": group["id"]}}
    control.changes.create(scope, actor, "plugins", limit)
    control.changes.create(scope, actor, "plugins", {"name": "cors"})
    table = control.export.payload(scope.control_plane_id).config_table
    assert "consumer_groups" not in table
    assert [row["name"] for row in table["plugins"]] == ["cors"]
    everything = control.export.payload(scope.control_plane_id, all_types=True).config_table
    assert everything["consumer_groups"][0]["name"] == "gold"
    assert {row["name"] for row in everything["plugins"]} == {"cors", "rate-limiting"}


def test_an_export_covers_every_write_before_it(control: Control, scope: Scope, actor: Actor) -> None:
    hashes = set()
    for number in range(5):
        control.changes.create(scope, actor, "services", {"name": f"s{number}", "host": "h"})
        export = control.export.payload(scope.control_plane_id)
        assert len(export.rows["services"]) == number + 1
        expected = control.nodes.expected_hash(scope)
        assert expected.hash == config_hash(export.config_table)
        hashes.add(expected.hash)
    assert len(hashes) == 5


def test_a_batch_is_exported_whole_or_not_at_all(control: Control, scope: Scope, actor: Actor) -> None:
    sizes = set()
    control.versions.subscribe(
        lambda plane, _revision: sizes.add(len(control.export.payload(plane).rows.get("services", ())))
    )
    for batch in range(3):
        control.changes.apply(
            scope,
            actor,
            [Operation("create", "services", body={"name": f"s{batch}-{n}", "host": "h"}) for n in range(10)],
        )
    assert sizes == {10, 20, 30}


def test_a_control_plane_that_is_not_there_has_no_payload(control: Control) -> None:
    with pytest.raises(NotFound):
        control.export.payload("00000000-0000-4000-8000-000000000999")


def test_an_epoch_outlives_a_start(control: Control, scope: Scope, tmp_path: Path, clock: Clock) -> None:
    first = control.export.payload(scope.control_plane_id)
    control.close()
    clock.now += 86_400
    again = Control.open(tmp_path, config_hash=config_hash, clock=clock)
    second = again.export.payload(scope.control_plane_id)
    again.close()
    assert (first.epoch, first.revision) == (second.epoch, second.revision)
    assert first.json() == second.json()
