"""What Kong does about a setting of the same name where a node does otherwise. For the pages about settings."""

from __future__ import annotations

from collections.abc import Mapping

IN_KONG: Mapping[str, str] = {
    "prefix": "`/usr/local/kong` whoever starts it.",
    "proxy_access_log": "`logs/access.log` below the prefix.",
    "nginx_http_log_format": "All variables of nginx; `combined` and the like may be defined anew.",
    "admin_access_log": "`logs/admin_access.log` below the prefix; formats of one's own can be named.",
    "status_access_log": "The same; formats of one's own can be named.",
    "proxy_error_log": "`logs/error.log` below the prefix; a level may follow, which is ignored here: see `log_level`.",
    "admin_error_log": "`logs/error.log` below the prefix.",
    "status_error_log": "`logs/status_error.log` below the prefix.",
    "role": "`traditional` by default, with a database.",
    "database": "`postgres` by default.",
    "status_listen": "Speaks HTTP/2 too.",
    "ssl_cipher_suite": "`old` brings TLS 1.0, CBC and DHE; there is `fips`.",
    "ssl_protocols": "Ignored beside a named `ssl_cipher_suite`; TLS 1.0 and 1.1 can be spoken.",
    "vaults": "More kinds of vaults in its enterprise edition.",
    "certificate_check": "Has no such setting: files are read at the start.",
    "lua_max_req_headers": "More fields pass; plugins see the first ones.",
    "nginx_http_client_body_buffer_size": "`8k`; a longer body goes to a file, and plugins see none of it.",
    "nginx_http_client_header_timeout": "`60s`.",
    "nginx_http_keepalive_timeout": "`75s`.",
    "nginx_proxy_proxy_connect_timeout": "No effect: each service has a time of its own.",
    "nginx_proxy_proxy_send_timeout": "No effect: each service has a time of its own.",
    "nginx_proxy_proxy_read_timeout": "No effect: each service has a time of its own.",
    "nginx_proxy_proxy_buffer_size": "`4k` or `8k`, as the machine has it.",
    "nginx_proxy_proxy_buffers": "`8 4k` or `8 8k`, as the machine has it; up to 1 GiB more goes to a file.",
    "nginx_proxy_proxy_next_upstream": "Answers of some statuses may lead to another attempt, and so may a POST.",
    "nginx_events_worker_connections": "Counts connections to upstreams, too.",
    "mem_cache_size": "A cache of entities; here what proxy-cache keeps.",
    "response_buffers_total": "Has no such setting.",
    "rate_limit_redis_waiting": "Has no such setting.",
    "dns_order": "The same; addresses of both families are not asked for in the end.",
    "strict_conf": "Has no such setting: unknown properties are dropped in silence.",
    "ambiguous_paths": "Has no such setting: such paths are passed on.",
    "log_tls_verify": "Has no such setting: they are not verified.",
    "route_match_calculation": "Has no such setting.",
}
