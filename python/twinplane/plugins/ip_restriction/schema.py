"""The configuration of `ip-restriction`."""

from typing import Annotated, ClassVar

from twinplane.schema import Plugin, Record, at_least_one_of
from twinplane.schema.shared import IpOrCidr, Protocols


class Config(Record):
    """The configuration."""

    allow: Annotated[list[IpOrCidr] | None, "Addresses and ranges that are let in; all others are kept out."] = None
    deny: Annotated[list[IpOrCidr] | None, "Addresses and ranges that are kept out."] = None
    status: Annotated[float | None, "Status of the refusal."] = None
    message: Annotated[str | None, "Text of the refusal."] = None


class IpRestriction(
    Plugin,
    name="ip-restriction",
    version="3.9.3",
    priority=990,
    phases=("access", "preread"),
):
    """Lets in or keeps out clients by their address."""

    protocols: Protocols = ["http", "https", "tcp", "tls", "grpc", "grpcs"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (at_least_one_of("config.allow", "config.deny"),)


PLUGIN = IpRestriction
