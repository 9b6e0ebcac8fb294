"""Whatever a body holds, it becomes a whole row or a violation with a message; nothing else is ever raised."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from twinplane.registry import EntityType, entity_type, entity_types, plugin_types, route_type
from twinplane.schema import Field, SchemaViolation, Shape

ROUNDS = 40
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e20, float("inf"), "", "x", "/a", "~/a(", "a b", "ü" * 300, "{vault://env/x}"),
    *([], ["x"], [5], [None], [[]], [{}], {}, {"a": 1}, {"id": "x"}, {"id": None}, {"k": ["v"]}, {"k": None}),
]


def body_for(shape: Shape, chance: random.Random, depth: int = 0) -> dict[str, Any]:
    names = [name for name in shape.fields if chance.random() < 0.5]
    body = {name: value_for(shape.fields[name], chance, depth) for name in names}
    body |= {name: chance.choice(ODD) for name in shape.shorthands if chance.random() < 0.2}
    return body | ({"nosuch": 1} if chance.random() < 0.1 else {})


def value_for(field: Field, chance: random.Random, depth: int) -> Any:
    if field.record is not None and chance.random() < 0.7 and depth < 4:
        return body_for(field.record, chance, depth + 1)
    if field.elements is not None and field.elements.record is not None and chance.random() < 0.7:
        return [body_for(field.elements.record, chance, depth + 1) for _ in range(chance.randint(0, 2))]
    allowed = [value for rule in field.rules for value in rule.served().get("one_of", [])]
    return chance.choice(allowed if allowed and chance.random() < 0.6 else ODD)


def tried(kind: EntityType, body: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        row = kind.prepare_insert(body, now=1.0)
        assert row.keys() == kind.fields.keys()
        kind.answer(row)
        kind.prepare_replace(body, existing=row, now=2.0)
        kind.prepare_update(change, existing=row, now=2.0)
    except SchemaViolation as violation:
        json.dumps([violation.message(), violation.errors])


@pytest.mark.parametrize("name", entity_types())
def test_bodies_of_entities(name: str) -> None:
    chance = random.Random(name)
    for _ in range(ROUNDS):
        shape = entity_type(name).shape
        tried(entity_type(name), body_for(shape, chance), body_for(shape, chance))


def test_bodies_of_expression_routes() -> None:
    chance = random.Random(1)
    kind = route_type("expressions")
    for _ in range(ROUNDS * 4):
        tried(kind, body_for(kind.shape, chance), body_for(kind.shape, chance))


@pytest.mark.parametrize("name", plugin_types())
def test_configurations_of_plugins(name: str) -> None:
    chance = random.Random(name)
    config = plugin_types()[name].config
    for _ in range(ROUNDS):
        body = {"name": name, "config": body_for(config, chance)}
        tried(entity_type("plugins"), body, {"config": body_for(config, chance)})
