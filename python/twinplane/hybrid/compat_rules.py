"""The table of the compatibility layer: which field came with which version, and what older versions need instead.

A field that is removed keeps its default here, so that only a value that mattered is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.hybrid.wire import NodeVersion

Row = dict[str, Any]
Touched = Iterator[tuple[str, Row]]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field that nodes before `since` do not know."""

    since: str
    path: str
    default: Any = None
    code: str = ""
    is_silent: bool = False

    @property
    def before(self) -> int:
        """Versions with a smaller number lose the field."""
        return _number(self.since)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Something that nodes before `since` know in another form. `apply` yields each row that it changed."""

    since: str
    code: str
    text: str
    apply: Callable[[Row], Touched]

    @property
    def before(self) -> int:
        """Versions with a smaller number get the other form."""
        return _number(self.since)


def _number(since: str) -> int:
    major, minor = since.split(".")
    return NodeVersion(int(major), int(minor), 0).number


# since -> plugin -> fields with their defaults. Most fields say on their own since when they are known (see
# `compat_schema`); here stand those that the schema does not have: later ones, and older forms that rewrites make.
_FIELDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "3.10": {
        "cors": {"allow_origin_absent": True},
        "prometheus": {"wasm_metrics": False},
    },
    "3.5": {"acme": {"storage_config.redis.scan_count": 10}},
    "3.3": {"acme": {"storage_config.redis.namespace": ""}},
    "3.1": {
        "acme": {
            "storage_config.redis.ssl": False,
            "storage_config.redis.ssl_verify": False,
            "storage_config.redis.ssl_server_name": None,
        },
        "response-ratelimiting": {"redis_ssl": False, "redis_ssl_verify": False, "redis_server_name": None},
        "datadog": {"retry_count": 10, "queue_size": 1, "flush_timeout": 1},
        "statsd": {"retry_count": 10, "queue_size": 1, "flush_timeout": 1},
        "session": {"cookie_persistent": False},
    },
}
_UPDATED_AT = ("ca_certificates", "certificates", "consumers", "plugins", "snis", "targets", "upstreams", "workspaces")


def _plugin_fields() -> Mapping[str, Sequence[FieldRule]]:
    rules: dict[str, list[FieldRule]] = {}
    for since, plugins in _FIELDS.items():
        for plugin, fields in plugins.items():
            for path, default in fields.items():
                code = f"field_unknown:{plugin}.{path}"
                rules.setdefault(plugin, []).append(FieldRule(since, path, default, code))
    return rules


def _entity_fields() -> Mapping[str, Sequence[FieldRule]]:
    rules: dict[str, list[FieldRule]] = {name: [FieldRule("3.3", "updated_at", is_silent=True)] for name in _UPDATED_AT}
    rules["plugins"].append(FieldRule("3.2", "instance_name", None, "field_unknown:plugins.instance_name"))
    return rules


PLUGIN_FIELDS: Mapping[str, Sequence[FieldRule]] = _plugin_fields()
ENTITY_FIELDS: Mapping[str, Sequence[FieldRule]] = _entity_fields()


def _configs(table: Row, *names: str) -> Iterator[tuple[Row, Row]]:
    for row in table.get("plugins") or ():
        if row.get("name") in names and isinstance(row.get("config"), dict):
            yield row, row["config"]


_WITH_MODELS = ("ai-proxy", "ai-request-transformer", "ai-response-transformer")


def _models(config: Row) -> Iterator[tuple[Row, Row]]:
    """Each part of an ai-* configuration that names a provider, with its model."""
    for part in (config, config.get("llm")):
        if isinstance(part, dict) and isinstance(part.get("model"), dict):
            yield part, part["model"]


def _replace_providers(*providers: str) -> Callable[[Row], Touched]:
    def apply(table: Row) -> Touched:
        for row, config in _configs(table, *_WITH_MODELS):
            for part, model in _models(config):
                if model.get("provider") not in providers:
                    continue
                model["provider"] = "openai"
                if row["name"] == "ai-proxy":
                    part["route_type"] = "preserve"
                options = model.get("options")
                if isinstance(options, dict):
                    for provider in providers:
                        options.pop(provider, None)
                yield "plugin", row

    return apply


def _trace_endpoint(table: Row) -> Touched:
    for _, config in _configs(table, "opentelemetry"):
        endpoint = config.pop("traces_endpoint", None)
        if endpoint and not config.get("endpoint"):
            config["endpoint"] = endpoint
    return iter(())


def _acme_user(table: Row) -> Touched:
    for row, config in _configs(table, "acme"):
        redis = (config.get("storage_config") or {}).get("redis")
        if config.get("storage") == "redis" and isinstance(redis, dict) and redis.get("username"):
            yield "plugin", row


def _mistral_address(table: Row) -> Touched:
    for _, config in _configs(table, *_WITH_MODELS):
        for _part, model in _models(config):
            options = model.setdefault("options", {}) or {}
            if model.get("provider") == "mistral" and not options.get("upstream_url"):
                options["upstream_url"] = "https://api.mistral.ai:443"
                model["options"] = options
    return iter(())


def _chat_route(table: Row) -> Touched:
    for row, config in _configs(table, "ai-proxy"):
        if config.get("route_type") == "preserve":
            config["route_type"] = "llm/v1/chat"
            yield "plugin", row


_REDIS_FIELDS = ("host", "port", "username", "password", "database", "timeout", "ssl", "ssl_verify", "server_name")


def _flat_redis(table: Row) -> Touched:
    for _, config in _configs(table, "rate-limiting", "response-ratelimiting"):
        redis = config.pop("redis", None)
        if isinstance(redis, dict) and config.get("policy") == "redis":
            for name in _REDIS_FIELDS:
                if redis.get(name) is not None:
                    config[f"redis_{name}"] = redis[name]
    for _, config in _configs(table, "acme"):
        redis = (config.get("storage_config") or {}).get("redis")
        if isinstance(redis, dict):
            extra = redis.get("extra_options") or {}
            config["storage_config"]["redis"] = {
                "host": redis.get("host"),
                "port": redis.get("port"),
                "auth": redis.get("password"),
                "database": redis.get("database"),
                "ssl": redis.get("ssl"),
                "ssl_verify": redis.get("ssl_verify"),
                "ssl_server_name": redis.get("server_name"),
                "namespace": extra.get("namespace"),
                "scan_count": extra.get("scan_count"),
            }
    return iter(())


def _header_types(unknown: str) -> Callable[[Row], Touched]:
    def apply(table: Row) -> Touched:
        for row, config in _configs(table, "opentelemetry", "zipkin"):
            is_changed = config.get("header_type") == unknown
            if is_changed:
                config["header_type"] = "preserve"
            if config.get("default_header_type") == unknown:
                config["default_header_type"] = "b3"
                is_changed = True
            if is_changed:
                yield "plugin", row

    return apply


def _old_queues(table: Row) -> Touched:
    for row, config in _configs(table, "opentelemetry", "http-log", "statsd", "datadog", "zipkin"):
        queue = config.pop("queue", None)
        if not isinstance(queue, dict):
            continue
        if row["name"] in {"statsd", "datadog"}:
            config["retry_count"] = 10
            config["queue_size"] = queue.get("max_batch_size") or 1
            config["flush_timeout"] = queue.get("max_coalescing_delay") or 2
        elif row["name"] == "opentelemetry":
            config["batch_span_count"] = queue.get("max_batch_size") or 200
            config["batch_flush_delay"] = queue.get("max_coalescing_delay") or 3
    return iter(())


def _vault_prefixes(table: Row) -> Touched:
    for row in table.get("vaults") or ():
        config = row.get("config")
        if row.get("name") == "env" and isinstance(config, dict) and isinstance(config.get("prefix"), str):
            config["prefix"] = config["prefix"].replace("-", "_")
    return iter(())


_SESSION_NAMES = {
    "idling_timeout": "cookie_idletime",
    "rolling_timeout": "cookie_lifetime",
    "stale_ttl": "cookie_discard",
    "cookie_same_site": "cookie_samesite",
    "cookie_http_only": "cookie_httponly",
    "remember": "cookie_persistent",
}


def _old_session(table: Row) -> Touched:
    for _, config in _configs(table, "session"):
        for new, old in _SESSION_NAMES.items():
            if new in config:
                config[old] = config.pop(new)
        if config.get("cookie_samesite") == "Default":
            config["cookie_samesite"] = "Lax"
    return iter(())


def _plain_tls_services(table: Row) -> Touched:
    for row in table.get("services") or ():
        if row.get("protocol") == "tls":
            fields = ("client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates")
            lost = [row.pop(name, None) for name in fields]
            if any(value is not None for value in lost):
                yield "service", row


def _round_robin(algorithm: str) -> Callable[[Row], Touched]:
    def apply(table: Row) -> Touched:
        for row in table.get("upstreams") or ():
            if row.get("algorithm") == algorithm:
                row["algorithm"] = "round-robin"
                yield "upstream", row

    return apply


# In the order in which they are applied, newest version first. Without a code nothing is lost.
REWRITES: Sequence[Rewrite] = (
    Rewrite(
        "3.11",
        "algorithm_unknown:sticky-sessions",
        "the algorithm sticky-sessions is not known; round-robin is sent",
        _round_robin("sticky-sessions"),
    ),
    Rewrite(
        "3.9",
        "provider_unknown:huggingface",
        "the provider huggingface is not known; openai with the route type preserve is sent",
        _replace_providers("huggingface"),
    ),
    Rewrite(
        "3.8",
        "provider_unknown:gemini-bedrock",
        "the providers gemini and bedrock are not known; openai with the route type preserve is sent",
        _replace_providers("gemini", "bedrock"),
    ),
    Rewrite("3.8", "", "the address of opentelemetry traces is sent under its old name, endpoint", _trace_endpoint),
    Rewrite("3.8", "", "a mistral model without an address gets that of the provider", _mistral_address),
    Rewrite("3.8", "acme_redis_username", "the user name of acme's redis may not be used", _acme_user),
    Rewrite(
        "3.7",
        "route_type_unknown:preserve",
        "the route type preserve is not known; llm/v1/chat is sent",
        _chat_route,
    ),
    Rewrite("3.6", "", "settings of redis are sent in their old, flat form", _flat_redis),
    Rewrite(
        "3.5",
        "header_type_unknown:gcp",
        "trace headers in the form gcp are not known; preserve is sent, b3 as the default",
        _header_types("gcp"),
    ),
    Rewrite(
        "3.4",
        "header_type_unknown:aws",
        "trace headers in the form aws are not known; preserve is sent, b3 as the default",
        _header_types("aws"),
    ),
    Rewrite("3.3", "", "settings of queues are sent in their old form", _old_queues),
    Rewrite("3.3", "", "prefixes of env vaults are sent with _ in place of -", _vault_prefixes),
    Rewrite("3.2", "", "settings of sessions are sent under their old names", _old_session),
    Rewrite(
        "3.2", "service_tls_unsupported", "services of protocol tls cannot verify their upstreams", _plain_tls_services
    ),
    Rewrite(
        "3.2",
        "algorithm_unknown:latency",
        "the algorithm latency is not known; round-robin is sent",
        _round_robin("latency"),
    ),
)
