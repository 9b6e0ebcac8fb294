"""Which settings a node takes into use while it serves, at SIGHUP. All others are those of the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.settings.directives import DIRECTIVES

_NAMED = """
    log_level declarative_config declarative_config_string
    proxy_listen stream_listen status_listen status_ssl_cert status_ssl_cert_key
    admin_listen admin_ssl_cert admin_ssl_cert_key admin_token admin_remote_access admin_hosts admin_origins
    port_maps host_ports trusted_ips real_ip_header real_ip_recursive
    ssl_cert ssl_cert_key ssl_cipher_suite ssl_ciphers ssl_protocols ssl_prefer_server_ciphers ssl_session_tickets
    headers headers_upstream allow_debug_header lua_max_req_headers response_buffers_total rate_limit_redis_waiting
    error_default_type error_template_html error_template_json error_template_xml error_template_plain
    client_ssl client_ssl_cert client_ssl_cert_key
    upstream_keepalive_pool_size upstream_keepalive_max_requests upstream_keepalive_idle_timeout
    upstream_http2_streams
    dns_resolver dns_hostsfile dns_order dns_cache_size dns_valid_ttl dns_stale_ttl dns_not_found_ttl dns_error_ttl
    new_dns_client resolver_address resolver_hosts_file resolver_family resolver_valid_ttl resolver_stale_ttl
    resolver_error_ttl resolver_lru_cache_size
"""
_OF_THE_PROCESS = "nginx_main_worker_rlimit_nofile"

RELOADED: frozenset[str] = frozenset(
    {*_NAMED.split(), *(setting.name for setting in DIRECTIVES if setting.name != _OF_THE_PROCESS)}
)


def merged(values: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What is in force once `found` was read: of what cannot be taken into use, the values of before."""
    return {name: found[name] if name in RELOADED else value for name, value in values.items()}


def left_out(values: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of settings that changed and need a restart."""
    return sorted(name for name, value in found.items() if value != values[name] and name not in RELOADED)
