"""The configuration of `cors`."""

from typing import Annotated, Literal

from twinplane.schema import Check, Plugin, Record, Since
from twinplane.schema.pcre import bad_pcre
from twinplane.schema.shared import HttpProtocols, NoConsumer


def _bad_origin(origin: str) -> str | None:
    """`*`, a literal origin, or a regular expression."""
    return None if origin == "*" or bad_pcre(origin) is None else f"'{origin}' is not a valid regex"


class Config(Record):
    """The configuration."""

    origins: Annotated[
        list[Annotated[str, Check(_bad_origin)]] | None,
        "Origins that are let in; `*` for all, regular expressions too.",
    ] = None
    headers: Annotated[list[str] | None, "Headers that pages may send; unset: those they ask for."] = None
    exposed_headers: Annotated[list[str] | None, "Headers that pages may read."] = None
    methods: Annotated[
        list[Literal["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]] | None,
        "Methods that are let in.",
    ] = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
    max_age: Annotated[float | None, "How long a preflight's answer holds, in seconds."] = None
    credentials: Annotated[bool, "Let credentials come along."] = False
    private_network: Annotated[bool, Since("3.5"), "Let public pages reach private networks."] = False
    preflight_continue: Annotated[bool, "Send preflights upstream."] = False


class Cors(
    Plugin,
    name="cors",
    version="3.9.3",
    priority=2000,
    phases=("access", "header_filter"),
):
    """Tells browsers which origins may call an API."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Cors
