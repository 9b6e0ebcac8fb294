"""The whole table of what older versions do not know: each field, below its version and from it on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.control_room import open_platform
from tools.generate import compatibility

from twinplane.control import Actor
from twinplane.hybrid.compat import lower_table
from twinplane.hybrid.compat_issues import anchor
from twinplane.hybrid.wire import NodeVersion, parse_version

_QUEUED = ("opentelemetry", "http-log", "statsd", "datadog", "zipkin")
_MODELS = {"ai-proxy": "", "ai-request-transformer": "llm.", "ai-response-transformer": "llm."}
_AI_AUTH = (
    "auth.gcp_use_service_account",
    "auth.gcp_service_account_json",
    "auth.aws_access_key_id",
    "auth.aws_secret_access_key",
    "auth.allow_override",
)
_BOUNDS = ("ai-proxy", "ai-prompt-guard", "ai-prompt-decorator", "ai-prompt-template", *list(_MODELS)[1:])
# First version that knows a field, plugin, path, a value that is not the default.
FIELDS: tuple[tuple[str, str, str, Any], ...] = (
    ("3.10.0", "cors", "allow_origin_absent", False),
    ("3.10.0", "session", "hash_subject", True),
    ("3.10.0", "session", "store_metadata", True),
    ("3.10.0", "prometheus", "wasm_metrics", True),
    ("3.9.3", "ai-proxy", "llm_format", "gemini"),
    ("3.9.3", "ai-prompt-guard", "llm_format", "gemini"),
    ("3.9.3", "ai-prompt-decorator", "llm_format", "gemini"),
    ("3.8.0", "response-transformer", "rename.json", ["a:b"]),
    ("3.8.0", "aws-lambda", "empty_arrays_mode", "correct"),
    ("3.8.0", "aws-lambda", "aws_sts_endpoint_url", "https://sts.test"),
    *(("3.8.0", name, "realm", "r") for name in ("ldap-auth", "hmac-auth", "jwt", "oauth2")),
    ("3.8.0", "opentelemetry", "logs_endpoint", "http://logs.test"),
    *(("3.8.0", name, "queue.concurrency_limit", -1) for name in _QUEUED),
    ("3.8.0", "prometheus", "ai_metrics", True),
    ("3.8.0", "acl", "always_use_authenticated_groups", True),
    *(("3.8.0", name, "max_request_body_size", 1) for name in _BOUNDS),
    ("3.8.0", "ai-proxy", "model_name_header", False),
    ("3.8.0", "ai-prompt-guard", "match_all_roles", True),
    *(("3.8.0", name, above + path, "x") for name, above in _MODELS.items() for path in _AI_AUTH),
    *(
        ("3.8.0", name, f"{above}model.options.{provider}", {"x": 1})
        for name, above in _MODELS.items()
        for provider in ("gemini", "bedrock")
    ),
    *(("3.7.0", name, f"{above}model.options.upstream_path", "/x") for name, above in _MODELS.items()),
    ("3.7.0", "opentelemetry", "propagation", {"default_format": "b3"}),
    ("3.7.0", "zipkin", "propagation", {"default_format": "w3c"}),
    ("3.7.0", "ai-proxy", "response_streaming", "deny"),
    ("3.7.0", "key-auth", "realm", "r"),
    ("3.6.0", "opentelemetry", "sampling_rate", 0.5),
    ("3.6.0", "basic-auth", "realm", "r"),
    ("3.5.0", "cors", "private_network", True),
    ("3.5.0", "session", "read_body_for_logout", True),
    ("3.4.0", "rate-limiting", "sync_rate", 5),
    ("3.4.0", "proxy-cache", "response_headers", {"age": False}),
    ("3.3.0", "opentelemetry", "http_response_header_for_traceid", "x"),
    ("3.3.0", "opentelemetry", "header_type", "b3"),
    ("3.3.0", "acme", "account_key", {"key_id": "k"}),
    ("3.3.0", "aws-lambda", "disable_https", True),
    ("3.3.0", "proxy-cache", "ignore_uri_case", True),
    ("3.2.0", "statsd", "tag_style", "influxdb"),
    *(("3.2.0", "session", f, 7) for f in ("audience", "absolute_timeout", "remember_cookie_name")),
    *(("3.2.0", "session", f, 7) for f in ("remember_rolling_timeout", "remember_absolute_timeout")),
    *(("3.2.0", "session", f, ["id"]) for f in ("response_headers", "request_headers")),
    ("3.2.0", "aws-lambda", "aws_imds_protocol_version", "v2"),
    ("3.2.0", "zipkin", "phase_duration_flavor", "tags"),
    ("3.1.0", "acme", "enable_ipv4_common_name", False),
    ("3.1.0", "rate-limiting", "error_code", 420),
    ("3.1.0", "rate-limiting", "error_message", "x"),
    ("3.1.0", "zipkin", "http_response_header_for_traceid", "x"),
)
ACTOR = Actor("user", "u", "tester")


def version(text: str) -> NodeVersion:
    found = parse_version(text)
    assert found is not None
    return found


def at(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def before(since: str) -> str:
    major, minor, patch = (int(part) for part in since.split("."))
    return f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.99"


def lowered(to: str, name: str, config: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    table = {"plugins": [{"id": "p", "name": name, "config": copy.deepcopy(config)}]}
    issues = lower_table(table, version(to))
    return table["plugins"][0]["config"], list(issues)  # type: ignore[return-value]


@pytest.mark.parametrize(("since", "name", "path", "value"), FIELDS)
def test_a_field_is_left_out_before_its_version(since: str, name: str, path: str, value: Any) -> None:
    config: dict[str, Any] = {}
    inner = config
    *above, last = path.split(".")
    for step in above:
        inner = inner.setdefault(step, {})
    inner[last] = value
    kept, issues = lowered(since, name, config)
    assert at(kept, path) == value
    assert issues == []
    left, issues = lowered(before(since), name, config)
    assert at(left, path) is None
    (issue,) = issues
    assert issue.code == f"field_unknown:{name}.{path}"
    # The page has a place for it.
    assert f'id="{anchor(issue.code)}"' in compatibility.page()


MODEL = {"provider": "gemini", "name": "g", "options": {"gemini": None, "bedrock": None, "huggingface": None}}


@pytest.mark.parametrize("name", _MODELS)
def test_models_of_later_providers_are_sent_as_others(name: str) -> None:
    def given(provider: str) -> dict[str, Any]:
        part = {"route_type": "llm/v1/chat", "model": copy.deepcopy(MODEL) | {"provider": provider}}
        return part if name == "ai-proxy" else {"llm": part}

    def part_of(config: dict[str, Any]) -> Any:
        return config if name == "ai-proxy" else config["llm"]

    for provider, since in (("huggingface", "3.9.0"), ("gemini", "3.8.0"), ("bedrock", "3.8.0")):
        left, issues = lowered(before(since), name, given(provider))
        assert part_of(left)["model"]["provider"] == "openai"
        assert part_of(left)["route_type"] == ("preserve" if name == "ai-proxy" else "llm/v1/chat")
        assert provider not in part_of(left)["model"]["options"]
        assert len(issues) == 1
        left, issues = lowered("3.9.3", name, given(provider))
        assert (part_of(left)["model"]["provider"], issues) == (provider, [])
    left, issues = lowered("3.7.0", name, given("mistral"))
    assert part_of(left)["model"]["options"] == {"upstream_url": "https://api.mistral.ai:443"}
    assert issues == []


def test_the_redis_of_acme_takes_its_older_forms() -> None:
    redis = {"host": "r", "port": 1, "username": "u", "password": "p", "database": 2, "ssl": True, "ssl_verify": False}
    redis |= {"server_name": "n", "timeout": 5, "extra_options": {"namespace": "ns", "scan_count": 9}}
    config = {"storage": "redis", "storage_config": {"redis": redis}}
    for to, names in (
        ("3.5.0", {"namespace", "scan_count", "ssl", "ssl_verify", "ssl_server_name"}),
        ("3.4.0", {"namespace", "ssl", "ssl_verify", "ssl_server_name"}),
        ("3.2.0", {"ssl", "ssl_verify", "ssl_server_name"}),
        ("3.0.0", set()),
    ):
        left, issues = lowered(to, "acme", config)
        assert left["storage_config"]["redis"].keys() == {"host", "port", "auth", "database", *names}
        assert "acme_redis_username" in {issue.code for issue in issues}
    left, issues = lowered("3.7.0", "acme", config)
    assert left == config
    assert [issue.code for issue in issues] == ["acme_redis_username"]


def test_sessions_had_other_names() -> None:
    config = {
        "idling_timeout": 1,
        "rolling_timeout": 2,
        "stale_ttl": 3,
        "cookie_same_site": "Default",
        "cookie_http_only": True,
        "remember": True,
    }
    left, _ = lowered("3.1.0", "session", config)
    assert left == {
        "cookie_idletime": 1,
        "cookie_lifetime": 2,
        "cookie_discard": 3,
        "cookie_samesite": "Lax",
        "cookie_httponly": True,
        "cookie_persistent": True,
    }
    left, issues = lowered("3.0.0", "session", config)
    assert "cookie_persistent" not in left
    assert "field_unknown:session.cookie_persistent" in {issue.code for issue in issues}


def test_what_was_never_set_is_no_loss_to_the_oldest_node(tmp_path: Path) -> None:
    """Rows as they are stored, with every default filled in: nothing of them mattered to anybody."""
    configs: dict[str, dict[str, Any]] = {
        "key-auth": {},
        "basic-auth": {},
        "cors": {},
        "prometheus": {},
        "request-transformer": {},
        "response-transformer": {},
        "session": {},
        "jwt": {},
        "statsd": {},
        "datadog": {},
        "zipkin": {"http_endpoint": "http://z.test"},
        "opentelemetry": {"endpoint": "http://o.test"},
        "http-log": {"http_endpoint": "http://h.test"},
        "rate-limiting": {"minute": 5},
        "response-ratelimiting": {"limits": {"x": {"minute": 5}}},
        "acl": {"allow": ["a"]},
        "aws-lambda": {"function_name": "f", "aws_region": "us-east-1"},
        "proxy-cache": {"strategy": "memory"},
        "correlation-id": {},
    }
    with open_platform(tmp_path) as platform:
        for name, config in configs.items():
            fields: dict[str, Any] = {"name": name, "config": config}
            platform.control.changes.create(platform.default.scope, ACTOR, "plugins", fields)
        table = platform.control.export.payload(platform.default.id).config_table
    for to in ("3.9.3", "3.7.0", "3.5.0", "3.3.0", "3.2.0", "3.1.0", "3.0.0"):
        lost = [issue.code for issue in lower_table(copy.deepcopy(table), version(to))]
        assert lost == [], to
