"""The settings of a node about its own ports, and about who comes in there. A table, never code."""

from __future__ import annotations

from twinplane.settings.listeners import LISTENERS, PORT_MAPS, STREAM_LISTENERS
from twinplane.settings.setting import LIST, NETWORKS, SWITCH, TEXT, Setting, integer, one_of
from twinplane.settings.tls import SUITES, TLS_VERSIONS

LISTENING: tuple[Setting, ...] = (
    Setting(
        "proxy_listen",
        LISTENERS,
        "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384",
        "Where client traffic is taken: address:port with flags, separated by commas. See docs/guides/listeners.md.",
    ),
    Setting(
        "status_listen",
        LISTENERS,
        "127.0.0.1:8007",
        "Where status, readiness and metrics are served, with the same flags; off for nowhere.",
    ),
    Setting(
        "port_maps",
        PORT_MAPS,
        "",
        "Ports that clients see where another one is listened on, as seen:listening: 443:8443. X-Forwarded-Port and "
        "redirects to https carry them.",
    ),
    Setting("host_ports", PORT_MAPS, "", "The same as port_maps; both count."),
    Setting("ssl_cert", LIST, "", "Certificates served where no name matches. Default: made at first start."),
    Setting("ssl_cert_key", LIST, "", "Private keys of ssl_cert, in the same order.", secret=True),
    Setting(
        "ssl_cipher_suite",
        one_of(*SUITES),
        "intermediate",
        "modern (TLS 1.3 only), intermediate, old (as intermediate, with a warning) or custom (ssl_ciphers); no fips.",
    ),
    Setting(
        "ssl_ciphers",
        TEXT,
        "",
        "Suites of ssl_cipher_suite = custom, as OpenSSL writes them. Those that are not spoken are told in a warning.",
        names=(
            "ssl_ciphers",
            "nginx_http_ssl_ciphers",
            "nginx_proxy_ssl_ciphers",
        ),
    ),
    Setting(
        "ssl_prefer_server_ciphers",
        SWITCH,
        "on",
        "With custom suites: their order counts, not the client's.",
        names=(
            "ssl_prefer_server_ciphers",
            "nginx_http_ssl_prefer_server_ciphers",
            "nginx_proxy_ssl_prefer_server_ciphers",
        ),
    ),
    Setting(
        "ssl_protocols",
        TLS_VERSIONS,
        "TLSv1.2 TLSv1.3",
        "TLS versions taken from clients; ssl_cipher_suite may narrow them further.",
        names=(
            "ssl_protocols",
            "nginx_http_ssl_protocols",
            "nginx_proxy_ssl_protocols",
        ),
    ),
    Setting(
        "ssl_session_tickets",
        SWITCH,
        "on",
        "Let clients take TLS sessions up again by a ticket.",
        names=(
            "ssl_session_tickets",
            "nginx_http_ssl_session_tickets",
            "nginx_proxy_ssl_session_tickets",
        ),
    ),
    Setting("status_ssl_cert", LIST, "", "Certificates of status_listen with ssl. Default: made at first start."),
    Setting("status_ssl_cert_key", LIST, "", "Private keys of status_ssl_cert, in the same order.", secret=True),
    Setting(
        "stream_listen",
        STREAM_LISTENERS,
        "off",
        "Where streams are taken: address:port with flags such as ssl, udp and proxy_protocol, separated by commas. "
        "See docs/guides/streams.md.",
    ),
    Setting(
        "stream_udp_sessions_max",
        integer(0, 10**7),
        "10000",
        "Sessions of datagrams open at a time on the node; those of further clients are dropped and counted.",
    ),
    Setting(
        "trusted_ips",
        NETWORKS,
        "",
        "Peers whose X-Forwarded-* and X-Real-IP headers are believed.",
        names=(
            "trusted_ips",
            "nginx_http_set_real_ip_from",
            "nginx_proxy_set_real_ip_from",
        ),
    ),
    Setting(
        "real_ip_header",
        TEXT,
        "X-Real-IP",
        "Header that a trusted peer names the client in.",
        names=(
            "real_ip_header",
            "nginx_http_real_ip_header",
            "nginx_proxy_real_ip_header",
        ),
    ),
    Setting(
        "real_ip_recursive",
        SWITCH,
        "off",
        "Skip trusted addresses in that header, from the right.",
        names=(
            "real_ip_recursive",
            "nginx_http_real_ip_recursive",
            "nginx_proxy_real_ip_recursive",
        ),
    ),
)
