"""What goes in and out of an entity endpoint: one request, whole, and one answer.

Plain values without a web framework, so that a node can serve the same endpoints. Never reads a socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from twinplane.control.scope import Actor, Scope

Headers = tuple[tuple[bytes, bytes], ...]

JSON_TYPE: Final = (b"content-type", b"application/json; charset=utf-8")
HTML_TYPE: Final = (b"content-type", b"text/html; charset=UTF-8")


def unquote(text: bytes) -> str:
    """Decode one part of a target or form (`+` is a blank); what is not UTF-8 shows as replacement characters."""
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", errors="replace")


class Query:
    """The arguments after the question mark, in order; an argument without `=` is `None`."""

    __slots__ = ("_pairs",)

    def __init__(self, text: bytes) -> None:
        pairs: list[tuple[str, str | None]] = []
        for part in text.split(b"&")[:_ARGUMENTS_MAX] if text else ():
            name, equals, value = part.partition(b"=")
            pairs.append((unquote(name), unquote(value) if equals else None))
        self._pairs = pairs

    def all(self, name: str) -> list[str | None]:
        """Every value of an argument; empty where it is absent."""
        return [value for key, value in self._pairs if key == name]

    def first(self, name: str) -> str | None:
        """The first value of an argument, or None where it is absent or bare."""
        return next((value for key, value in self._pairs if key == name), None)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def items(self) -> Iterable[tuple[str, str | None]]:
        """All arguments in order."""
        return iter(self._pairs)


_ARGUMENTS_MAX: Final = 1000


@dataclass(frozen=True)
class Request:
    """One received request. `path` is as sent, still encoded; `body` is whole."""

    method: str
    path: str
    query: Query
    headers: Headers
    body: bytes = b""

    @cached_property
    def content_types(self) -> list[str]:
        """Every Content-Type field, as sent."""
        return [value.decode("latin-1") for name, value in self.headers if name == b"content-type"]

    def header(self, name: bytes) -> str | None:
        """The first field of that lower-case name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a call works and for whom. `base` is the part of the path before the entity endpoints."""

    scope: Scope
    actor: Actor
    base: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A request at its site. `path` is the request's path behind the site's base."""

    request: Request
    site: Site
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `closes` asks for the connection to end."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    closes: bool = False


def json_answer(status: int, value: Any) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, encode_json(value), (JSON_TYPE,))


def encode_json(value: Any) -> bytes:
    """JSON bytes; numbers beyond 64 bits, which the fast encoder refuses, take the slow road."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def message(status: int, text: str, more: Mapping[str, Any] | None = None) -> Answer:
    """An answer that carries a `message` and, seldom, further members."""
    return json_answer(status, {"message": text, **(more or {})})


def empty(status: int = 204) -> Answer:
    """An answer without a body."""
    return Answer(status)


_PAGES: Final = {
    400: "400 Bad Request",
    404: "404 Not Found",
    405: "405 Not Allowed",
    413: "413 Request Entity Too Large",
    415: "415 Unsupported Media Type",
}


def html_page(status: int, *, closes: bool = False) -> Answer:
    """The short HTML page that clients of Kong know from below the Admin API."""
    title = _PAGES[status]
    text = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, text.encode(), (HTML_TYPE,), closes=closes)


NOT_FOUND: Final = message(404, "Not found")
METHOD_NOT_ALLOWED: Final = message(405, "Method not allowed")
