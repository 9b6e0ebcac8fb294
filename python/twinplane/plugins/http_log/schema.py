"""The configuration of `http-log`."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from twinplane.schema import Check, Deprecated, Encrypted, Length, MatchNone, Plugin, Record, Referenceable
from twinplane.schema.parts.queue import Queue
from twinplane.schema.shared import HeaderName, Protocols, Url


class Config(Record):
    """The configuration."""

    http_endpoint: Annotated[Url, Referenceable(), Encrypted(), "Where entries are sent, as a URL."]
    method: Annotated[Literal["POST", "PUT", "PATCH"] | None, "Method of the request."] = "POST"
    content_type: Annotated[
        Literal["application/json", "application/json; charset=utf-8"] | None, "Content type they are sent with."
    ] = "application/json"
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = 10000
    keepalive: Annotated[float | None, "How long an idle connection is kept, in milliseconds."] = 60000
    retry_count: Annotated[
        int | None,
        Deprecated(
            "http-log: config.retry_count no longer works, please use config.queue.max_retry_time instead",
            old_default=10,
        ),
        "Tries of a batch, in the old way of counting.",
    ] = None
    queue_size: Annotated[
        int | None,
        Deprecated(
            "http-log: config.queue_size is deprecated, please use config.queue.max_batch_size instead", old_default=1
        ),
        "Entries sent at once, under the old name.",
    ] = None
    flush_timeout: Annotated[
        float | None,
        Deprecated(
            "http-log: config.flush_timeout is deprecated, please use config.queue.max_coalescing_delay instead",
            old_default=2,
        ),
        "How long entries wait, in seconds, under the old name.",
    ] = None
    headers: Annotated[
        dict[
            Annotated[
                HeaderName,
                MatchNone("^[Hh][Oo][Ss][Tt]$", "cannot contain 'Host' header"),
                MatchNone(
                    "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Ll][Ee][nn][Gg][Tt][Hh]$", "cannot contain 'Content-Length' header"
                ),
                MatchNone("^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Tt][Yy][Pp][Ee]$", "cannot contain 'Content-Type' header"),
            ],
            Annotated[str, Referenceable()],
        ]
        | None,
        "Headers they are sent with.",
    ] = None
    queue: Annotated[Queue, "How entries wait and are sent."]
    custom_fields_by_lua: Annotated[
        dict[Annotated[str, Length(minimum=1)], Annotated[str, Length(minimum=1)]] | None,
        "Fields added to each entry, as Lua expressions by name.",
    ] = None


def _credential_given_twice(config: dict[str, Any]) -> str | None:
    """User info in the URL becomes an Authorization header; there cannot be two."""
    headers = config.get("headers") or {}
    if (
        not any(name.lower() == "authorization" for name in headers)
        or "@" not in urlsplit(config["http_endpoint"]).netloc
    ):
        return None
    return "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"


class HttpLog(
    Plugin,
    name="http-log",
    version="3.9.3",
    priority=12,
    phases=("log",),
    observes_only=True,
):
    """Sends an entry for each request to an HTTP server."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, Check(_credential_given_twice), "Settings of the plugin."]


PLUGIN = HttpLog
