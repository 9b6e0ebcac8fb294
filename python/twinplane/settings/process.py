"""The settings of a node about its process, its role and its own configuration. A table, never code."""

from __future__ import annotations

from twinplane.settings.log_format import LOG_FORMAT, PROXY_ACCESS_PLACE
from twinplane.settings.setting import (
    ACCESS_PLACE,
    LIST,
    LOG_PLACE,
    OWN_LOG_PLACE,
    PATH,
    SWITCH,
    TEXT,
    WORKERS,
    Setting,
    integer,
    one_of,
)

PROCESS: tuple[Setting, ...] = (
    Setting(
        "prefix", PATH, "", "Working directory: cache, node id, telemetry backlog. Default: the user's state directory."
    ),
    Setting(
        "log_level",
        one_of("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"),
        "notice",
        "Least severe level that is logged.",
    ),
    Setting(
        "proxy_access_log",
        PROXY_ACCESS_PLACE,
        "off",
        "Where a line goes for each request that was proxied: off, /dev/stdout, or a file, below the prefix unless its "
        "path is absolute. The line is the `combined` one of nginx with the request's id, or in the format that is "
        "named behind it (`nginx_http_log_format`). It may be moved away at any time. For a pipe that nobody reads "
        "lines wait; `access_log_unwritable` is told.",
    ),
    Setting(
        "nginx_http_log_format",
        LOG_FORMAT,
        "",
        "A format for proxy_access_log: its name, `escape=json` or `escape=none` if it is to be, and a text with "
        "variables of nginx in quotes. What is known of a request: docs/guides/kong-conf.md.",
    ),
    Setting(
        "proxy_access_log_lines",
        integer(128, 10**7),
        "100000",
        "Lines of the access log that wait in memory for their file, all workers together. Beyond that the oldest are "
        "dropped and counted (`twinplane_access_log_lines_lost_total`). As many of each of the other access logs.",
    ),
    Setting(
        "admin_access_log",
        ACCESS_PLACE,
        "off",
        "The same for requests to the Admin API of a node without control plane.",
    ),
    Setting("status_access_log", ACCESS_PLACE, "off", "The same for requests to the status port."),
    Setting(
        "proxy_error_log",
        LOG_PLACE,
        "/dev/stderr",
        "Where the log of the node goes: /dev/stderr, or a file, below the prefix unless its path is absolute. SIGUSR1 "
        "and SIGHUP open the file anew. A stream that nobody reads loses lines (`twinplane_log_lines_lost_total`), and "
        "holds up nobody.",
    ),
    Setting(
        "admin_error_log",
        OWN_LOG_PLACE,
        "",
        "Where failures of the Admin API of a node without control plane are logged. Default: with all others.",
    ),
    Setting(
        "status_error_log",
        OWN_LOG_PLACE,
        "",
        "Where failures of the status port are logged. Default: with all others.",
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
    Setting(
        "nginx_worker_processes",
        WORKERS,
        "auto",
        "Worker threads that proxy; auto is one for each processor.",
        names=("nginx_worker_processes", "nginx_main_worker_processes"),
    ),
    Setting(
        "strict_conf",
        SWITCH,
        "off",
        "Refuse unknown settings and directives of nginx that are not obeyed, rather than to warn of them.",
    ),
    Setting(
        "declarative_config",
        PATH,
        "",
        "File to take the configuration from. With role = data_plane only where the cache is empty.",
    ),
    Setting("declarative_config_string", TEXT, "", "Configuration as text, instead of a file.", secret=True),
    Setting(
        "vaults",
        LIST,
        "bundled",
        "Vaults that references may name: env, or bundled, which is the same; off for none.",
    ),
    Setting("vault_env_prefix", TEXT, "", "What the names of variables begin with that `{vault://env/…}` leads to."),
    Setting(
        "license_expiry",
        one_of("warn", "restart", "enforce"),
        "warn",
        "What the end of a license means, where the configuration has one. warn: traffic goes on; restart: an expired "
        "node does not start again; enforce: every request is answered with 503.",
    ),
)
