"""Entities of one configuration: found as those of a store are, and read back to the same."""

from __future__ import annotations

from typing import Any

import pytest

from twinplane.control import Actor, Parent
from twinplane.control.declarative import load
from twinplane.control.declarative.entities import DeclaredEntities
from twinplane.control.declarative.room import DeclaredRoom
from twinplane.control.errors import InvalidKey, NotFound, WithoutStore
from twinplane.schema import SchemaViolation

NOW = 1_800_000_000.0
ACTOR = Actor("admin-api", "admin-api", "test")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def room_of(document: dict[str, Any], clock: Clock | None = None) -> DeclaredRoom:
    declared = load({"_format_version": "3.0", **document}, now=NOW)
    return DeclaredRoom(DeclaredEntities(declared.rows), clock or Clock())


def services(*tags: list[str]) -> dict[str, Any]:
    return {"services": [{"name": f"s{at}", "host": "h.test", "tags": each} for at, each in enumerate(tags)]}


def test_pages_follow_one_another_and_end() -> None:
    room = room_of({"services": [{"name": f"s{number}", "host": "h.test"} for number in range(25)]})
    seen: list[str] = []
    offset = None
    while True:
        page = room.page(room.scope, "services", size=10, offset=offset)
        seen += [row["id"] for row in page.rows]
        offset = page.offset
        if offset is None:
            break
    assert (len(seen), seen) == (25, sorted(set(seen)))
    assert room.page(room.scope, "services", offset="nonsense").rows == []


@pytest.mark.parametrize(
    ("tags", "found"), [("a", "012"), ("a,b", "02"), ("b/c", "0123"), ("none", ""), ("c,none", "")]
)
def test_tags_are_asked_for_all_at_once_or_each(tags: str, found: str) -> None:
    room = room_of(services(["a", "b"], ["a", "c"], ["b", "a"], ["c"]))
    page = room.page(room.scope, "services", tags=tags)
    assert sorted(row["name"] for row in page.rows) == [f"s{number}" for number in found]


def test_each_tag_of_each_entity_is_listed_once() -> None:
    room = room_of(services(["a", "b"], ["a"]))
    seen: list[tuple[str, str]] = []
    offset = None
    while True:
        page = room.tags(room.scope, size=1, offset=offset)
        seen += [(row["tag"], row["entity_id"]) for row in page.rows]
        offset = page.offset
        if offset is None:
            break
    assert (len(seen), len(set(seen))) == (3, 3)
    assert {row["tag"] for row in room.tags(room.scope, "a").rows} == {"a"}
    with pytest.raises(InvalidKey):
        room.tags(room.scope, "")


def test_what_is_nested_is_found_under_its_parent_alone() -> None:
    consumers = [{"username": name, "acls": [{"group": "g"}]} for name in ("alice", "bob")]
    room = room_of({"consumers": consumers})
    own = room.get(room.scope, "acls", "g", parent=Parent("consumers", "alice"))
    assert own["consumer"] == {"id": room.get(room.scope, "consumers", "alice")["id"]}
    for key, parent in ((own["id"], "bob"), ("g", "carol"), ("other", "alice")):
        with pytest.raises(NotFound):
            room.get(room.scope, "acls", key, parent=Parent("consumers", parent))


def test_what_has_expired_is_not_there() -> None:
    clock = Clock()
    room = room_of({"consumers": [{"username": "c", "keyauth_credentials": [{"key": "k", "ttl": 10}]}]}, clock)
    assert [row["ttl"] for row in room.page(room.scope, "keyauth_credentials").rows] == [10]
    clock.now += 11
    assert room.page(room.scope, "keyauth_credentials").rows == []
    assert "keyauth_credentials" not in room.entities.document(now=clock.now)


def test_a_document_reads_back_to_the_same() -> None:
    document = {
        "consumers": [{"custom_id": "x", "keyauth_credentials": [{"key": "k"}]}],
        "services": [
            {"host": "h.test", "enabled": False, "routes": [{"paths": ["/a"], "plugins": [{"name": "cors"}]}]}
        ],
    }
    room = room_of(document)
    written = room.entities.document(now=NOW)
    again = DeclaredEntities(load(written, now=NOW + 100).rows)
    assert again.document(now=NOW) == written
    assert len(written["services"]) == 1, "what is switched off is kept, too"


def test_writes_are_checked_and_then_refused() -> None:
    room = room_of(services([]))
    scope = room.scope
    with pytest.raises(SchemaViolation):
        room.create(scope, ACTOR, "services", {"port": "x"})
    with pytest.raises(WithoutStore) as refused:
        room.upsert(scope, ACTOR, "services", "s9", {"host": "h"})
    assert (refused.value.doing, refused.value.by) == ("create or update", "name")
    with pytest.raises(WithoutStore):
        room.update(scope, ACTOR, "services", "s0", {"retries": 1})
    with pytest.raises(SchemaViolation):
        room.update(scope, ACTOR, "services", "s0", {"retries": -1})
    with pytest.raises(NotFound):
        room.update(scope, ACTOR, "services", "s9", {"retries": 1})
    with pytest.raises(WithoutStore):
        room.delete(scope, ACTOR, "services", "s0")
    assert room.delete(scope, ACTOR, "services", "s9") is False
