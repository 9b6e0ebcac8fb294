"""What a plugin sees of a request: views that read when asked and record changes where the request is.

Header names compare without regard to case. Texts hold one character for each byte that came (Latin-1). A view is good
for its phase only: afterwards, or when the request no longer waits, it raises.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

import orjson

from twinplane.pdk.answer import Answer, Body, Headers

if TYPE_CHECKING:
    from twinplane.pdk.cache import Cache


class Visit(Protocol):
    """The core's end of a view."""

    @property
    def request_id(self) -> str: ...
    @property
    def plugin(self) -> str: ...
    @property
    def plugin_id(self) -> str: ...
    @property
    def is_over(self) -> bool: ...
    @property
    def status(self) -> int: ...
    @property
    def upstream_status(self) -> int | None: ...
    def fact(self, name: str) -> str: ...
    def header(self, is_response: bool, name: str) -> str | None: ...
    def header_values(self, is_response: bool, name: str) -> list[str]: ...
    def headers(self, is_response: bool) -> list[tuple[str, str]]: ...
    def set_header(self, is_response: bool, name: str, value: str) -> None: ...
    def add_header(self, is_response: bool, name: str, value: str) -> None: ...
    def remove_header(self, is_response: bool, name: str) -> bool: ...
    def body(self) -> tuple[bytes | None, bool]: ...
    def set_upstream(self, name: str, value: str | None) -> None: ...
    def set_body(self, body: bytes) -> None: ...
    def set_target(self, host: str, port: int) -> None: ...
    def set_status(self, status: int) -> None: ...
    def chunk(self) -> tuple[bytes, bool]: ...
    def set_chunk(self, data: bytes) -> None: ...
    def consumer(self) -> dict[str, Any] | None: ...
    def credential(self) -> tuple[str, str] | None: ...
    def route(self) -> dict[str, Any] | None: ...
    def service(self) -> dict[str, Any] | None: ...
    def captures(self) -> list[tuple[str, str]]: ...
    def kept(self) -> object: ...
    def keep(self, kept: object) -> None: ...
    def finish(self, answer: object) -> None: ...
    def fail(self) -> None: ...
    def refuse(self) -> None: ...


class BodyTooLarge(Exception):
    """The request's body is longer than `body_bytes_max` of the plugin, or than the node keeps."""


@dataclass(frozen=True, slots=True)
class Route:
    """The matched route."""

    id: str
    name: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """The service of the matched route."""

    id: str
    name: str | None
    protocol: str
    host: str
    port: int
    path: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who asks, as an auth plugin found."""

    id: str
    username: str | None
    custom_id: str | None
    groups: tuple[str, ...]
    tags: tuple[str, ...]


class _Headers:
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
        self.headers = _Headers(visit, is_response=False)

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


class Response:
    """The head of the response, before it goes to the client."""

    __slots__ = ("_visit", "headers")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.headers = _Headers(visit, is_response=True)

    @property
    def status(self) -> int:
        """The status."""
        return self._visit.status

    @status.setter
    def status(self, status: int) -> None:
        self._visit.set_status(status)

    @property
    def upstream_status(self) -> int | None:
        """The status that the upstream gave, None where none was asked."""
        return self._visit.upstream_status

    @property
    def source(self) -> str:
        """Who made the response: `upstream` or `kong`, the gateway."""
        return self._visit.fact("source")


class Chunk:
    """A piece of the response's body, as it comes by."""

    __slots__ = ("_visit", "data", "is_last")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.data, self.is_last = visit.chunk()

    def replace(self, data: bytes) -> None:
        """Send this in place of the piece; nothing at all where it is empty."""
        self._visit.set_chunk(data)
        self.data = data


class Context:
    """What surrounds a request: who asks, where it goes, what the plugin keeps, where it logs."""

    __slots__ = ("_visit", "cache", "request")

    def __init__(self, visit: Visit, cache: Cache) -> None:
        self._visit = visit
        self.cache = cache
        """Shared by all requests of this plugin."""
        self.request = Request(visit)
        """The request, in the phases of the response too."""

    @property
    def request_id(self) -> str:
        """The id that the client and the upstream are told."""
        return self._visit.request_id

    @property
    def plugin_id(self) -> str:
        """Id of the configured plugin."""
        return self._visit.plugin_id

    @property
    def route(self) -> Route | None:
        """The matched route."""
        found = self._visit.route()
        return None if found is None else Route(found["id"], found["name"], tuple(found["tags"]))

    @property
    def service(self) -> Service | None:
        """Its service."""
        found = self._visit.service()
        return None if found is None else Service(**_with_tuples(found))

    @property
    def consumer(self) -> Consumer | None:
        """Who asks, where an auth plugin before this one found out."""
        found = self._visit.consumer()
        return None if found is None else Consumer(**_with_tuples(found))

    @property
    def credential(self) -> tuple[str, str] | None:
        """Kind and id of the credential that was used."""
        return self._visit.credential()

    @property
    def kept(self) -> dict[str, Any]:
        """What the plugin keeps from one phase of this request to the next."""
        found = self._visit.kept()
        if found is None:
            found = {}
            self._visit.keep(found)
        assert isinstance(found, dict)
        return found

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs with the plugin's name and the request's id on each line."""
        return _RequestLog(logging.getLogger(f"plugin.{self._visit.plugin}"), {"request_id": self._visit.request_id})

    @staticmethod
    def exit(status: int, body: Body = None, headers: Headers = ()) -> Answer:
        """An answer to return from a phase."""
        return Answer(status, body, headers)


class _RequestLog(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Put the request's id behind the line."""
        assert self.extra is not None
        return f"{msg} request_id={self.extra['request_id']}", kwargs


def _with_tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    def frozen(value: Any) -> Any:
        return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value

    return {name: frozen(value) for name, value in found.items()}
