"""The configuration of `file-log`."""

from typing import Annotated

from twinplane.schema import Error, Length, Match, Plugin, Record
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    path: Annotated[str, Match("^[^*&%%\\`]+$"), Error("not a valid filename"), "File to write to."]
    reopen: Annotated[bool, "Open the file anew for each entry."] = False
    custom_fields_by_lua: Annotated[
        dict[Annotated[str, Length(minimum=1)], Annotated[str, Length(minimum=1)]] | None,
        "Fields added to each entry, as Lua expressions by name.",
    ] = None


class FileLog(
    Plugin,
    name="file-log",
    version="3.9.3",
    priority=9,
    phases=("log",),
    observes_only=True,
):
    """Appends an entry for each request to a file."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = FileLog
