"""Promises of entity writes, as clients of a real node know them."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.control.conftest import Clock
from tests.unit.control.pem import make_authority, make_pair

from twinplane.control import Actor, Control, ControlPlane, Operation, Parent, Row, Scope
from twinplane.control.errors import (
    BatchRefused,
    ForeignKeysUnresolved,
    ForeignKeyViolation,
    InvalidKey,
    InvalidPrimaryKey,
    LimitExceeded,
    NotFound,
    PrimaryKeyViolation,
    ReferencedViolation,
    StillReferenced,
    UniqueViolation,
    UnknownType,
)
from twinplane.schema import SchemaViolation

ID_A = "00000000-0000-4000-8000-00000000000a"
ID_B = "00000000-0000-4000-8000-00000000000b"
ABSENT = "00000000-0000-4000-8000-000000000999"

Create = Callable[..., Row]


@pytest.fixture
def create(control: Control, scope: Scope, actor: Actor) -> Create:
    def make(type_name: str, body: dict[str, Any], parent: Parent | None = None) -> Row:
        return control.changes.create(scope, actor, type_name, body, parent=parent)

    return make


def test_a_created_entity_is_read_back_by_id_and_by_name(control: Control, scope: Scope, create: Create) -> None:
    row = create("services", {"name": "orders", "host": "orders.test", "tags": ["a"]})
    assert row["port"] == 80
    assert control.changes.get(scope, "services", row["id"]) == row
    assert control.changes.get(scope, "services", row["id"].upper()) == row
    assert control.changes.get(scope, "services", "orders") == row


def test_a_given_id_is_kept(control: Control, scope: Scope, create: Create) -> None:
    assert create("services", {"id": ID_A, "host": "h"})["id"] == ID_A
    with pytest.raises(PrimaryKeyViolation) as refusal:
        create("services", {"id": ID_A, "host": "h"})
    assert refusal.value.key == {"id": ID_A}
    with pytest.raises(PrimaryKeyViolation):
        create("services", {"id": None, "host": "h"})


def test_a_duplicate_id_of_a_key_tells_the_key(control: Control, create: Create) -> None:
    create("consumers", {"username": "alice"})
    alice = Parent("consumers", "alice")
    create("keyauth_credentials", {"id": ID_A, "key": "one"}, alice)
    with pytest.raises(UniqueViolation) as refusal:
        create("keyauth_credentials", {"id": ID_A, "key": "two"}, alice)
    assert refusal.value.fields == {"key": "two"}


def test_a_name_is_held_once(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    create("services", {"name": "orders", "host": "h"})
    with pytest.raises(UniqueViolation) as refusal:
        create("services", {"name": "orders", "host": "h"})
    assert refusal.value.fields == {"name": "orders"}
    create("routes", {"name": "orders", "paths": ["/orders"]})
    with pytest.raises(UniqueViolation):
        control.changes.upsert(scope, actor, "services", ID_B, {"name": "orders", "host": "h"})
    other = create("services", {"name": "other", "host": "h"})
    with pytest.raises(UniqueViolation):
        control.changes.update(scope, actor, "services", other["id"], {"name": "orders"})
    assert control.changes.get(scope, "services", "other") == other


def test_a_name_given_up_is_free(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    create("services", {"name": "orders", "host": "h"})
    control.changes.update(scope, actor, "services", "orders", {"name": "sales"})
    create("services", {"name": "orders", "host": "h"})
    control.changes.delete(scope, actor, "services", "sales")
    create("services", {"name": "sales", "host": "h"})


def test_very_long_values_are_unique_too(create: Create) -> None:
    create("consumers", {"username": "u" * 100_000})
    with pytest.raises(UniqueViolation):
        create("consumers", {"username": "u" * 100_000})
    create("consumers", {"username": "u" * 99_999})


def test_sets_of_fields_are_unique_together(create: Create) -> None:
    create("consumers", {"username": "alice"})
    create("consumers", {"username": "bob"})
    row = create("acls", {"group": "staff"}, Parent("consumers", "alice"))
    create("acls", {"group": "staff"}, Parent("consumers", "bob"))
    with pytest.raises(UniqueViolation) as refusal:
        create("acls", {"group": "staff"}, Parent("consumers", "alice"))
    assert refusal.value.fields == {"consumer": row["consumer"], "group": "staff"}


def test_a_plugin_stands_once_in_each_scope(create: Create) -> None:
    create("services", {"name": "orders", "host": "h"})
    create("plugins", {"name": "cors"})
    create("plugins", {"name": "cors", "service": {"name": "orders"}})
    with pytest.raises(UniqueViolation) as refusal:
        create("plugins", {"name": "cors"})
    assert refusal.value.fields == {"name": "cors", "route": None, "service": None, "consumer": None}


def test_every_schema_violation_is_told(create: Create) -> None:
    with pytest.raises(SchemaViolation) as refusal:
        create("services", {"surprise": 1, "port": "x"})
    assert set(refusal.value.errors) == {"surprise", "port", "host"}


def test_references_go_by_id_or_by_name(create: Create) -> None:
    service = create("services", {"name": "orders", "host": "h"})
    by_id = create("routes", {"paths": ["/a"], "service": {"id": service["id"]}})
    by_name = create("routes", {"paths": ["/b"], "service": {"name": "orders"}})
    assert by_id["service"] == by_name["service"] == {"id": service["id"]}


def test_references_to_nothing_are_refused(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    with pytest.raises(ForeignKeyViolation) as violation:
        create("routes", {"paths": ["/a"], "service": {"id": ABSENT}})
    assert (violation.value.field, violation.value.target) == ("service", "services")
    assert violation.value.key == {"id": ABSENT}
    with pytest.raises(ForeignKeysUnresolved) as unresolved:
        create("plugins", {"name": "cors", "service": {"name": "nope"}, "route": {"name": "nope"}})
    assert unresolved.value.references == {
        "service": ("name", "nope", "services"),
        "route": ("name", "nope", "routes"),
    }
    route = create("routes", {"name": "r", "paths": ["/a"]})
    with pytest.raises(ForeignKeyViolation):
        control.changes.update(scope, actor, "routes", "r", {"service": {"id": ABSENT}})
    assert control.changes.get(scope, "routes", "r") == route


def test_a_service_in_use_stays(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    create("services", {"name": "orders", "host": "h"})
    create("routes", {"name": "r", "paths": ["/a"]}, Parent("services", "orders"))
    with pytest.raises(ReferencedViolation) as refusal:
        control.changes.delete(scope, actor, "services", "orders")
    assert (refusal.value.type_name, refusal.value.by) == ("services", "routes")
    control.changes.delete(scope, actor, "routes", "r")
    assert control.changes.delete(scope, actor, "services", "orders")
    assert not control.changes.delete(scope, actor, "services", "orders")


def test_a_consumer_takes_its_credentials_and_plugins_along(
    create: Create, control: Control, scope: Scope, actor: Actor
) -> None:
    create("consumers", {"username": "alice"})
    alice = Parent("consumers", "alice")
    create("keyauth_credentials", {"key": "k"}, alice)
    create("basicauth_credentials", {"username": "u", "password": "p"}, alice)
    create("acls", {"group": "g"}, alice)
    create("plugins", {"name": "ip-restriction", "config": {"allow": ["1.1.1.1"]}}, alice)
    assert control.changes.delete(scope, actor, "consumers", "alice")
    for type_name in ("keyauth_credentials", "basicauth_credentials", "acls", "plugins", "consumers"):
        assert control.changes.page(scope, type_name).rows == []
    changes = control.history.list(scope, size=5)
    assert len({change.revision for change in changes}) == 1
    assert next(change.type_name for change in changes) == "consumers"
    assert {change.operation for change in changes} == {"delete"}


def test_put_creates_with_the_given_id_and_replaces(
    create: Create, control: Control, scope: Scope, actor: Actor
) -> None:
    made = control.changes.upsert(scope, actor, "services", ID_A, {"name": "orders", "host": "h", "retries": 7})
    assert made["id"] == ID_A
    replaced = control.changes.upsert(scope, actor, "services", ID_A, {"id": ID_B, "host": "other"})
    assert (replaced["id"], replaced["name"], replaced["retries"]) == (ID_A, None, 5)
    assert len(control.changes.page(scope, "services").rows) == 1


def test_put_by_name_keeps_the_name_of_the_path(control: Control, scope: Scope, actor: Actor) -> None:
    made = control.changes.upsert(scope, actor, "services", "orders", {"id": ID_A, "host": "h", "name": "other"})
    assert (made["id"], made["name"]) == (ID_A, "orders")
    again = control.changes.upsert(scope, actor, "services", "orders", {"id": ID_B, "host": "h2"})
    assert (again["id"], again["name"], again["host"]) == (ID_A, "orders", "h2")


def test_patch_merges(create: Create, control: Control, scope: Scope, actor: Actor, clock: Clock) -> None:
    created = create("services", {"name": "orders", "host": "h", "tags": ["a"]})
    clock.now += 10
    patched = control.changes.update(scope, actor, "services", "orders", {"retries": 1, "tags": ["b"]})
    assert patched == {**created, "retries": 1, "tags": ["b"], "updated_at": int(clock.now)}
    with pytest.raises(NotFound) as refusal:
        control.changes.update(scope, actor, "services", "orders", {"id": ABSENT})
    assert refusal.value.key == {"id": created["id"]}
    with pytest.raises(NotFound) as absent:
        control.changes.update(scope, actor, "services", "nobody", {})
    assert (absent.value.kind, absent.value.key) == ("services", {"name": "nobody"})


def test_what_is_nested_stands_under_its_parent_alone(
    create: Create, control: Control, scope: Scope, actor: Actor
) -> None:
    create("services", {"name": "a", "host": "h"})
    create("services", {"name": "b", "host": "h"})
    a, b = Parent("services", "a"), Parent("services", "b")
    create("routes", {"name": "r", "paths": ["/r"], "service": {"id": ABSENT}}, a)
    assert control.changes.get(scope, "routes", "r", parent=a)["name"] == "r"
    for call in (
        lambda: control.changes.get(scope, "routes", "r", parent=b),
        lambda: control.changes.update(scope, actor, "routes", "r", {}, parent=b),
        lambda: control.changes.delete(scope, actor, "routes", "r", parent=b),
    ):
        with pytest.raises(NotFound) as refusal:
            call()
        assert (refusal.value.nested, refusal.value.parent) == (True, False)
    taken_over = control.changes.upsert(scope, actor, "routes", "r", {"paths": ["/q"]}, parent=b)
    assert taken_over["service"] == {"id": control.changes.get(scope, "services", "b")["id"]}
    assert control.changes.page(scope, "routes", parent=a).rows == []
    assert len(control.changes.page(scope, "routes", parent=b).rows) == 1
    with pytest.raises(NotFound) as no_parent:
        control.changes.page(scope, "routes", parent=Parent("services", "nope"))
    assert (no_parent.value.kind, no_parent.value.parent) == ("services", True)


def test_groups_and_targets_are_named_beside_their_parent(
    create: Create, control: Control, scope: Scope, actor: Actor
) -> None:
    create("consumers", {"username": "alice"})
    alice = Parent("consumers", "alice")
    group = create("acls", {"group": "staff"}, alice)
    assert control.changes.get(scope, "acls", "staff", parent=alice) == group
    put = control.changes.upsert(scope, actor, "acls", "staff", {"tags": ["x"]}, parent=alice)
    assert (put["id"], put["group"], put["tags"]) == (group["id"], "staff", ["x"])
    assert control.changes.upsert(scope, actor, "acls", "new", {}, parent=alice)["group"] == "new"
    with pytest.raises(InvalidPrimaryKey):
        control.changes.get(scope, "acls", "staff")
    create("upstreams", {"name": "pool"})
    pool = Parent("upstreams", "pool")
    target = create("targets", {"target": "10.0.0.1:80"}, pool)
    assert control.changes.get(scope, "targets", "10.0.0.1:80", parent=pool) == target
    assert control.changes.delete(scope, actor, "upstreams", "pool")
    assert control.changes.page(scope, "targets").rows == []


def test_keys_in_paths_are_checked(control: Control, scope: Scope) -> None:
    with pytest.raises(InvalidKey) as refusal:
        control.changes.get(scope, "services", "a b")
    assert refusal.value.field == "name"
    with pytest.raises(UnknownType):
        control.changes.get(scope, "surprises", "a")


def test_passwords_are_kept_as_nodes_compare_them(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    consumer = create("consumers", {"username": "alice"})
    alice = Parent("consumers", "alice")
    row = create("basicauth_credentials", {"username": "u", "password": "pw"}, alice)
    hashed = hashlib.sha1(("pw" + consumer["id"]).encode(), usedforsecurity=False).hexdigest()
    assert row["password"] == hashed
    renamed = control.changes.update(scope, actor, "basicauth_credentials", "u", {"username": "v"}, parent=alice)
    assert renamed["password"] == hashed
    changed = control.changes.update(scope, actor, "basicauth_credentials", "v", {"password": "x"}, parent=alice)
    assert changed["password"] != hashed


def test_a_lifetime_counts_down_and_ends(
    create: Create, control: Control, scope: Scope, actor: Actor, clock: Clock
) -> None:
    create("consumers", {"username": "alice"})
    alice = Parent("consumers", "alice")
    row = create("keyauth_credentials", {"key": "k", "ttl": 60}, alice)
    assert row["ttl"] == 60
    assert create("keyauth_credentials", {"key": "for ever"}, alice)["ttl"] is None
    clock.now += 20
    assert control.changes.get(scope, "keyauth_credentials", row["id"])["ttl"] == 40
    kept = control.changes.update(scope, actor, "keyauth_credentials", row["id"], {"tags": ["t"]})
    assert kept["ttl"] == 40
    exported = control.export.payload(scope.control_plane_id).config_table["keyauth_credentials"]
    assert {one["key"]: one["ttl"] for one in exported} == {"k": int(clock.now) + 40, "for ever": None}
    clock.now += 40
    with pytest.raises(NotFound):
        control.changes.get(scope, "keyauth_credentials", row["id"])
    assert [one["key"] for one in control.changes.page(scope, "keyauth_credentials").rows] == ["for ever"]
    with pytest.raises(UniqueViolation):
        create("keyauth_credentials", {"key": "k"}, alice)
    control.tidy_up()
    assert create("keyauth_credentials", {"key": "k"}, alice)["key"] == "k"
    assert {change.actor.kind for change in control.history.list(scope, entity_id=row["id"])} == {"system", "user"}


def test_names_of_a_certificate_are_entities(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    cert, key = make_pair()
    row = create("certificates", {"cert": cert, "key": key, "snis": ["b.test", "a.test"]})
    assert row["snis"] == ["a.test", "b.test"]
    assert control.changes.get(scope, "certificates", "b.test") == row
    assert {sni["name"] for sni in control.changes.page(scope, "snis").rows} == {"a.test", "b.test"}
    assert control.changes.page(scope, "certificates").rows == [row]
    patched = control.changes.update(scope, actor, "certificates", row["id"], {"snis": ["c.test", "a.test"]})
    assert patched["snis"] == ["a.test", "c.test"]
    assert control.changes.update(scope, actor, "certificates", row["id"], {"tags": []})["snis"] == ["a.test", "c.test"]
    with pytest.raises(UniqueViolation) as refusal:
        create("certificates", {"cert": cert, "key": key, "snis": ["a.test"]})
    assert refusal.value.fields == {"name": "a.test"}
    assert len(control.changes.page(scope, "certificates").rows) == 1
    with pytest.raises(InvalidKey):
        control.changes.update(scope, actor, "certificates", row["id"], {"snis": ["1.1.1.1"]})
    assert control.changes.upsert(scope, actor, "certificates", row["id"], {"cert": cert, "key": key})["snis"] == []
    with pytest.raises(NotFound) as absent:
        control.changes.get(scope, "certificates", "a.test")
    assert (absent.value.kind, absent.value.key) == ("snis", {"name": "a.test"})
    exported = control.export.payload(scope.control_plane_id).config_table["certificates"][0]
    assert "snis" not in exported


def test_a_certificate_takes_its_names_along(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    cert, key = make_pair()
    row = create("certificates", {"cert": cert, "key": key, "snis": ["a.test"]})
    create("services", {"name": "s", "host": "h", "protocol": "https", "client_certificate": {"id": row["id"]}})
    with pytest.raises(ReferencedViolation) as refusal:
        control.changes.delete(scope, actor, "certificates", row["id"])
    assert refusal.value.by == "services"
    control.changes.delete(scope, actor, "services", "s")
    assert control.changes.delete(scope, actor, "certificates", row["id"])
    assert control.changes.page(scope, "snis").rows == []


def test_a_listed_authority_stays(create: Create, control: Control, scope: Scope, actor: Actor) -> None:
    authority = create("ca_certificates", {"cert": make_authority()})
    service = create("services", {"host": "h", "protocol": "https", "ca_certificates": [authority["id"]]})
    with pytest.raises(StillReferenced) as refusal:
        control.changes.delete(scope, actor, "ca_certificates", authority["id"])
    assert (refusal.value.by, refusal.value.by_id) == ("services", service["id"])
    control.changes.delete(scope, actor, "services", service["id"])
    assert control.changes.delete(scope, actor, "ca_certificates", authority["id"])


def test_a_batch_is_one_revision_or_nothing(control: Control, plane: ControlPlane, scope: Scope, actor: Actor) -> None:
    before = control.export.payload(plane.id).revision
    rows = control.changes.apply(
        scope,
        actor,
        [
            Operation("create", "services", body={"id": ID_A, "name": "orders", "host": "h"}),
            Operation("upsert", "routes", ID_B, {"paths": ["/a"]}, Parent("services", "orders")),
            Operation("update", "services", "orders", {"retries": 1}),
            Operation("delete", "routes", ID_B),
        ],
    )
    assert rows[0] is not None
    assert rows[1] is not None
    assert rows[3] is None
    assert control.export.payload(plane.id).revision == before + 1
    with pytest.raises(BatchRefused) as refusal:
        control.changes.apply(
            scope,
            actor,
            [
                Operation("create", "services", body={"name": "new", "host": "h"}),
                Operation("create", "services", body={"name": "orders", "host": "h"}),
            ],
        )
    assert refusal.value.position == 1
    assert isinstance(refusal.value.cause, UniqueViolation)
    assert [row["name"] for row in control.changes.page(scope, "services").rows] == ["orders"]
    assert control.export.payload(plane.id).revision == before + 1


def test_an_entity_beyond_the_limit_is_refused(create: Create) -> None:
    with pytest.raises(LimitExceeded):
        create("consumers", {"username": "u" * (4 * 1024 * 1024)})


def test_revisions_only_grow_and_are_announced_after_commit(
    control: Control, plane: ControlPlane, create: Create, scope: Scope, actor: Actor
) -> None:
    told: list[tuple[str, int, int]] = []

    def note(plane_id: str, revision: int) -> None:
        told.append((plane_id, revision, control.export.payload(plane_id).revision))

    end = control.versions.subscribe(note)
    create("services", {"name": "orders", "host": "h"})
    control.changes.update(scope, actor, "services", "orders", {"retries": 1})
    with pytest.raises(UniqueViolation):
        create("services", {"name": "orders", "host": "h"})
    control.changes.delete(scope, actor, "services", "orders")
    assert [revision for _, revision, _ in told] == sorted({revision for _, revision, _ in told})
    assert len(told) == 3
    assert all(plane_id == plane.id and seen >= revision for plane_id, revision, seen in told)
    end()
    create("services", {"name": "orders", "host": "h"})
    assert len(told) == 3


def test_two_writers_of_one_name_leave_one(control: Control, scope: Scope, actor: Actor) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        start.wait()
        for round_number in range(10):
            try:
                control.changes.create(scope, actor, "services", {"name": f"n{round_number}", "host": f"h{number}"})
                outcomes.append("made")
            except UniqueViolation:
                outcomes.append("refused")

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("made"), outcomes.count("refused")) == (10, 70)
    assert len(control.changes.page(scope, "services").rows) == 10


def test_writers_of_two_processes_respect_each_other(
    control: Control, scope: Scope, actor: Actor, tmp_path: Any
) -> None:
    second = Control.open(tmp_path, config_hash=lambda _: "")
    control.changes.create(scope, actor, "services", {"name": "orders", "host": "h"})
    with pytest.raises(UniqueViolation):
        second.changes.create(scope, actor, "services", {"name": "orders", "host": "h"})
    assert second.changes.get(scope, "services", "orders")["host"] == "h"
    second.close()


def test_another_tenant_finds_and_touches_nothing(control: Control, scope: Scope, actor: Actor, create: Create) -> None:
    row = create("services", {"name": "orders", "host": "h", "tags": ["t"]})
    organization = control.organizations.first().id
    other = control.control_planes.create(organization, "us", actor, {"name": "other"}).scope
    forged = Scope("another organization", scope.control_plane_id)
    for foreign in (other, forged):
        for key in (row["id"], "orders"):
            with pytest.raises(NotFound):
                control.changes.get(foreign, "services", key)
            with pytest.raises(NotFound):
                control.changes.update(foreign, actor, "services", key, {"host": "x"})
        assert control.changes.page(foreign, "services").rows == []
        assert control.changes.page(foreign, "services", tags="t").rows == []
        assert control.changes.tags(foreign).rows == []
        assert control.history.list(foreign, entity_id=row["id"]) == []
    assert not control.changes.delete(other, actor, "services", "orders")
    with pytest.raises(NotFound):
        control.changes.create(forged, actor, "services", {"host": "h"})
    with pytest.raises(ForeignKeyViolation):
        control.changes.create(other, actor, "routes", {"paths": ["/a"], "service": {"id": row["id"]}})
    control.changes.create(other, actor, "services", {"name": "orders", "host": "h", "id": row["id"]})


def test_secrets_are_masked_in_the_history(create: Create, control: Control, scope: Scope) -> None:
    create("consumers", {"username": "alice"})
    secret = str(uuid.uuid4())
    row = create("keyauth_credentials", {"key": secret}, Parent("consumers", "alice"))
    create(
        "plugins",
        {
            "name": "rate-limiting",
            "config": {"minute": 1, "policy": "redis", "redis": {"host": "r", "password": secret}},
        },
    )
    told = control.history.list(scope)
    assert secret not in str(told)
    (change,) = control.history.list(scope, entity_id=row["id"])
    assert change.operation == "create"
    assert change.before is None
    assert change.after is not None
    assert change.after["key"] == "***"


def test_the_history_is_read_in_pages(control: Control, scope: Scope, actor: Actor) -> None:
    names = [f"s{number}" for number in range(7)]
    control.changes.apply(
        scope, actor, [Operation("create", "services", body={"name": name, "host": "h"}) for name in names]
    )
    told: list[str] = []
    page = control.history.list(scope, size=3)
    while page:
        told += [change.after["name"] for change in page if change.after and change.type_name == "services"]
        page = control.history.list(scope, size=3, before=page[-1])
    assert told == list(reversed(names))
