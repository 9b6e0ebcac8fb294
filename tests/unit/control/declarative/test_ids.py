"""Promises of the ids that a document does not give. The literal ids were seen on a real node."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from twinplane.control.declarative.ids import entity_id
from twinplane.registry import entity_type


@pytest.mark.parametrize(
    ("type_name", "body", "references", "expected"),
    [
        ("services", {"name": "decl"}, {}, "506e0bbd-2b06-5e7f-8c4e-f1e7a82051a2"),
        ("consumers", {"username": "bob"}, {}, "def4f7d3-9863-5ad2-8fa9-c949bf26f55e"),
        ("consumers", {"username": "al"}, {}, "903e8bdd-d6d4-559a-ba88-944560885504"),
        ("plugins", {"name": "response-transformer"}, {}, "411cf25d-575b-5699-9d97-c34d0072f173"),
    ],
)
def test_ids_are_those_of_a_real_node(
    type_name: str, body: dict[str, Any], references: dict[str, str], expected: str
) -> None:
    assert entity_id(entity_type(type_name), body, references) == expected


def test_what_has_no_name_gets_a_random_id() -> None:
    for type_name, body in [
        ("services", {"host": "h"}),
        ("consumers", {"custom_id": "c"}),
        ("routes", {"paths": ["/a"]}),
        ("keyauth_credentials", {"key": "k"}),
    ]:
        entity = entity_type(type_name)
        ids = {entity_id(entity, body, {}) for _ in range(3)}
        assert len(ids) == 3
        assert {uuid.UUID(one).version for one in ids} == {4}


def test_children_are_told_apart_by_their_parents() -> None:
    groups = entity_type("acls")
    one = entity_id(groups, {"group": "g"}, {"consumer": "a"})
    other = entity_id(groups, {"group": "g"}, {"consumer": "b"})
    assert one != other
    assert one == entity_id(groups, {"group": "g"}, {"consumer": "a"})
    targets = entity_type("targets")
    assert entity_id(targets, {"target": "t:1"}, {"upstream": "a"}) != entity_id(
        targets, {"target": "t:1"}, {"upstream": "b"}
    )
