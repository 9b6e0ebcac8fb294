"""Bodies become rows: the rules that hold for every collection."""

from __future__ import annotations

from typing import Any

import pytest

from twinplane.registry import entity_type, entity_types, plugin_types, route_type
from twinplane.schema import SchemaViolation

NOW = 1_700_000_000.25


def service(**body: Any) -> dict[str, Any]:
    return entity_type("services").prepare_insert({"host": "a.test", **body}, now=NOW)


def refused(name: str, body: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(SchemaViolation) as violation:
        entity_type(name).prepare_insert(body, now=NOW)
    return violation.value.errors


def test_a_row_has_every_field() -> None:
    assert service().keys() == entity_type("services").fields.keys()


def test_ids_are_made_up_or_kept_in_lower_case() -> None:
    assert len(service()["id"]) == 36
    assert service(id="ABCDEFAB-0000-4000-8000-ABCDEFABCDEF")["id"] == "abcdefab-0000-4000-8000-abcdefabcdef"


def test_moments_are_ours_but_created_at_may_be_given() -> None:
    row = service(created_at=5, updated_at="never looked at")
    assert (row["created_at"], row["updated_at"]) == (5, int(NOW))
    assert service(created_at=None)["created_at"] == int(NOW)


def test_a_replacement_starts_anew_but_keeps_the_id() -> None:
    row = service(retries=1, created_at=5)
    new = entity_type("services").prepare_replace({"host": "b.test", "id": "ignored"}, existing=row, now=NOW)
    assert (new["id"], new["retries"], new["created_at"]) == (row["id"], 5, int(NOW))


def test_an_update_keeps_what_it_does_not_name() -> None:
    row = service(retries=1, created_at=5)
    new = entity_type("services").prepare_update({"port": 81}, existing=row, now=NOW + 9)
    assert (new["port"], new["retries"], new["created_at"], new["updated_at"]) == (81, 1, 5, int(NOW + 9))
    assert row["port"] == 80


def test_a_url_says_protocol_host_port_and_path() -> None:
    row = service(url="https://u.test/p?q=1", port=1)
    assert (row["protocol"], row["host"], row["port"], row["path"]) == ("https", "u.test", 443, "/p")


def test_checks_between_fields_hold_for_services() -> None:
    assert refused("services", {"host": "a", "protocol": "tcp", "path": "/x"}) == {
        "path": "value must be null",
        "@entity": ["failed conditional validation given value of field 'protocol'"],
    }


def test_routes_need_something_to_match_on() -> None:
    text = "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"
    assert refused("routes", {}) == {"@entity": [text]}
    assert refused("routes", {"protocols": ["nosuch"]}) == {"protocols": "unknown type: nosuch"}


def test_expressions_are_known_to_their_flavour_only() -> None:
    body = {"expression": 'http.path == "/a"'}
    assert "expression" in refused("routes", body)
    assert route_type("expressions").prepare_insert(body, now=NOW)["priority"] == 0


def test_a_path_that_nodes_cannot_compile_is_refused() -> None:
    (text,) = refused("routes", {"paths": ["~/a(?=b)"]})["@entity"]
    assert "look-around" in text


def test_hashing_an_upstream_chooses_its_algorithm() -> None:
    upstreams = entity_type("upstreams")
    hashed = upstreams.prepare_insert({"name": "u", "hash_on": "consumer"}, now=NOW)
    assert hashed["algorithm"] == "consistent-hashing"
    assert upstreams.prepare_update({"hash_on": "none"}, existing=hashed, now=NOW)["algorithm"] == "round-robin"
    least = upstreams.prepare_insert({"name": "u", "algorithm": "least-connections", "hash_on": "ip"}, now=NOW)
    assert least["hash_on"] == "none"


def test_sticky_sessions_are_taken_though_the_open_schema_does_not_name_them() -> None:
    upstreams = entity_type("upstreams")
    sticky = {"name": "u", "algorithm": "sticky-sessions", "hash_on": "ip", "sticky_sessions_cookie": "tie"}
    row = upstreams.prepare_insert(sticky, now=NOW)
    assert (row["algorithm"], row["hash_on"]) == ("sticky-sessions", "none")
    assert "sticky_sessions_cookie" in refused("upstreams", {"name": "u", "algorithm": "sticky-sessions"})
    told = refused("upstreams", {"name": "u", "algorithm": "random"})["algorithm"]
    assert told == "expected one of: consistent-hashing, least-connections, round-robin, latency"


def test_targets_are_spelled_out() -> None:
    body = {"upstream": {"id": "00000000-0000-4000-8000-000000000001"}, "target": "[::1]"}
    row = entity_type("targets").prepare_insert(body, now=NOW)
    assert row["target"] == "[0000:0000:0000:0000:0000:0000:0000:0001]:8000"
    assert row["created_at"] == NOW


def test_plugins_take_the_form_of_their_name() -> None:
    row = entity_type("plugins").prepare_insert({"name": "key-auth"}, now=NOW)
    assert row["config"]["key_names"] == ["apikey"]
    assert row["protocols"] == ["grpc", "grpcs", "http", "https"]
    assert refused("plugins", {"name": "nosuch"}) == {
        "name": "plugin 'nosuch' not enabled; add it to the 'plugins' configuration property"
    }
    consumer = {"id": "00000000-0000-4000-8000-000000000001"}
    assert refused("plugins", {"name": "key-auth", "consumer": consumer}) == {"consumer": "value must be null"}


def test_a_patch_of_a_plugin_merges_its_configuration() -> None:
    plugins = entity_type("plugins")
    row = plugins.prepare_insert({"name": "rate-limiting", "config": {"minute": 5, "redis": {"host": "r"}}}, now=NOW)
    new = plugins.prepare_update({"config": {"redis": {"port": 1}}}, existing=row, now=NOW)
    assert (new["config"]["minute"], new["config"]["redis"]["host"], new["config"]["redis"]["port"]) == (5, "r", 1)


def test_old_names_are_accepted_and_answered() -> None:
    plugins = entity_type("plugins")
    row = plugins.prepare_insert({"name": "rate-limiting", "config": {"minute": 5, "redis_host": "r"}}, now=NOW)
    assert row["config"]["redis"]["host"] == "r"
    assert "redis_host" not in row["config"]
    assert plugins.answer(row)["config"]["redis_host"] == "r"


def test_what_newer_versions_know_is_kept_and_not_shown() -> None:
    services = entity_type("services")
    assert "tls_sans" in services.beyond
    assert "tls_sans" not in services.answer(service())
    assert "tls_sans" in services.answer(service(), beyond=True)


def test_passwords_are_kept_as_the_hash_nodes_compare_with() -> None:
    basic = entity_type("basicauth_credentials")
    consumer = {"id": "00000000-0000-4000-8000-000000000002"}
    row = basic.prepare_insert({"username": "u", "password": "pw", "consumer": consumer}, now=NOW)
    assert row["password"] == "dadfea5afab9a5ff98bd10895c47a1253a8f6f53"
    same = basic.prepare_update({"tags": ["t"]}, existing=row, now=NOW)
    assert same["password"] == row["password"]
    assert refused("basicauth_credentials", {"username": "u", "password": "pw"})["@entity"] == [
        "all or none of these fields must be set: 'password', 'consumer.id'"
    ]


def test_secrets_are_made_up_anew_for_each_row() -> None:
    consumer = {"id": "00000000-0000-4000-8000-000000000002"}
    keys = {entity_type("keyauth_credentials").prepare_insert({"consumer": consumer}, now=NOW)["key"] for _ in range(9)}
    secrets = {
        entity_type("plugins").prepare_insert({"name": "session"}, now=NOW)["config"]["secret"] for _ in range(9)
    }
    assert len(keys) == len(secrets) == 9
    assert all(len(text) == 32 for text in keys | secrets)


def test_references_are_between_known_collections() -> None:
    for entity in entity_types().values():
        assert {foreign.target for foreign in entity.foreign.values()} <= entity_types().keys()


def test_parents_come_before_children() -> None:
    seen: set[str] = set()
    for entity in entity_types().values():
        assert {foreign.target for foreign in entity.foreign.values()} <= seen | {entity.name}
        seen.add(entity.name)


def test_all_bundled_plugins_have_a_configuration_that_fills_in() -> None:
    assert len(plugin_types()) == 45
    for plugin in plugin_types().values():
        assert plugin.config.fill({}).keys() >= {
            name for name, field in plugin.config.fields.items() if not field.required
        }


def test_every_field_is_described() -> None:
    def undescribed(shape: Any, path: str) -> list[str]:
        found = []
        for name, field in shape.fields.items():
            if not field.description and field.must_be_null is False:
                found.append(f"{path}.{name}")
            inner = field.record or (field.elements and field.elements.record) or (field.values and field.values.record)
            if inner:
                found += undescribed(inner, f"{path}.{name}")
        return found

    shapes = [entity.shape for entity in entity_types().values()] + [plugin.shape for plugin in plugin_types().values()]
    assert [name for shape in shapes for name in undescribed(shape, shape.name)] == []
