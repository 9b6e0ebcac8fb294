"""Promises of declarative documents."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from twinplane.control.declarative import load, read
from twinplane.control.errors import DeclarativeViolation

NOW = 1_800_000_000.0
ID = "00000000-0000-4000-8000-00000000000a"


def _load(**collections: Any) -> dict[str, Any]:
    return dict(load({"_format_version": "3.0", **collections}, now=NOW).config_table)


def _refused(**collections: Any) -> DeclarativeViolation:
    with pytest.raises(DeclarativeViolation) as refusal:
        load({"_format_version": "3.0", **collections}, now=NOW)
    return refusal.value


def test_nested_entities_become_flat_with_their_parents_ids() -> None:
    table = _load(
        services=[
            {
                "name": "orders",
                "host": "h",
                "plugins": [{"name": "key-auth"}],
                "routes": [{"name": "r", "paths": ["/a"], "plugins": [{"name": "cors"}]}],
            }
        ],
        consumers=[{"username": "bob", "keyauth_credentials": [{"key": "k"}], "acls": [{"group": "g"}]}],
        upstreams=[{"name": "pool", "targets": [{"target": "10.0.0.1:80"}]}],
    )
    (service,), (route,), (consumer,) = table["services"], table["routes"], table["consumers"]
    assert route["service"] == service["id"]
    assert {plugin["name"]: (plugin["service"], plugin["route"]) for plugin in table["plugins"]} == {
        "key-auth": (service["id"], None),
        "cors": (None, route["id"]),
    }
    assert table["keyauth_credentials"][0]["consumer"] == table["acls"][0]["consumer"] == consumer["id"]
    assert table["targets"][0]["upstream"] == table["upstreams"][0]["id"]
    assert (table["_format_version"], table["_transform"]) == ("3.0", False)
    assert service["port"] == 80
    order = [name for name in table if not name.startswith("_")]
    assert order.index("services") < order.index("routes") < order.index("plugins")


def test_a_document_gives_the_same_ids_at_every_load() -> None:
    document = {
        "services": [{"name": "orders", "host": "h", "routes": [{"name": "r", "paths": ["/a"]}]}],
        "plugins": [{"name": "cors", "service": "orders"}],
    }
    assert _load(**document) == _load(**document)


def test_references_go_by_name_by_id_and_by_object() -> None:
    service = {"id": ID, "name": "orders", "host": "h"}
    for reference in ("orders", ID, {"id": ID}):
        table = _load(services=[service], routes=[{"name": "r", "paths": ["/a"], "service": reference}])
        assert table["routes"][0]["service"] == ID


def test_a_sparse_payload_of_a_control_plane_is_read() -> None:
    table = _load(
        _transform=False,
        parameters=[{"key": "cluster_id", "value": ID, "created_at": None}],
        workspaces=[{"id": ID, "name": "default"}],
        services=[{"id": ID, "host": "h"}],
        routes=[{"paths": ["/a"], "service": ID}],
        upstreams=None,
        licenses=[{"payload": "x"}],
    )
    assert table["licenses"] == [{"payload": "x"}]
    assert table["parameters"][0]["value"] == ID
    assert table["routes"][0]["service"] == ID


def test_all_violations_are_told_nested_and_flat() -> None:
    refusal = _refused(
        services=[
            {"name": "fine", "host": "h"},
            {"name": "s", "port": "x", "extra": 1, "routes": [{"name": "r", "paths": ["/a"], "strip_path": "x"}]},
        ],
        consumers=[{}],
        upstreams="x",
    )
    assert refusal.fields["services"][0] is None
    assert refusal.fields["services"][1] == {
        "host": "required field missing",
        "port": "expected an integer",
        "extra": "unknown field",
        "routes": [{"strip_path": "expected a boolean"}],
    }
    assert set(refusal.fields) == {"services", "consumers", "upstreams"}
    assert refusal.rest == {"upstreams": "expected an array"}
    told = {entity["entity_type"]: entity for entity in refusal.flattened}
    assert set(told) == {"service", "route", "consumer"}
    assert told["service"]["entity"] == {"name": "s", "port": "x", "extra": 1}
    assert told["service"]["entity_name"] == "s"
    assert told["route"]["errors"] == [{"type": "field", "field": "strip_path", "message": "expected a boolean"}]
    assert {error["type"] for error in told["consumer"]["errors"]} == {"entity"}


def test_unknown_keys_and_formats_are_refused() -> None:
    assert _refused(nosuch=[], other={}).fields == {"nosuch": "unknown field", "other": "unknown field"}
    for version, reason in [
        (None, "required field missing"),
        ("4.0", "expected one of: 1.1, 2.1, 3.0"),
        (3.0, "expected a string"),
    ]:
        with pytest.raises(DeclarativeViolation) as refusal:
            load({"_format_version": version}, now=NOW)
        assert refusal.value.fields == {"_format_version": reason}


def test_references_to_nothing_are_refused() -> None:
    refusal = _refused(routes=[{"name": "r", "paths": ["/a"], "service": "nope"}])
    assert refusal.fields == {"routes": {"r": ["invalid reference 'service: nope' (no such entry in 'services')"]}}
    assert (list(refusal.flattened), refusal.rest) == ([], {})


def test_what_is_nested_names_no_other_parent() -> None:
    refusal = _refused(
        services=[{"name": "s", "host": "h", "routes": [{"name": "r", "paths": ["/a"], "service": "other"}]}]
    )
    assert refusal.fields == {"services": [{"routes": [{"service": "value must be null"}]}]}


def test_values_held_twice_are_refused() -> None:
    refusal = _refused(services=[{"name": "s", "host": "h"}, {"name": "s", "host": "h"}])
    text = "uniqueness violation: 'services' entity with name set to 's' already declared"
    assert refusal.fields == {"services": [None, text]}
    assert [(entity["entity_type"], entity["errors"]) for entity in refusal.flattened] == [
        ("service", [{"type": "entity", "message": text}])
    ]
    refusal = _refused(plugins=[{"name": "cors"}, {"name": "cors"}])
    assert "entity with primary key set to" in refusal.fields["plugins"][1]
    refusal = _refused(
        consumers=[{"username": "a", "custom_id": "1"}, {"username": "b", "custom_id": "1"}],
    )
    assert list(refusal.fields["consumers"]) == ["b"]


def test_passwords_are_hashed_unless_they_were_before() -> None:
    consumer = {"id": ID, "username": "bob", "basicauth_credentials": [{"username": "u", "password": "pw"}]}
    hashed = hashlib.sha1(f"pw{ID}".encode(), usedforsecurity=False).hexdigest()
    assert _load(consumers=[consumer])["basicauth_credentials"][0]["password"] == hashed
    kept = _load(consumers=[consumer], _transform=False)
    assert kept["basicauth_credentials"][0]["password"] == "pw"


def test_a_lifetime_becomes_its_end() -> None:
    credentials = [{"key": "a", "ttl": 60}, {"key": "b", "ttl": int(NOW) + 5}, {"key": "c"}]
    table = _load(consumers=[{"username": "bob", "keyauth_credentials": credentials}])
    assert [row["ttl"] for row in table["keyauth_credentials"]] == [int(NOW) + 60, int(NOW) + 5, None]


def test_what_is_switched_off_is_listed_but_not_run() -> None:
    document = {
        "_format_version": "3.0",
        "services": [
            {"name": "off", "host": "h", "enabled": False, "routes": [{"name": "r", "paths": ["/a"]}]},
            {"name": "on", "host": "h", "plugins": [{"name": "cors", "enabled": False}]},
        ],
    }
    declared = load(document, now=NOW)
    assert [row["name"] for row in declared.config_table["services"]] == ["on"]
    assert "routes" not in declared.config_table
    assert "plugins" not in declared.config_table
    assert len(declared.rows["services"]) == 2
    assert declared.rows["routes"][0]["service"] == {"id": declared.rows["services"][0]["id"]}


def test_paths_of_older_formats_are_brought_along() -> None:
    routes = [{"name": "a", "paths": ["/a(b)", "/plain", "/x.y$"]}]
    for version, expected in [("1.1", ["~/a(b)", "/plain", "~/x.y$"]), ("3.0", ["/a(b)", "/plain", "/x.y$"])]:
        declared = load({"_format_version": version, "routes": routes}, now=NOW)
        assert declared.rows["routes"][0]["paths"] == expected


def test_the_callers_document_is_left_alone() -> None:
    document = {"_format_version": "1.1", "routes": [{"name": "a", "paths": ["/a(b)"]}]}
    before = json.dumps(document)
    load(document, now=NOW)
    assert json.dumps(document) == before


def test_text_becomes_a_payload() -> None:
    declared = read(b'_format_version: "3.0"\nservices:\n- name: orders\n  url: http://h.test:81/p\n', now=NOW)
    (service,) = json.loads(declared.json())["services"]
    assert (service["host"], service["port"], service["path"]) == ("h.test", 81, "/p")


_HUGE = 99999999999999999999999
_BOUNDS = "value should be between -9223372036854775808 and 9223372036854775807"


def test_integers_beyond_64_bits_are_told_with_all_the_rest() -> None:
    told = _refused(
        services=[{"host": "x", "created_at": _HUGE}, {"host": "x", "port": _HUGE}, {"host": "x", "updated_at": 1e23}],
        plugins=[{"name": "rate-limiting", "config": {"minute": _HUGE, "policy": "local"}}],
        keyauth_credentials=[
            {"key": "a", "consumer": {"username": "c"}, "ttl": _HUGE},
            {"key": "b", "consumer": {"username": "c"}, "ttl": float("inf")},
            {"key": "c", "consumer": {"username": "c"}, "ttl": float("nan")},
        ],
    ).fields
    assert told["services"][:2] == [{"created_at": _BOUNDS}, {"port": "value should be between 0 and 65535"}]
    assert told["plugins"] == [{"config": {"minute": _BOUNDS}}]
    lifetime = "value should be between 0 and 253402300799"
    assert [each["ttl"] for each in told["keyauth_credentials"]] == [lifetime] * 3


def test_what_no_json_can_hold_is_told_wherever_it_stands() -> None:
    told = _refused(licenses=[{"payload": _HUGE}]).fields
    assert told == {"licenses": "expected what can be written as JSON: Integer exceeds 64-bit range"}
    chain = {"filters": [{"name": "f", "config": {"a": [_HUGE]}}]}
    told = _refused(services=[{"name": "s", "host": "x", "filter_chains": [chain]}]).fields
    assert "Integer exceeds 64-bit range" in json.dumps(told)
    told = _refused(routes=[{"name": "r", "paths": ["/"], "service": {"id": "nobody", 5: _HUGE}}]).fields
    assert f'"5":{_HUGE}' in told["routes"]["r"][0]


@pytest.mark.parametrize("number", [2**63 - 1, 1])
def test_integers_of_64_bits_are_kept(number: int) -> None:
    text = json.dumps({"_format_version": "3.0", "services": [{"name": "s", "host": "x", "created_at": number}]})
    assert json.loads(read(text.encode(), now=NOW).json())["services"][0]["created_at"] == number
