"""The configuration of `tcp-log`."""

from typing import Annotated

from twinplane.schema import Between, Length, Plugin, Record
from twinplane.schema.shared import Host, Protocols


class Config(Record):
    """The configuration."""

    host: Annotated[Host, "Host that is spoken to."]
    port: Annotated[int, Between(0, 65535), "Port that is spoken to."]
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = 10000
    keepalive: Annotated[float | None, "How long an idle connection is kept, in milliseconds."] = 60000
    tls: Annotated[bool, "Speak TLS."] = False
    tls_sni: Annotated[str | None, "Server name asked for in TLS."] = None
    custom_fields_by_lua: Annotated[
        dict[Annotated[str, Length(minimum=1)], Annotated[str, Length(minimum=1)]] | None,
        "Fields added to each entry, as Lua expressions by name.",
    ] = None


class TcpLog(
    Plugin,
    name="tcp-log",
    version="3.9.3",
    priority=7,
    phases=("log",),
    observes_only=True,
):
    """Sends an entry for each request over TCP."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = TcpLog
