"""The configuration of `acl`."""

from typing import Annotated, ClassVar

from twinplane.schema import Plugin, Record, Since, at_least_one_of, only_one_of
from twinplane.schema.shared import HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    allow: Annotated[list[str] | None, "Groups that are let in."] = None
    deny: Annotated[list[str] | None, "Groups that are kept out."] = None
    hide_groups_header: Annotated[bool, "Do not tell the upstream the groups."] = False
    always_use_authenticated_groups: Annotated[
        bool, Since("3.8"), "Use the groups of the authentication even where there is a consumer."
    ] = False


class Acl(
    Plugin,
    name="acl",
    version="3.9.3",
    priority=950,
    phases=("access",),
):
    """Lets in or keeps out consumers by the groups they are in."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        only_one_of("config.allow", "config.deny"),
        at_least_one_of("config.allow", "config.deny"),
    )


PLUGIN = Acl
