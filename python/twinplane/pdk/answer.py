"""A response that a plugin gives in place of the upstream's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

Body = bytes | str | Mapping[str, Any] | list[Any] | None
Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_JSON, _TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"


class Answer:
    """Status, body and headers. A mapping or a list goes out as JSON, a text as UTF-8, bytes as they are."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: Body = None, headers: Headers = ()) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is no final status")
        self.status = status
        self.headers: list[tuple[str, str]] = list(headers.items() if isinstance(headers, Mapping) else headers)
        self.body, content_type = _encoded(body)
        if content_type and not any(name.lower() == "content-type" for name, _ in self.headers):
            self.headers.append(("Content-Type", content_type))

    def crossing(self) -> tuple[int, bytes | None, list[tuple[str, str]]]:
        """As the core takes it."""
        return self.status, self.body, self.headers


def _encoded(body: Body) -> tuple[bytes | None, str | None]:
    if body is None or isinstance(body, bytes):
        return body, None
    if isinstance(body, str):
        return body.encode(), _TEXT
    return orjson.dumps(body), _JSON
