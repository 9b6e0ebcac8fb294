"""What older nodes receive: fields they know, rewritten values, and an issue for each loss that matters."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.control_room import open_platform

from twinplane.control import Actor, Parent
from twinplane.hybrid.compat import is_version_served, lower_table
from twinplane.hybrid.wire import NodeVersion, parse_version

SCHEMAS = Path(__file__).resolve().parents[4] / "shared" / "kong-3.9.3" / "schemas"


def version(text: str) -> NodeVersion:
    found = parse_version(text)
    assert found is not None
    return found


def plugin(name: str, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "config": config, **fields}


def lowered(to: str, *plugins: dict[str, Any], **collections: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    table = copy.deepcopy({"plugins": list(plugins), **collections})
    issues = lower_table(table, version(to))
    return table, [resource["id"] for issue in issues for resource in issue.affected_resources]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3.9.3", True), ("3.0.0", True), ("3.15.0.2", True), ("3.16.0", False), ("2.8.1", False), ("4.0.0", False)],
)
def test_served_versions(text: str, expected: bool) -> None:
    assert is_version_served(parse_version(text)) is expected


def test_versions_are_read_leniently() -> None:
    assert parse_version("3.9.0.1-enterprise-edition") == NodeVersion(3, 9, 0, 1)
    assert version("3.9.0.1").is_enterprise
    assert not version("3.9.0").is_enterprise
    assert version("3.8.0").number == 3_008_000_000
    assert str(version("3.9.0.1-x")) == "3.9.0.1"
    for bad in ("", "3", "3.9", "x3.9.1", "3.9.x", "99999.0.0"):
        assert parse_version(bad) is None


def test_a_current_node_loses_nothing() -> None:
    config = {"origins": ["*"], "private_network": True, "allow_origin_absent": False}
    assert lowered("3.10.0", plugin("cors", config)) == ({"plugins": [plugin("cors", config)]}, [])


@pytest.mark.parametrize(
    ("to", "given", "left", "is_loss"),
    [
        ("3.9.3", plugin("cors", {"allow_origin_absent": False}), {}, True),
        ("3.9.3", plugin("cors", {"allow_origin_absent": True}), {}, False),
        ("3.7.1", plugin("http-log", {"queue": {"concurrency_limit": -1, "max_batch_size": 2}}), None, True),
        ("3.6.0", plugin("key-auth", {"key_names": ["k"], "realm": "r"}), {"key_names": ["k"]}, True),
        ("3.6.0", plugin("key-auth", {"key_names": ["k"], "realm": None}), {"key_names": ["k"]}, False),
        ("3.3.1", plugin("rate-limiting", {"minute": 5, "sync_rate": -1}), {"minute": 5}, False),
        ("3.8.0", plugin("response-transformer", {"rename": {"json": ["a:b"]}}), {"rename": {"json": ["a:b"]}}, False),
        ("3.7.9", plugin("response-transformer", {"rename": {"json": ["a:b"]}}), {"rename": {}}, True),
    ],
)
def test_fields_that_a_version_does_not_know(
    to: str, given: dict[str, Any], left: dict[str, Any] | None, is_loss: bool
) -> None:
    table, lost = lowered(to, given)
    config = table["plugins"][0]["config"]
    assert config == (left if left is not None else {"queue": {"max_batch_size": 2}})
    assert lost == ([given["name"]] if is_loss else [])


def test_redis_settings_are_flat_before_3_6() -> None:
    redis = {"host": "r", "port": 6379, "ssl": True, "password": None, "server_name": "n"}
    table, _ = lowered("3.5.0", plugin("rate-limiting", {"policy": "redis", "redis": redis}))
    assert table["plugins"][0]["config"] == {
        "policy": "redis",
        "redis_host": "r",
        "redis_port": 6379,
        "redis_ssl": True,
        "redis_server_name": "n",
    }
    table, _ = lowered("3.5.0", plugin("rate-limiting", {"policy": "local", "redis": redis}))
    assert table["plugins"][0]["config"] == {"policy": "local"}


def test_trace_headers_and_providers_fall_back() -> None:
    table, lost = lowered("3.4.0", plugin("opentelemetry", {"header_type": "gcp", "traces_endpoint": "http://t"}))
    assert table["plugins"][0]["config"] == {"header_type": "preserve", "endpoint": "http://t"}
    assert set(lost) == {"opentelemetry"}
    model = {"provider": "huggingface", "options": {"huggingface": {}, "temperature": 1}}
    table, lost = lowered("3.8.0", plugin("ai-proxy", {"route_type": "llm/v1/chat", "model": model}))
    assert table["plugins"][0]["config"] == {
        "route_type": "preserve",
        "model": {"provider": "openai", "options": {"temperature": 1}},
    }
    assert lost == ["ai-proxy"]


def test_queues_are_words_of_their_own_before_3_3() -> None:
    table, _ = lowered("3.2.0", plugin("statsd", {"queue": {"max_batch_size": 7}}))
    assert table["plugins"][0]["config"] == {"retry_count": 10, "queue_size": 7, "flush_timeout": 2}


def test_entities_lose_what_came_later() -> None:
    table, lost = lowered(
        "3.0.0",
        plugin("cors", {}, instance_name="mine", updated_at=1),
        upstreams=[{"id": "u", "algorithm": "latency", "use_srv_name": True, "updated_at": 1}],
        services=[{"id": "s", "protocol": "tls", "tls_verify": True, "updated_at": 1}],
        vaults=[{"id": "v", "name": "env", "config": {"prefix": "my-prefix"}}],
    )
    assert table["plugins"][0] == {"id": "cors", "name": "cors", "config": {}}
    assert table["upstreams"] == [{"id": "u", "algorithm": "round-robin"}]
    assert table["services"] == [{"id": "s", "protocol": "tls", "updated_at": 1}]
    assert table["vaults"][0]["config"]["prefix"] == "my_prefix"
    assert set(lost) == {"cors", "u", "s"}


def test_sticky_sessions_are_round_robin_to_nodes_before_3_11() -> None:
    table, lost = lowered("3.9.3", upstreams=[{"id": "u", "algorithm": "sticky-sessions"}])
    assert (table["upstreams"], lost) == ([{"id": "u", "algorithm": "round-robin"}], ["u"])
    table, lost = lowered("3.11.0.1", upstreams=[{"id": "u", "algorithm": "sticky-sessions"}])
    assert (table["upstreams"], lost) == ([{"id": "u", "algorithm": "sticky-sessions"}], [])


def test_one_issue_gathers_all_that_it_is_about() -> None:
    table = {"plugins": [dict(plugin("cors", {"private_network": True}), id=str(number)) for number in range(5)]}
    (issue,) = lower_table(table, version("3.4.0"))
    assert [resource["id"] for resource in issue.affected_resources] == list("01234")
    assert (issue.code, issue.severity) == ("field_unknown:cors.private_network", "warning")


@pytest.mark.parametrize(
    ("to", "left", "is_loss"),
    [
        ("3.9.3", {"id": "s", "host": "h"}, True),
        ("3.10.0.1", {"id": "s", "host": "h", "tls_sans": {"dnsnames": ["a"]}}, False),
    ],
)
def test_fields_of_the_enterprise_edition_are_for_its_nodes(to: str, left: dict[str, Any], is_loss: bool) -> None:
    service = {"id": "s", "host": "h", "tls_sans": {"dnsnames": ["a"]}}
    table, lost = lowered(to, services=[service])
    assert table["services"] == [left]
    assert lost == (["s"] if is_loss else [])
    table, lost = lowered("3.9.3", services=[{**service, "tls_sans": None}])
    assert (table["services"], lost) == ([{"id": "s", "host": "h"}], [])


def test_fields_that_the_schema_says_are_newer_are_left_out() -> None:
    given = plugin("cors", {}, condition="true", partials=None, ordering=None, consumer_group=None)
    table, lost = lowered("3.9.3", given, keys=[{"id": "k", "x5t": "t"}])
    assert table["plugins"] == [plugin("cors", {})]
    assert table["keys"] == [{"id": "k"}]
    assert set(lost) == {"cors", "k"}


@pytest.mark.skipif(not SCHEMAS.exists(), reason="recorded schemas not present")
def test_a_real_node_of_3_9_3_knows_every_field_that_it_is_sent(tmp_path: Path) -> None:
    """Rows as they are exported, lowered, hold no field that the recorded schemas do not name."""
    actor = Actor("user", "u", "tester")
    with open_platform(tmp_path) as platform:
        create, scope = platform.control.changes.create, platform.default.scope
        service = create(scope, actor, "services", {"name": "s", "host": "h"})
        create(scope, actor, "routes", {"service": {"id": service["id"]}, "paths": ["/"]})
        upstream = create(scope, actor, "upstreams", {"name": "u"})
        create(scope, actor, "targets", {"target": "10.0.0.1:80"}, parent=Parent("upstreams", upstream["id"]))
        create(scope, actor, "consumers", {"username": "c"})
        create(scope, actor, "key_sets", {"name": "k"})
        for name in ("key-auth", "rate-limiting", "cors", "prometheus", "request-transformer"):
            create(scope, actor, "plugins", {"name": name, "config": {"minute": 1} if name == "rate-limiting" else {}})
        table = copy.deepcopy(platform.control.export.payload(platform.default.id).config_table)
    assert lower_table(table, version("3.9.3")) == []
    for collection, rows in table.items():
        if isinstance(rows, list) and (SCHEMAS / "entities" / f"{collection}.json").exists():
            known = _fields(SCHEMAS / "entities" / f"{collection}.json")
            assert {name for row in rows for name in row} <= known | {"id", "created_at", "updated_at"}, collection
    for row in table["plugins"]:
        document = json.loads((SCHEMAS / "plugins" / f"{row['name']}.json").read_text())
        config = next(field["config"] for field in document["fields"] if "config" in field)
        names = {name for field in config["fields"] for name in field}
        names |= {name for field in config.get("shorthand_fields", ()) for name in field}
        assert set(row["config"]) <= names, row["name"]


def _fields(path: Path) -> set[str]:
    return {name for field in json.loads(path.read_text())["fields"] for name in field}
