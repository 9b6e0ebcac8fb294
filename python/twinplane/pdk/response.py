"""What goes back to the client: the head, a piece of the body, or the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from twinplane.pdk.request import Headers

if TYPE_CHECKING:
    from twinplane.pdk.visit import Visit


class Response:
    """The head of the response, before it goes to the client."""

    __slots__ = ("_visit", "headers")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.headers = Headers(visit, is_response=True)

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


class WholeResponse(Response):
    """The upstream's response in the phase `response`: its body has come whole, and nothing has gone to the client."""

    __slots__ = ()

    @property
    def body(self) -> bytes:
        """The body as the upstream sent it (as its `Content-Encoding` says), or as a plugin before has left it."""
        return self._visit.response_body() or b""

    @body.setter
    def body(self, body: bytes) -> None:
        self._visit.set_response_body(body)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return orjson.loads(self.body)


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
