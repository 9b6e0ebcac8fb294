"""The settings of a node for what log plugins deliver."""

from __future__ import annotations

from twinplane.settings.setting import PATH, SIZE, SWITCH, Setting, integer

LOGS: tuple[Setting, ...] = (
    Setting(
        "log_queue_entries",
        integer(1, 1_000_000),
        "10000",
        "Entries that wait for the sink of one log plugin without a queue of its own; the oldest give way.",
    ),
    Setting(
        "log_queue_bytes",
        SIZE,
        "64m",
        "Bytes that wait for the sink of one log plugin, whatever its own queue allows; 0 is no limit.",
    ),
    Setting(
        "log_queue_threads",
        integer(1, 64),
        "8",
        "Batches of one log plugin under way at a time where its concurrency_limit is -1.",
    ),
    Setting(
        "log_tls_verify",
        SWITCH,
        "off",
        "Verify the certificates that sinks of tcp-log show, by lua_ssl_trusted_certificate.",
    ),
    Setting("syslog_socket", PATH, "/dev/log", "Socket of the system log that the syslog plugin writes to."),
)
