"""The configuration of `loggly`."""

from typing import Annotated, Literal

from twinplane.schema import Between, Encrypted, Length, Plugin, Record, Referenceable
from twinplane.schema.shared import Host, Protocols, SetOf


class Config(Record):
    """The configuration."""

    host: Annotated[Host | None, "Host that is spoken to."] = "logs-01.loggly.com"
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = 514
    key: Annotated[str, Referenceable(), Encrypted(), "The key."]
    tags: Annotated[SetOf[str] | None, "Tags of each entry."] = ["kong"]
    log_level: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"] | None, "Severity of entries."
    ] = "info"
    successful_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"] | None,
        "Severity of entries on answers below 400.",
    ] = "info"
    client_errors_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"] | None,
        "Severity of entries on answers from 400.",
    ] = "info"
    server_errors_severity: Annotated[
        Literal["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"] | None,
        "Severity of entries on answers from 500.",
    ] = "info"
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = 10000
    custom_fields_by_lua: Annotated[
        dict[Annotated[str, Length(minimum=1)], Annotated[str, Length(minimum=1)]] | None,
        "Fields added to each entry, as Lua expressions by name.",
    ] = None


class Loggly(
    Plugin,
    name="loggly",
    version="3.9.3",
    priority=6,
    phases=("log",),
    observes_only=True,
):
    """Sends an entry for each request to Loggly."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Loggly
