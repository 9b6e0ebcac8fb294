"""Names of Kong's that load and change nothing on a node, each with the reason. A table, never code."""

from __future__ import annotations

from typing import Any

from twinplane.settings.listeners import LISTENERS
from twinplane.settings.setting import TEXT, Kind, Setting

_CONTROL_PLANE = "A setting of control planes."
_NO_DATABASE = "A node uses no database."
_NO_GUI = "A node serves no pages."
_NO_LUA = "No Lua is run."
_NO_WASM = "No WebAssembly is run."
_SERVICE = "A matter of whoever starts the process."
_WHOLE = "A configuration is always swapped in whole."
_TICKETS = "Sessions are taken up again by tickets, which live for six hours; nothing is kept of them here."
_TRACING = "Requests are reported as telemetry and by log plugins; no spans are made."
_ARGUMENTS = "Plugins see all of them: bodies and heads have limits of their own."


def _idle(names: str, doc: str, *, secret: bool = False, kind: Kind[Any] = TEXT) -> tuple[Setting, ...]:
    return tuple(Setting(name, kind, "", doc, secret=secret, acted_on=False) for name in names.split())


IDLE: tuple[Setting, ...] = (
    *_idle("admin_gui_listen", _NO_GUI, kind=LISTENERS),
    *_idle("admin_gui_url admin_gui_path admin_gui_api_url admin_gui_origin admin_gui_csp_header", _NO_GUI),
    *_idle("admin_gui_csp_header_value admin_gui_access_log admin_gui_error_log admin_gui_ssl_cert", _NO_GUI),
    *_idle("admin_gui_ssl_cert_key", _NO_GUI, secret=True),
    *_idle("cluster_listen cluster_telemetry_listen cluster_data_plane_purge_delay cluster_ocsp", _CONTROL_PLANE),
    *_idle("cluster_allowed_common_names db_update_frequency db_update_propagation", _CONTROL_PLANE),
    *_idle("db_cache_ttl db_cache_neg_ttl db_cache_warmup_entities db_resurrect_ttl", _NO_DATABASE),
    *_idle(
        "pg_host pg_port pg_timeout pg_user pg_database pg_schema pg_ssl pg_ssl_version pg_ssl_verify", _NO_DATABASE
    ),
    *_idle("pg_ssl_required pg_ssl_cert pg_ssl_cert_key pg_max_concurrent_queries pg_semaphore_timeout", _NO_DATABASE),
    *_idle("pg_keepalive_timeout pg_pool_size pg_backlog pg_iam_auth pg_iam_auth_assume_role_arn", _NO_DATABASE),
    *_idle("pg_iam_auth_role_session_name pg_iam_auth_sts_endpoint_url", _NO_DATABASE),
    *_idle("pg_ro_host pg_ro_port pg_ro_timeout pg_ro_user pg_ro_database pg_ro_schema pg_ro_ssl", _NO_DATABASE),
    *_idle("pg_ro_ssl_required pg_ro_ssl_version pg_ro_ssl_verify pg_ro_max_concurrent_queries", _NO_DATABASE),
    *_idle("pg_ro_semaphore_timeout pg_ro_keepalive_timeout pg_ro_pool_size pg_ro_backlog", _NO_DATABASE),
    *_idle("pg_password pg_ro_password", _NO_DATABASE, secret=True),
    *_idle("cluster_cjson", "Frames are always read strictly."),
    *_idle("vitals", "Telemetry has its own settings."),
    *_idle("analytics_debug", "What telemetry does is logged with log_level = debug."),
    *_idle("dedicated_config_processing", "The link never runs where requests do."),
    *_idle("lmdb_map_size", "The cache is a file in the prefix; cluster_max_payload bounds it."),
    *_idle("lmdb_environment_path", "The cache is a file in the prefix."),
    *_idle("worker_consistency worker_state_update_frequency", _WHOLE),
    *_idle("worker_events_max_payload", "Workers send one another no events."),
    *_idle("lua_ssl_protocols", "TLS 1.2 and 1.3 are spoken with upstreams and sinks."),
    *_idle("lua_socket_pool_size lua_package_path lua_package_cpath openresty_path", _NO_LUA),
    *_idle("untrusted_lua untrusted_lua_sandbox_requires untrusted_lua_sandbox_environment", _NO_LUA),
    *_idle("lua_max_resp_headers lua_max_uri_args lua_max_post_args", _ARGUMENTS),
    *_idle("ssl_dhparam", "Key exchange over finite fields is not spoken."),
    *_idle("ssl_session_timeout ssl_session_cache_size", _TICKETS),
    *_idle("anonymous_reports", "Nothing is ever reported."),
    *_idle("tracing_instrumentations tracing_sampling_rate opentelemetry_tracing", _TRACING),
    *_idle("opentelemetry_tracing_sampling_rate", _TRACING),
    *_idle("wasm wasm_filters_path wasm_dynamic_module wasm_filters", _NO_WASM),
    *_idle("request_debug", "`twinplane explain` and status_explain tell what becomes of a request."),
    *_idle(
        "request_debug_token", "`twinplane explain` and status_explain tell what becomes of a request.", secret=True
    ),
    *_idle("kic", "A control plane has a face for ingress controllers; a node needs no word of it."),
    *_idle("nginx_user nginx_daemon", _SERVICE),
    *_idle("pluginserver_names", "Plugins in Python are installed into the node; others are not run."),
    *_idle("dns_no_sync", "A name is asked for once, however many requests wait for it."),
    *_idle("resolver_mem_cache_size", "Each worker has a cache of its own: see resolver_lru_cache_size."),
    *_idle("debug_listen debug_listen_local", "There is no debug port; the status port tells what a node does."),
)
