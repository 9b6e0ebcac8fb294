"""The settings of a node about its connections to upstreams. A table, never code."""

from __future__ import annotations

from twinplane.settings.setting import LIST, SECONDS, SWITCH, TEXT, Setting, integer

UPSTREAMS: tuple[Setting, ...] = (
    Setting(
        "upstream_keepalive_pool_size",
        integer(0, 65535),
        "512",
        "Idle upstream connections kept by each worker.",
        names=(
            "upstream_keepalive_pool_size",
            "upstream_keepalive",
            "nginx_http_upstream_keepalive",
            "nginx_upstream_keepalive",
        ),
    ),
    Setting(
        "upstream_keepalive_max_requests",
        integer(0, 10**9),
        "10000",
        "Requests sent over one upstream connection.",
        names=(
            "upstream_keepalive_max_requests",
            "nginx_http_upstream_keepalive_requests",
            "nginx_upstream_keepalive_requests",
        ),
    ),
    Setting(
        "upstream_keepalive_idle_timeout",
        SECONDS,
        "60",
        "How long an idle upstream connection is kept.",
        names=(
            "upstream_keepalive_idle_timeout",
            "nginx_http_upstream_keepalive_timeout",
            "nginx_upstream_keepalive_timeout",
        ),
    ),
    Setting(
        "upstream_http2_streams",
        integer(1, 10_000),
        "100",
        "Requests at once on one HTTP/2 connection to an upstream, of the kind that gRPC services get; fewer where the "
        "upstream says so. Beyond that another connection is made.",
    ),
    Setting("client_ssl", SWITCH, "off", "Present client_ssl_cert to upstreams that ask for a certificate."),
    Setting("client_ssl_cert", TEXT, "", "Client certificate towards upstreams."),
    Setting("client_ssl_cert_key", TEXT, "", "Private key of that certificate.", secret=True),
    Setting(
        "lua_ssl_trusted_certificate",
        LIST,
        "system",
        "Authorities trusted for upstreams, plugins and the control plane.",
    ),
    Setting(
        "grpcs_tls_verify",
        SWITCH,
        "off",
        "Verify the certificates of services with the protocol grpcs, by lua_ssl_trusted_certificate.",
    ),
    Setting("lua_ssl_verify_depth", integer(0, 64), "1", "Longest chain of issuers accepted."),
)
