"""What older nodes receive: fields they know, rewritten values, and an issue for each loss that matters."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from twinplane.hybrid.compat import check_plugins, is_version_served, lower_table
from twinplane.hybrid.wire import NodeVersion, parse_version


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


def test_one_issue_gathers_all_that_it_is_about() -> None:
    table = {"plugins": [dict(plugin("cors", {"private_network": True}), id=str(number)) for number in range(5)]}
    (issue,) = lower_table(table, version("3.4.0"))
    assert [resource["id"] for resource in issue.affected_resources] == list("01234")
    assert (issue.code, issue.severity) == ("field_unknown:cors.private_network", "warning")


@pytest.mark.parametrize(
    ("installed", "status"),
    [
        ({"cors": "3.9.3"}, None),
        ({"cors": None}, None),
        ({"cors": "odd"}, None),
        ({}, "plugin_set_incompatible"),
        ({"cors": "2.0.0"}, "plugin_version_incompatible"),
        ({"cors": "3.16.0"}, "plugin_version_incompatible"),
    ],
)
def test_plugins_of_a_node(installed: dict[str, str | None], status: str | None) -> None:
    found = check_plugins(frozenset({"cors"}), installed)
    assert (found[0] if found else None) == status


def test_an_old_opentelemetry_is_taken_as_it_is() -> None:
    assert check_plugins(frozenset({"opentelemetry"}), {"opentelemetry": "0.1.0"}) is None
