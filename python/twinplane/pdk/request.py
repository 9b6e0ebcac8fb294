"""What a client asks, and what of it goes upstream: a view that reads when it is asked and records changes at once.

Header names compare without regard to case. Texts hold one character for each byte that came (Latin-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import orjson

if TYPE_CHECKING:
    from twinplane.pdk.answer import Answer
    from twinplane.pdk.entities import Consumer, Credential
    from twinplane.pdk.visit import Visit


class BodyTooLarge(Exception):
    """The request's body is longer than `body_bytes_max` of the plugin, or than the node keeps."""


class Headers:
    """The headers of one side."""

    __slots__ = ("_is_response", "_visit")

    def __init__(self, visit: Visit, *, is_response: bool) -> None:
        self._visit = visit
        self._is_response = is_response

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value under a name."""
        found = self._visit.header(self._is_response, name)
        return default if found is None else found

    def __getitem__(self, name: str) -> str:
        found = self._visit.header(self._is_response, name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: str) -> None:
        self._visit.set_header(self._is_response, name, value)

    def __delitem__(self, name: str) -> None:
        self._visit.remove_header(self._is_response, name)

    def __contains__(self, name: str) -> bool:
        return self._visit.header(self._is_response, name) is not None

    def get_all(self, name: str) -> list[str]:
        """All values under a name."""
        return self._visit.header_values(self._is_response, name)

    def add(self, name: str, value: str) -> None:
        """Add a value beside those that are there."""
        self._visit.add_header(self._is_response, name, value)

    def items(self) -> list[tuple[str, str]]:
        """Name and value of each header, in the order in which they came."""
        return self._visit.headers(self._is_response)


class Request:
    """What the client asks, and what of it goes upstream."""

    __slots__ = ("_visit", "headers")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.headers = Headers(visit, is_response=False)

    @property
    def method(self) -> str:
        """The method, as sent."""
        return self._visit.fact("method")

    @property
    def scheme(self) -> str:
        """`http` or `https`, of the connection."""
        return self._visit.fact("scheme")

    @property
    def forwarded_scheme(self) -> str:
        """The client's scheme by a trusted `X-Forwarded-Proto`, else the connection's."""
        return self._visit.fact("forwarded_scheme")

    @property
    def host(self) -> str:
        """The `Host` header, as sent."""
        return self._visit.fact("host")

    @property
    def port(self) -> int:
        """The port of the listener."""
        return int(self._visit.fact("port"))

    @property
    def path(self) -> str:
        """The normalised path, by which the gateway decides."""
        return self._visit.fact("path")

    @property
    def raw_target(self) -> str:
        """Path and query, as sent."""
        return self._visit.fact("target")

    @property
    def raw_query(self) -> str:
        """The query without `?`, as sent."""
        return self._visit.fact("query")

    @property
    def query(self) -> dict[str, list[str]]:
        """All values of each query argument, decoded."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.raw_query, keep_blank_values=True, max_num_fields=1000):
            found.setdefault(name, []).append(value)
        return found

    def query_arg(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query argument, decoded."""
        values = self.query.get(name)
        return values[0] if values else default

    @property
    def http_version(self) -> str:
        """`1.0`, `1.1` or `2`."""
        return self._visit.fact("http_version")

    @property
    def client_ip(self) -> str:
        """The client's address; behind a trusted proxy the one that it names."""
        return self._visit.fact("client_ip")

    @property
    def captures(self) -> dict[str, str]:
        """What a regular expression of the route took from the path, by name and number."""
        return dict(self._visit.captures())

    @property
    def body(self) -> bytes:
        """The body; the plugin says how much of it is read (`body_bytes_max`). Raises BodyTooLarge."""
        body, is_whole = self._visit.body()
        if body is None:
            raise RuntimeError("the body is not read: set body_bytes_max in the plugin")
        if not is_whole:
            raise BodyTooLarge
        return body

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return orjson.loads(self.body)

    @property
    def client_port(self) -> int:
        """The client's port, by the same rule as its address."""
        return int(self._visit.fact("client_port"))

    @property
    def sni(self) -> str | None:
        """The server name that the client asked for in the TLS handshake."""
        return self._visit.fact("sni") or None

    @property
    def is_anonymous(self) -> bool:
        """Whether an auth plugin let the request through as its consumer `anonymous`."""
        return self._visit.is_anonymous

    def is_settled(self, anonymous: str | None) -> bool:
        """Whether another auth plugin has found out who asks: with `anonymous`, one credential of several will do."""
        return anonymous is not None and self._visit.credential() is not None

    def authenticate(
        self, consumer: Consumer | None, credential: Credential | None = None, groups: Sequence[str] = ()
    ) -> None:
        """Say who asks, in `access` or `rewrite`, as any auth plugin does: later plugins, upstream and log are told.

        What a client or a plugin before said of it is forgotten. acl goes by `groups` where there is no credential, or
        where it is set to `always_use_authenticated_groups`.
        Raises LookupError where the configuration has no such consumer.
        """
        if consumer is None and credential is None and not groups:
            raise ValueError("a consumer, a credential or groups say who asks")
        used = None if credential is None else (credential.id, credential.identifier or credential.id)
        self._visit.authenticate(None if consumer is None else consumer.id, used, list(groups))

    def unauthenticated(self, answer: Answer, anonymous: str | None = None) -> Answer | None:
        """Nobody has shown who asks: the answer, or None where there is a consumer `anonymous` (id or username) to be.

        Return it from the phase. Raises LookupError where the configuration has no such consumer.
        """
        if anonymous is None:
            self._visit.forget_caller()
            return answer
        self._visit.authenticate_anonymous(anonymous)
        return None

    def set_scheme(self, scheme: Literal["http", "https"]) -> None:
        """Ask the upstream over http or https."""
        self._visit.set_upstream("scheme", scheme)

    def set_method(self, method: str) -> None:
        """Send another method upstream."""
        self._visit.set_upstream("method", method)

    def set_path(self, path: str) -> None:
        """Send another path upstream, in place of the service's and the client's."""
        self._visit.set_upstream("path", path)

    def set_raw_query(self, query: str | None) -> None:
        """Send another query upstream; None sends none."""
        self._visit.set_upstream("query", query)

    def set_host(self, host: str) -> None:
        """Send another `Host` upstream."""
        self._visit.set_upstream("host", host)

    def set_body(self, body: bytes) -> None:
        """Send another body upstream."""
        self._visit.set_body(body)

    def set_target(self, host: str, port: int) -> None:
        """Send the request to another host than the service's."""
        self._visit.set_target(host, port)
