"""The settings of a node about its control plane, and about what it keeps of it on disk. A table, never code."""

from __future__ import annotations

from twinplane.settings.setting import ENDPOINT, FILE_URL, LIST, SWITCH, TEXT, Setting, integer, number, one_of

LINK: tuple[Setting, ...] = (
    Setting("cluster_control_plane", ENDPOINT, "127.0.0.1:8005", "Control plane to take configuration from."),
    Setting(
        "cluster_server_name", TEXT, "", "Server name asked of the control plane. Default: the host that is dialled."
    ),
    Setting("cluster_telemetry_endpoint", ENDPOINT, "", "Where telemetry goes. Default: no telemetry leaves the node."),
    Setting("cluster_telemetry_server_name", TEXT, "", "Server name asked of the telemetry endpoint."),
    Setting(
        "cluster_mtls",
        one_of("shared", "pki", "pki_check_cn"),
        "shared",
        "shared: both ends hold one certificate; pki, pki_check_cn: certificates of an authority.",
    ),
    Setting("cluster_cert", TEXT, "", "Client certificate of the node: a path, PEM text or base64 of it."),
    Setting(
        "cluster_cert_key", TEXT, "", "Private key of that certificate: a path, PEM text or base64 of it.", secret=True
    ),
    Setting(
        "cluster_ca_cert",
        TEXT,
        "",
        "Authority that the control plane's certificate must come from (pki): a path, PEM text or base64 of it.",
    ),
    Setting(
        "certificate_check",
        number(0.1, 3600, unit="seconds"),
        "5",
        "How often certificate files are looked at; new ones are used without a restart.",
    ),
    Setting("cluster_dp_labels", LIST, "", "Labels of the node, as key:value."),
    Setting(
        "cluster_max_payload",
        integer(4194304, 2**31, unit="bytes"),
        "16777216",
        "Largest compressed configuration taken.",
    ),
    Setting("cluster_use_proxy", SWITCH, "off", "Reach the control plane through proxy_server."),
    Setting("proxy_server", TEXT, "", "Forward proxy, as http[s]://[user:password@]host:port.", secret=True),
    Setting("proxy_server_ssl_verify", SWITCH, "on", "Verify the certificate of an https forward proxy."),
    Setting(
        "cluster_rpc",
        SWITCH,
        "off",
        "Speak version 2 of the link where the control plane does; needs cluster_rpc_sync too.",
    ),
    Setting("cluster_rpc_sync", SWITCH, "off", "Take configuration by deltas over version 2 of the link."),
    Setting("incremental_sync", SWITCH, "off", "Another name for both of them."),
    Setting("konnect_mode", SWITCH, "off", "Report configuration that cannot be applied to the control plane."),
    Setting("analytics_flush_interval", number(0.1, 3600, unit="seconds"), "1", "How often telemetry is sent."),
    Setting(
        "analytics_buffer_size_limit",
        integer(1, 10_000_000, unit="records"),
        "100000",
        "Request records kept while the control plane is away.",
    ),
    Setting(
        "link_deltas",
        SWITCH,
        "on",
        "Take changes row by row from a twinplane control plane; the rows are kept in memory for that.",
    ),
    Setting(
        "cache_encryption",
        SWITCH,
        "off",
        "Encrypt what the node keeps on disk with a key derived from cluster_cert_key.",
    ),
    Setting(
        "cache_encryption_old_keys",
        LIST,
        "",
        "Files of former certificate keys that the cache may still be encrypted with.",
        secret=True,
    ),
    Setting(
        "cluster_fallback_config_import",
        SWITCH,
        "off",
        "Start from the fallback configuration where the cache is empty and the control plane does not answer.",
    ),
    Setting(
        "cluster_fallback_config_export",
        SWITCH,
        "off",
        "Write what the control plane says to the fallback configuration.",
    ),
    Setting(
        "cluster_fallback_config_storage",
        FILE_URL,
        "",
        "Where the fallback configuration is: file:///directory, shared by the nodes of one control plane.",
    ),
    Setting(
        "cluster_fallback_config_export_delay",
        integer(0, 86400, unit="seconds"),
        "60",
        "How long a configuration waits before it is exported; newer ones take its place.",
    ),
)
