"""Each property that a gateway node of Kong has: known here, of its class, with Kong's default or one that is said to
differ."""

from __future__ import annotations

import pytest

from twinplane.settings import NODE, SettingsError, load_node_settings
from twinplane.settings.directives import IDLE_DIRECTIVES

# What a node must act on, property and default; `-` is no default.
ACTED_ON = """
prefix -
log_level notice
proxy_access_log off
proxy_error_log /dev/stderr
role data_plane
database off
node_id -
plugins bundled
vaults bundled
vault_env_prefix -
cluster_control_plane 127.0.0.1:8005
cluster_cert -
cluster_cert_key -
cluster_ca_cert -
cluster_mtls shared
cluster_server_name -
cluster_dp_labels -
cluster_max_payload 16777216
cluster_use_proxy off
proxy_server -
proxy_server_ssl_verify on
cluster_rpc off
cluster_rpc_sync off
incremental_sync off
cluster_telemetry_endpoint -
cluster_telemetry_server_name -
konnect_mode off
analytics_flush_interval 1
analytics_buffer_size_limit 100000
cluster_fallback_config_import off
cluster_fallback_config_export off
cluster_fallback_config_storage -
cluster_fallback_config_export_delay 60
declarative_config -
declarative_config_string -
proxy_listen 0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384
status_listen 127.0.0.1:8007
port_maps -
host_ports -
ssl_cert -
ssl_cert_key -
ssl_cipher_suite intermediate
ssl_ciphers -
ssl_protocols TLSv1.2 TLSv1.3
ssl_prefer_server_ciphers on
ssl_session_tickets on
status_ssl_cert -
status_ssl_cert_key -
client_ssl off
client_ssl_cert -
client_ssl_cert_key -
lua_ssl_trusted_certificate system
lua_ssl_verify_depth 1
headers server_tokens, latency_tokens, X-Kong-Request-Id
headers_upstream X-Kong-Request-Id
trusted_ips -
real_ip_header X-Real-IP
real_ip_recursive off
error_default_type text/plain
error_template_html -
error_template_json -
error_template_xml -
error_template_plain -
allow_debug_header off
upstream_keepalive_pool_size 512
upstream_keepalive_max_requests 10000
upstream_keepalive_idle_timeout 60
nginx_http_client_max_body_size 0
nginx_http_keepalive_requests 10000
nginx_http_keepalive_timeout 60s
nginx_http_client_body_buffer_size 8m
nginx_http_client_body_timeout 60s
nginx_http_client_header_timeout 10s
nginx_http_send_timeout 60s
nginx_http_large_client_header_buffers 4 8k
nginx_http_client_header_buffer_size 1k
nginx_proxy_proxy_connect_timeout 60s
nginx_proxy_proxy_send_timeout 60s
nginx_proxy_proxy_read_timeout 60s
nginx_proxy_proxy_buffer_size -
nginx_proxy_proxy_buffering on
nginx_proxy_proxy_buffers 16 64k
nginx_proxy_proxy_next_upstream error timeout
nginx_proxy_proxy_next_upstream_tries 0
nginx_worker_processes auto
nginx_main_worker_rlimit_nofile auto
nginx_events_worker_connections auto
dns_resolver -
dns_hostsfile /etc/hosts
dns_order LAST,SRV,A,CNAME
dns_valid_ttl -
dns_stale_ttl 3600
dns_cache_size 10000
dns_not_found_ttl 30
dns_error_ttl 1
new_dns_client off
resolver_address -
resolver_hosts_file /etc/hosts
resolver_family A,SRV
resolver_valid_ttl -
resolver_stale_ttl 3600
resolver_error_ttl 1
resolver_lru_cache_size 10000
router_flavor traditional_compatible
mem_cache_size 128m
lua_max_req_headers 100
"""

# Defaults that are not Kong's.
OTHERWISE = {
    "prefix": "/usr/local/kong for root, the user's state directory for others",
    "role": "the program is a node: traditional is what has to be asked for",
    "database": "a node has none",
    "proxy_access_log": "logs/access.log",
    "proxy_error_log": "logs/error.log",
    "nginx_http_client_body_buffer_size": "8k, and files for more",
    "nginx_http_client_header_timeout": "60s",
    "nginx_proxy_proxy_buffers": "8 4k or 8 8k, and files for more",
    "nginx_http_keepalive_timeout": "75s",
    "analytics_buffer_size_limit": "bounded by records, not by bytes",
    "ssl_prefer_server_ciphers": "on, as Kong's own table says",
}

# What a node takes and does nothing about.
IDLE = """
vitals analytics_debug cluster_cjson cluster_listen cluster_telemetry_listen cluster_data_plane_purge_delay cluster_ocsp
cluster_allowed_common_names db_update_frequency db_update_propagation db_cache_ttl db_cache_neg_ttl db_resurrect_ttl
db_cache_warmup_entities pg_host pg_port pg_timeout pg_user pg_password pg_database pg_schema pg_ssl pg_ssl_verify
pg_max_concurrent_queries pg_semaphore_timeout pg_keepalive_timeout pg_pool_size pg_backlog pg_ro_host pg_ro_password
admin_gui_listen admin_gui_url admin_gui_path admin_gui_api_url admin_gui_csp_header admin_gui_ssl_cert
admin_gui_ssl_cert_key lmdb_map_size dedicated_config_processing worker_consistency worker_state_update_frequency
worker_events_max_payload lua_socket_pool_size lua_max_resp_headers lua_max_uri_args lua_max_post_args
lua_package_path lua_package_cpath lua_ssl_protocols ssl_dhparam ssl_session_timeout ssl_session_cache_size
anonymous_reports untrusted_lua untrusted_lua_sandbox_requires untrusted_lua_sandbox_environment wasm wasm_filters_path
tracing_instrumentations tracing_sampling_rate request_debug request_debug_token kic openresty_path nginx_user
nginx_daemon dns_no_sync resolver_mem_cache_size pluginserver_names
"""

MINIMAL = {"KONG_CLUSTER_CERT": "/c.pem", "KONG_CLUSTER_CERT_KEY": "/c.key"}
BY_NAME = {setting.name: setting for setting in NODE}
ROWS = [line.split(" ", 1) for line in ACTED_ON.strip().splitlines()]


@pytest.mark.parametrize(("name", "default"), ROWS, ids=[row[0] for row in ROWS])
def test_a_property_that_counts_is_acted_on_with_its_default(name: str, default: str) -> None:
    setting = BY_NAME[name]
    assert setting.acted_on
    assert setting.default == ("" if default == "-" else default)


@pytest.mark.parametrize("name", IDLE.split())
def test_a_property_that_means_nothing_here_is_warned_of_by_name_and_reason(name: str) -> None:
    assert not BY_NAME[name].acted_on
    text = "off" if name.endswith("_listen") and BY_NAME[name].kind.name == "listeners" else "x"
    warnings = load_node_settings(None, {**MINIMAL, f"KONG_{name.upper()}": text}).warnings
    own = [warning for warning in warnings if f": {name}: " in warning]
    assert len(own) == (0 if text == "off" else 1)
    assert all(warning.endswith(BY_NAME[name].doc) for warning in own)


def test_names_are_one_settings_each() -> None:
    names = [name for setting in NODE for name in (setting.name, *setting.aliases)]
    assert len(names) == len(set(names))
    assert all(setting.name in setting.given_by for setting in NODE)
    assert set(OTHERWISE) <= set(BY_NAME)


def test_each_default_is_a_value_of_its_kind() -> None:
    for setting in NODE:
        if setting.default:
            setting.kind.read(setting.default)


@pytest.mark.parametrize(
    ("name", "weaker", "stronger"),
    [
        ("nginx_proxy_proxy_read_timeout", "nginx_http_proxy_read_timeout", "nginx_proxy_proxy_read_timeout"),
        ("nginx_proxy_proxy_connect_timeout", "nginx_http_proxy_connect_timeout", "nginx_proxy_proxy_connect_timeout"),
        ("nginx_proxy_proxy_send_timeout", "nginx_proxy_proxy_send_timeout", "nginx_location_proxy_send_timeout"),
        ("nginx_http_client_max_body_size", "client_max_body_size", "nginx_http_client_max_body_size"),
        ("nginx_http_client_max_body_size", "nginx_http_client_max_body_size", "nginx_proxy_client_max_body_size"),
        ("nginx_http_client_body_buffer_size", "client_body_buffer_size", "nginx_http_client_body_buffer_size"),
        ("nginx_proxy_proxy_buffer_size", "nginx_http_proxy_buffer_size", "nginx_proxy_proxy_buffer_size"),
        (
            "nginx_proxy_proxy_next_upstream_tries",
            "nginx_http_proxy_next_upstream_tries",
            "nginx_proxy_proxy_next_upstream_tries",
        ),
        ("upstream_keepalive_pool_size", "upstream_keepalive_pool_size", "nginx_upstream_keepalive"),
        ("real_ip_header", "real_ip_header", "nginx_http_real_ip_header"),
        ("nginx_worker_processes", "nginx_worker_processes", "nginx_main_worker_processes"),
    ],
)
def test_the_inner_block_counts_before_the_outer_one_and_that_before_the_property(
    name: str, weaker: str, stronger: str
) -> None:
    for order in ((weaker, stronger), (stronger, weaker)):
        text = {weaker: "3000", stronger: "2000"} if "worker" not in name else {weaker: "3", stronger: "2"}
        given = {f"KONG_{each.upper()}": text[each] for each in order}
        alone = load_node_settings(None, {**MINIMAL, f"KONG_{stronger.upper()}": text[stronger]})
        assert load_node_settings(None, {**MINIMAL, **given})[name] == alone[name]
        assert load_node_settings(None, {**MINIMAL, f"KONG_{weaker.upper()}": text[weaker]})[name] != alone[name]


def test_of_several_names_that_of_the_inner_block_counts() -> None:
    given = {
        "KONG_NGINX_HTTP_KEEPALIVE_REQUESTS": "5",
        "KONG_NGINX_PROXY_KEEPALIVE_REQUESTS": "7",
        "KONG_CLIENT_BODY_BUFFER_SIZE": "16m",
        "KONG_NGINX_HTTP_SSL_PROTOCOLS": "TLSv1.3",
        "KONG_NGINX_MAIN_WORKER_PROCESSES": "3",
        "KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT": "2m",
    }
    settings = load_node_settings(None, {**MINIMAL, **given})
    assert settings.warnings == ()
    assert settings["nginx_http_keepalive_requests"] == 7
    assert settings["nginx_http_client_body_buffer_size"] == 16 * 1024 * 1024
    assert (settings["ssl_protocols"], settings["nginx_worker_processes"]) == (("TLSv1.3",), 3)
    assert settings["upstream_keepalive_idle_timeout"] == 120


def test_a_directive_is_obeyed_idle_or_unknown() -> None:
    given = {
        "KONG_NGINX_HTTP_SEND_TIMEOUT": "1m 30s",
        "KONG_NGINX_PROXY_PROXY_BUFFERS": "8 16k",
        "KONG_NGINX_PROXY_PROXY_BUSY_BUFFERS_SIZE": "16k",
        "KONG_NGINX_HTTP_LUA_SHARED_DICT": "cache 1m",
        "KONG_NGINX_PROXY_INCLUDE": "/etc/more.conf",
        "KONG_NGINX_HTTP_GZIP": "on",
        "KONG_NGINX_PROXY_PROXY_NEXT_UPSTREAM": "error http_502 non_idempotent",
    }
    settings = load_node_settings(None, {**MINIMAL, **given})
    assert settings["nginx_http_send_timeout"] == 90_000
    assert settings["nginx_proxy_proxy_buffers"] == (8, 16 * 1024)
    told = sorted(warning.split(": ", 1)[1] for warning in settings.warnings)
    assert told == [
        "nginx_http_gzip: unknown directive, not obeyed",
        "nginx_http_lua_shared_dict: has no effect: No Lua is run.",
        "nginx_proxy_include: unknown directive, not obeyed",
        f"nginx_proxy_proxy_busy_buffers_size: has no effect: {IDLE_DIRECTIVES['proxy_busy_buffers_size']}",
        "nginx_proxy_proxy_next_upstream: 'http_502' is not heeded: an answer is passed on",
        "nginx_proxy_proxy_next_upstream: 'non_idempotent' is not heeded: nothing that could act twice is sent twice",
    ]


def test_strict_conf_refuses_what_is_unknown_all_at_once_and_nothing_else() -> None:
    given = {
        "KONG_STRICT_CONF": "true",
        "KONG_NGINX_HTTP_GZIP": "on",
        "KONG_PORXY_LISTEN": "0.0.0.0:1",
        "KONG_NGINX_PROXY_PROXY_TEMP_PATH": "/tmp",
        "KONG_WASM": "off",
    }
    with pytest.raises(SettingsError) as refused:
        load_node_settings(None, {**MINIMAL, **given})
    assert {mistake.name for mistake in refused.value.mistakes} == {"nginx_http_gzip", "porxy_listen"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx_http_client_max_body_size", "8 k"),
        ("nginx_http_client_max_body_size", "99999999999999999999"),
        ("nginx_http_client_max_body_size", "9" * 5000),
        ("mem_cache_size", "99999999999g"),
        ("nginx_http_large_client_header_buffers", "8k"),
        ("nginx_http_large_client_header_buffers", "4 8"),
        ("nginx_http_large_client_header_buffers", "900 8k"),
        ("nginx_http_client_header_timeout", "0"),
        ("nginx_http_client_header_timeout", "a minute"),
        ("nginx_http_send_timeout", "2d"),
        ("nginx_http_keepalive_timeout", "1s 2s 3s"),
        ("nginx_proxy_proxy_next_upstream", "off error"),
        ("nginx_proxy_proxy_next_upstream", "sometimes"),
        ("nginx_proxy_proxy_buffer_size", "2m"),
        ("nginx_proxy_proxy_buffers", "8"),
        ("nginx_proxy_proxy_buffers", "100 8k"),
        ("nginx_events_worker_connections", "0"),
        ("nginx_main_worker_rlimit_nofile", "many"),
        ("lua_max_req_headers", "1001"),
        ("vaults", "aws"),
        ("proxy_error_log", "syslog:server=h"),
        ("proxy_error_log", "off"),
        ("proxy_access_log", "logs/a.log own_format"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_node_settings(None, {**MINIMAL, f"KONG_{name.upper()}": text})
    assert [mistake.name for mistake in refused.value.mistakes] == [name]


def test_a_setting_may_refer_to_a_secret() -> None:
    given = {
        **MINIMAL,
        "KONG_PROXY_SERVER": "{vault://env/forward-proxy}",
        "KONG_LOG_LEVEL": "{vault://env/levels/node}",
        "KONG_VAULT_ENV_PREFIX": "MY_",
        "MY_FORWARD_PROXY": "http://proxy:3128",
        "MY_LEVELS": '{"node": "warn"}',
    }
    settings = load_node_settings(None, given)
    assert (settings["proxy_server"], settings["log_level"]) == ("http://proxy:3128", "warn")
    assert settings.vault_env_prefix == "MY_"


def test_what_a_reference_leads_to_is_shown_to_nobody() -> None:
    given = {
        **MINIMAL,
        "KONG_REAL_IP_HEADER": "{vault://env/x}",
        "KONG_NGINX_PROXY_SSL_CIPHERS": "{vault://env/x}",
        "X": "topsecret",
    }
    settings = load_node_settings(None, given)
    assert settings["real_ip_header"] == "topsecret"
    masked = settings.masked()
    assert (masked["real_ip_header"], masked["ssl_ciphers"], masked["log_level"]) == ("******", "******", "notice")
    assert "topsecret" not in str(settings.taking(load_node_settings(None, MINIMAL)).masked())
    assert "topsecret" not in str(load_node_settings(None, MINIMAL).taking(settings).masked())


def test_what_a_reference_leads_to_is_not_repeated_in_a_mistake() -> None:
    names = ("log_level", "nginx_http_keepalive_requests", "cluster_dp_labels", "database")
    given = {f"KONG_{name.upper()}": "{vault://env/x}" for name in names}
    with pytest.raises(SettingsError) as refused:
        load_node_settings(None, {**MINIMAL, **given, "X": "top_secret!"})
    assert {mistake.name for mistake in refused.value.mistakes} == set(names)
    assert "top_secret" not in str(refused.value)


def test_strict_conf_may_be_given_by_reference() -> None:
    given = {**MINIMAL, "KONG_STRICT_CONF": "{vault://env/x}", "X": "on", "KONG_PORXY_LISTEN": "0.0.0.0:1"}
    with pytest.raises(SettingsError, match="porxy_listen: unknown setting"):
        load_node_settings(None, given)


@pytest.mark.parametrize("vaults", ["bundled", "off"])
def test_a_reference_that_leads_nowhere_is_a_mistake(vaults: str) -> None:
    given = {**MINIMAL, "KONG_PROXY_SERVER": "{vault://env/absent}", "KONG_VAULTS": vaults}
    with pytest.raises(SettingsError, match=r"proxy_server: \{vault://env/absent\} ") as refused:
        load_node_settings(None, given)
    assert len(refused.value.mistakes) == 1
