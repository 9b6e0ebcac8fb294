"""The configuration of `syslog`."""

from typing import Annotated, Literal

from twinplane.schema import Length, Plugin, Record
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    log_level: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"], "Severity of entries."
    ] = "info"
    successful_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
        "Severity of entries on answers below 400.",
    ] = "info"
    client_errors_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
        "Severity of entries on answers from 400.",
    ] = "info"
    server_errors_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
        "Severity of entries on answers from 500.",
    ] = "info"
    custom_fields_by_lua: Annotated[
        dict[Annotated[str, Length(minimum=1)], Annotated[str, Length(minimum=1)]] | None,
        "Fields added to each entry, as Lua expressions by name.",
    ] = None
    facility: Annotated[
        Literal[
            "auth",
            "authpriv",
            "cron",
            "daemon",
            "ftp",
            "kern",
            "lpr",
            "mail",
            "news",
            "syslog",
            "user",
            "uucp",
            "local0",
            "local1",
            "local2",
            "local3",
            "local4",
            "local5",
            "local6",
            "local7",
        ],
        "Facility of entries.",
    ] = "user"


class Syslog(
    Plugin,
    name="syslog",
    version="3.9.3",
    priority=4,
    phases=("log",),
    observes_only=True,
):
    """Writes an entry for each request to the system log."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Syslog
