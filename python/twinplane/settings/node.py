"""The settings of a data plane node, by the names of `kong.conf`.

A table, never code: what a name does is decided where its value is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinplane.settings.audit import AUDIT_NODE
from twinplane.settings.balancing import BALANCING
from twinplane.settings.conf_file import SEARCHED, read_conf_file, read_environment
from twinplane.settings.forward_proxy import read_proxy_server
from twinplane.settings.listeners import LISTENERS, PORT_MAPS
from twinplane.settings.logs import LOGS
from twinplane.settings.python_plugins import PYTHON_PLUGINS
from twinplane.settings.serving import port_maps, serving_mistakes, serving_warnings, tls_choice
from twinplane.settings.setting import (
    ENDPOINT,
    FILE_URL,
    LIST,
    NETWORKS,
    PATH,
    SIZE,
    SWITCH,
    TEXT,
    WORKERS,
    Kind,
    Mistake,
    Setting,
    SettingsError,
    integer,
    number,
    one_of,
    read_values,
)
from twinplane.settings.tls import SUITES, TLS_VERSIONS, TlsChoice

_PROXY_LISTEN = "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384"
_MS_MAX = 2**31 - 2


def _accepted(name: str, doc: str, *, secret: bool = False, kind: Kind[Any] = TEXT) -> Setting:
    """A name of Kong's that loads and changes nothing here. What is no value of its kind is refused all the same."""
    return Setting(name, kind, "", doc, secret=secret, acted_on=False)


SETTINGS: tuple[Setting, ...] = (
    # The process
    Setting(
        "prefix", PATH, "", "Working directory: cache, node id, telemetry backlog. Default: the user's state directory."
    ),
    Setting(
        "log_level",
        one_of("debug", "info", "notice", "warn", "error", "crit"),
        "notice",
        "Least severe level that is logged.",
    ),
    Setting(
        "role",
        one_of("traditional", "data_plane"),
        "data_plane",
        "data_plane joins a control plane; traditional serves a declarative file.",
    ),
    Setting(
        "database",
        one_of("off", "postgres"),
        "off",
        "off: the node keeps its configuration in memory. A node never uses a database.",
    ),
    Setting("node_id", TEXT, "", "Identity of the node, a UUID. Default: made once and kept in the prefix."),
    Setting("node_version", TEXT, "3.9.3", "Gateway version that the node announces to its control plane."),
    Setting("nginx_worker_processes", WORKERS, "auto", "Worker threads that proxy; auto is one for each processor."),
    Setting("strict_conf", SWITCH, "off", "Refuse to start where this file names an unknown setting."),
    # The control plane
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
    *AUDIT_NODE,
    *LOGS,
    Setting(
        "analytics_buffer_size_limit",
        integer(1, 10_000_000, unit="records"),
        "100000",
        "Request records kept while the control plane is away.",
    ),
    Setting(
        "license_expiry",
        one_of("warn", "restart", "enforce"),
        "warn",
        "What the end of a license means, where the configuration has one. warn: traffic goes on; restart: an expired "
        "node does not start again; enforce: every request is answered with 503.",
    ),
    # What is kept on disk
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
    # The configuration of a node without control plane
    Setting(
        "declarative_config",
        PATH,
        "",
        "File to take the configuration from. With role = data_plane only where the cache is empty.",
    ),
    Setting("declarative_config_string", TEXT, "", "Configuration as text, instead of a file."),
    # Listening
    Setting(
        "proxy_listen",
        LISTENERS,
        _PROXY_LISTEN,
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
    ),
    Setting("ssl_prefer_server_ciphers", SWITCH, "on", "With custom suites: their order counts, not the client's."),
    Setting(
        "ssl_protocols",
        TLS_VERSIONS,
        "TLSv1.2 TLSv1.3",
        "TLS versions taken from clients; ssl_cipher_suite may narrow them further.",
    ),
    Setting("ssl_session_tickets", SWITCH, "on", "Let clients take TLS sessions up again by a ticket."),
    Setting("status_ssl_cert", LIST, "", "Certificates of status_listen with ssl. Default: made at first start."),
    Setting("status_ssl_cert_key", LIST, "", "Private keys of status_ssl_cert, in the same order.", secret=True),
    Setting("trusted_ips", NETWORKS, "", "Peers whose X-Forwarded-* and X-Real-IP headers are believed."),
    Setting("real_ip_header", TEXT, "X-Real-IP", "Header that a trusted peer names the client in."),
    Setting("real_ip_recursive", SWITCH, "off", "Skip trusted addresses in that header, from the right."),
    Setting("nginx_http_client_max_body_size", SIZE, "0", "Largest request body; 0 is no limit."),
    Setting("nginx_http_keepalive_requests", integer(1, 10**9), "10000", "Requests taken from one client connection."),
    # Answers
    Setting(
        "headers", LIST, "server_tokens, latency_tokens, X-Kong-Request-Id", "Headers added to answers; off for none."
    ),
    Setting("headers_upstream", LIST, "X-Kong-Request-Id", "Headers added to requests on their way up; off for none."),
    Setting(
        "error_default_type",
        one_of("text/plain", "text/html", "application/json", "application/xml"),
        "text/plain",
        "Form of errors that are raised before a request is understood.",
    ),
    Setting(
        "allow_debug_header", SWITCH, "off", "Name route and service in answers to requests with a Kong-Debug header."
    ),
    Setting(
        "ambiguous_paths",
        one_of("refuse", "allow"),
        "refuse",
        "Paths with %2F, a backslash, ; and the like, which servers read differently, on routes that ask who calls.",
    ),
    Setting(
        "router_flavor",
        one_of("traditional_compatible", "expressions", "traditional"),
        "traditional_compatible",
        "How routes are written and ranked: by attributes as in Kong 3.x, by expressions, by attributes as in 2.x.",
    ),
    Setting(
        "route_match_calculation",
        one_of("original", "strict"),
        "original",
        "original: the priorities of Kong 3.x as they are; strict: as documented.",
    ),
    Setting(
        "status_explain",
        SWITCH,
        "off",
        "Whether `POST /explain` on the status port tells what would become of a request. It shows routes and plugins.",
    ),
    Setting("mem_cache_size", SIZE, "128m", "Bytes of answers that proxy-cache keeps, all such plugins together."),
    # Upstreams
    Setting("upstream_keepalive_pool_size", integer(0, 65535), "512", "Idle upstream connections kept by each worker."),
    Setting(
        "upstream_keepalive_max_requests", integer(0, 10**9), "10000", "Requests sent over one upstream connection."
    ),
    Setting(
        "upstream_keepalive_idle_timeout",
        integer(0, 86400, unit="seconds"),
        "60",
        "How long an idle upstream connection is kept.",
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
    Setting("lua_ssl_verify_depth", integer(0, 64), "1", "Longest chain of issuers accepted."),
    *BALANCING,
    *PYTHON_PLUGINS,
    # Accepted and without effect
    _accepted("vaults", "Accepted."),
    _accepted("vitals", "Telemetry has its own settings."),
    _accepted("admin_listen", "A node has no Admin API; its control plane has one.", kind=LISTENERS),
    _accepted("admin_gui_listen", "A node serves no pages.", kind=LISTENERS),
    _accepted("stream_listen", "Streams are not proxied yet."),
    _accepted("cluster_listen", "A setting of control planes."),
    _accepted("cluster_telemetry_listen", "A setting of control planes."),
    _accepted("cluster_data_plane_purge_delay", "A setting of control planes."),
    _accepted("cluster_ocsp", "A setting of control planes."),
    _accepted("dedicated_config_processing", "The link never runs where requests do."),
    _accepted("lmdb_environment_path", "The cache is a file in the prefix."),
    _accepted("lmdb_map_size", "The cache is a file in the prefix."),
    _accepted("db_update_frequency", "A setting of control planes."),
    _accepted("db_update_propagation", "Accepted."),
    _accepted("db_cache_ttl", "Accepted."),
    _accepted("worker_consistency", "A configuration is always swapped in whole."),
    _accepted("worker_state_update_frequency", "A configuration is always swapped in whole."),
    _accepted("ssl_dhparam", "Accepted."),
    _accepted("ssl_session_timeout", "Accepted."),
    _accepted("ssl_session_cache_size", "Accepted."),
    _accepted("lua_ssl_protocols", "TLS 1.2 and 1.3 are used."),
    _accepted("lua_socket_pool_size", "Accepted."),
    _accepted("proxy_access_log", "Requests are reported as telemetry and by log plugins."),
    _accepted("proxy_error_log", "The node logs to standard error."),
    _accepted("admin_access_log", "Accepted."),
    _accepted("admin_error_log", "Accepted."),
    _accepted("status_access_log", "Accepted."),
    _accepted("status_error_log", "Accepted."),
    _accepted("anonymous_reports", "Nothing is ever reported."),
    _accepted("untrusted_lua", "No Lua is run."),
    _accepted("tracing_instrumentations", "Accepted."),
    _accepted("tracing_sampling_rate", "Accepted."),
    _accepted("wasm", "Accepted."),
    _accepted("client_body_buffer_size", "Accepted."),
    _accepted("dns_no_sync", "A name is asked for once, however many requests wait for it."),
    _accepted("resolver_mem_cache_size", "Each worker has a cache of its own: see resolver_lru_cache_size."),
    _accepted("analytics_debug", "Accepted."),
    _accepted("pg_host", "A node uses no database."),
    _accepted("pg_password", "A node uses no database.", secret=True),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_LABEL = re.compile(r"[a-z0-9]([\w.:-]{0,61}[a-z0-9])?", re.IGNORECASE)
_RESERVED_LABELS = ("kong", "konnect", "insomnia", "mesh", "kic")
LABELS_MAX = 10


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The checked settings of one node, by name, and what was odd about the texts they came from."""

    values: Mapping[str, Any]
    warnings: tuple[str, ...]
    path: Path | None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def labels(self) -> dict[str, str]:
        """The node's labels."""
        return dict(label.split(":", 1) for label in self.values["cluster_dp_labels"] or ())

    @property
    def port_maps(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a port that clients see and the one that is listened on."""
        return port_maps(self.values)

    @property
    def tls(self) -> TlsChoice:
        """What is spoken with clients."""
        return tls_choice(self.values)

    def masked(self) -> dict[str, Any]:
        """Every value as it may be shown to others: secrets as asterisks."""
        return {name: _shown(_BY_NAME[name], value) for name, value in self.values.items() if value is not None}


def _shown(setting: Setting, value: Any) -> Any:
    if setting.secret:
        return "******"
    if setting.kind is LISTENERS:
        return ", ".join(each.shown for each in value) or "off"
    if setting.kind is PORT_MAPS:
        return ", ".join(f"{seen}:{listening}" for seen, listening in value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, int | float) else str(value)


def load_node_settings(path: Path | None, environ: Mapping[str, str]) -> NodeSettings:
    """Read `path` (or the usual places) and `KONG_*`, which win. Raises `SettingsError` with every mistake."""
    mistakes: list[Mistake] = []
    found = path or next((each for each in SEARCHED if each.exists()), None)
    given = read_conf_file(found, mistakes) if found else {}
    given.update(read_environment(environ))
    warnings: list[str] = []
    strict = given.get("strict_conf", ("", ""))[0] == "on"
    for name, (text, place) in given.items():
        problem = _oddity(name, text)
        if problem is None:
            continue
        if strict and "unknown" in problem:
            mistakes.append(Mistake(place, name, problem))
        else:
            warnings.append(f"{place}: {name}: {problem}")
    values = read_values(SETTINGS, given, mistakes)
    places = {name: place for name, (_, place) in given.items()}
    mistakes.extend(_contradictions(values, places))
    if mistakes:
        raise SettingsError(mistakes)
    warnings += serving_warnings(values)
    return NodeSettings(values, tuple(warnings), found)


def _oddity(name: str, text: str) -> str | None:
    setting = _BY_NAME.get(name)
    if setting is None:
        return "unknown setting, ignored"
    # To turn off what a node does not do is no mistake: files written for Kong do so with listeners they leave out.
    is_idle = not setting.acted_on and not (name.endswith("_listen") and text == "off")
    return f"has no effect: {setting.doc}" if is_idle else None


def _contradictions(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Mistake]:
    """What single values do not show: settings that need or forbid one another."""

    def mistake(name: str, problem: str) -> None:
        found.append(Mistake(places.get(name, "settings"), name, problem))

    found: list[Mistake] = []
    if values["database"] != "off":
        mistake("database", "must be off: a node keeps its configuration in memory")
    if values["role"] == "data_plane":
        for name in ("cluster_cert", "cluster_cert_key"):
            if not values[name]:
                mistake(name, "is required with role = data_plane")
    elif not values["declarative_config"] and not values["declarative_config_string"]:
        mistake("declarative_config", "is required with database = off and no control plane")
    if values["role"] != "data_plane" and values["cluster_dp_labels"]:
        mistake("cluster_dp_labels", "is only allowed with role = data_plane")
    if values["cluster_use_proxy"] and not values["proxy_server"]:
        mistake("proxy_server", "is required with cluster_use_proxy = on")
    if values["proxy_server"]:
        try:
            read_proxy_server(values["proxy_server"])
        except ValueError as error:
            mistake("proxy_server", str(error))
    for name, problem in serving_mistakes(values):
        mistake(name, problem)
    found.extend(_fallback_mistakes(values, places))
    found.extend(_label_mistakes(values["cluster_dp_labels"] or (), places.get("cluster_dp_labels", "settings")))
    return found


def _fallback_mistakes(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Mistake]:
    problems: list[tuple[str, str]] = []
    for name in ("cluster_fallback_config_import", "cluster_fallback_config_export"):
        if values[name] and not values["cluster_fallback_config_storage"]:
            problems.append((name, "needs cluster_fallback_config_storage"))
        if values[name] and values["role"] != "data_plane":
            problems.append((name, "is only allowed with role = data_plane"))
    return [Mistake(places.get(name, "settings"), name, problem) for name, problem in problems]


def _label_mistakes(labels: tuple[str, ...], place: str) -> list[Mistake]:
    problems = [f"at most {LABELS_MAX} labels are allowed"] if len(labels) > LABELS_MAX else []
    for label in labels:
        key, colon, value = label.partition(":")
        if not colon or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value):
            problems.append(f"'{label}' is not a label of the form key:value (1 to 63 letters, digits, - _ . : each)")
        elif key.lower().startswith(_RESERVED_LABELS):
            problems.append(f"the key '{key}' starts with a reserved word ({', '.join(_RESERVED_LABELS)})")
    return [Mistake(place, "cluster_dp_labels", problem) for problem in problems]
