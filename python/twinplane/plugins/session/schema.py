"""The configuration of `session`."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import Automatic, Encrypted, Plugin, Record, Referenceable, Shorthand, Since
from twinplane.schema.shared import NoConsumer, Protocols, SetOf
from twinplane.schema.shorthand import Expansion


def _renamed(successor: str) -> Expansion:
    def expand(value: Any, body: dict[str, Any]) -> None:
        body[successor] = value

    return expand


def _forgotten(_value: Any, _body: dict[str, Any]) -> None:
    """Sessions are renewed by themselves now."""


def _same_site(value: Any, body: dict[str, Any]) -> None:
    """`off` was the name of leaving it to the browser."""
    body["cookie_same_site"] = "Default" if value == "off" else value


class Config(Record):
    """The configuration."""

    secret: Annotated[
        str | None, Automatic(), Referenceable(), Encrypted(), "Secret that cookies are made with; made up when absent."
    ] = None
    storage: Annotated[Literal["cookie", "kong"] | None, "Where the data is kept."] = "cookie"
    audience: Annotated[str | None, Since("3.2"), "Whom the session is for."] = "default"
    idling_timeout: Annotated[float | None, "How long a session may be idle, in seconds."] = 900
    rolling_timeout: Annotated[float | None, "How long a session lasts before it is renewed, in seconds."] = 3600
    absolute_timeout: Annotated[float | None, Since("3.2"), "How long a session may last in all, in seconds."] = 86400
    stale_ttl: Annotated[float | None, "How long a renewed session is still accepted, in seconds."] = 10
    cookie_name: Annotated[str | None, "Name of the cookie."] = "session"
    cookie_path: Annotated[str | None, "Path of the cookie."] = "/"
    cookie_domain: Annotated[str | None, "Domain of the cookie."] = None
    cookie_same_site: Annotated[
        Literal["Strict", "Lax", "None", "Default"] | None, "Which sites the cookie is sent from."
    ] = "Strict"
    cookie_http_only: Annotated[bool | None, "Keep the cookie from scripts."] = True
    cookie_secure: Annotated[bool | None, "Send the cookie over TLS only."] = True
    remember: Annotated[bool | None, "Keep sessions over the end of the browser."] = False
    remember_cookie_name: Annotated[str | None, Since("3.2"), "Name of the lasting cookie."] = "remember"
    remember_rolling_timeout: Annotated[
        float | None, Since("3.2"), "How long a lasting session lasts before it is renewed, in seconds."
    ] = 604800
    remember_absolute_timeout: Annotated[
        float | None, Since("3.2"), "How long a lasting session may last in all, in seconds."
    ] = 2592000
    response_headers: Annotated[
        SetOf[Literal["id", "audience", "subject", "timeout", "idling-timeout", "rolling-timeout", "absolute-timeout"]]
        | None,
        Since("3.2"),
        "Facts about the session told to the client.",
    ] = None
    request_headers: Annotated[
        SetOf[Literal["id", "audience", "subject", "timeout", "idling-timeout", "rolling-timeout", "absolute-timeout"]]
        | None,
        Since("3.2"),
        "Facts of the session sent upstream as headers.",
    ] = None
    read_body_for_logout: Annotated[bool | None, Since("3.5"), "Look for the sign-out argument in bodies too."] = False
    logout_methods: Annotated[SetOf[Literal["GET", "POST", "DELETE"]] | None, "Methods that may sign out."] = [
        "POST",
        "DELETE",
    ]
    logout_query_arg: Annotated[str | None, "Argument of the query that signs out."] = "session_logout"
    logout_post_arg: Annotated[str | None, "Argument of the body that signs out."] = "session_logout"
    store_metadata: Annotated[
        bool | None, Since("3.10"), "Keep beside a session whom it is for, to find all of one subject."
    ] = False
    hash_subject: Annotated[bool | None, Since("3.10"), "Keep the subject as a hash, where metadata is kept."] = False

    shorthands: ClassVar = (
        Shorthand("cookie_lifetime", float, expand=_renamed("rolling_timeout")),
        Shorthand("cookie_idletime", float, expand=_renamed("idling_timeout")),
        Shorthand("cookie_renew", float, expand=_forgotten),
        Shorthand("cookie_discard", float, expand=_renamed("stale_ttl")),
        Shorthand("cookie_samesite", str, expand=_same_site),
        Shorthand("cookie_httponly", bool, expand=_renamed("cookie_http_only")),
        Shorthand("cookie_persistent", bool, expand=_renamed("remember")),
    )


class Session(
    Plugin,
    name="session",
    version="3.9.3",
    priority=1900,
    phases=("access", "header_filter"),
):
    """Keeps people signed in by a cookie."""

    consumer: NoConsumer = None
    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Session
