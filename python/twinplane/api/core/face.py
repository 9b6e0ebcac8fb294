"""One request through the entity endpoints: find the handler, read the body within its limit, answer.

Knows ASGI's `receive` and nothing else of the server. Never raises: what a handler throws becomes an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final

from twinplane.api.core.dispatch import Dispatcher, MalformedPath
from twinplane.api.core.errors import answer_for
from twinplane.api.core.message import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Answer,
    Call,
    Headers,
    Query,
    Request,
    Site,
    empty,
    html_page,
    message,
)
from twinplane.api.core.workers import Workers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX: Final = 10 * 1024 * 1024

_log = logging.getLogger(__name__)


class BodyTooLarge(Exception):
    """A body is longer than this face reads."""


class ClientGone(Exception):
    """The client left before its request was whole."""


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, and the methods of its path where the path exists."""

    answer: Answer
    allow: str | None = None


class EntityFace:
    """Serves the paths of a dispatcher."""

    def __init__(self, dispatcher: Dispatcher, workers: Workers, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._dispatcher = dispatcher
        self._workers = workers
        self._body_bytes_max = body_bytes_max

    async def serve(self, request: Request, path: str, receive: Receive, site: Site) -> Served:
        """Answer a request whose body is still to be read."""
        if request.method == "TRACE":
            return Served(html_page(405, closes=True))
        try:
            found = self._dispatcher.resolve(path)
        except MalformedPath as error:
            return Served(answer_for(error) or NOT_FOUND)
        if found is None:
            return Served(NOT_FOUND)
        resource, keys = found
        if request.method == "OPTIONS":
            return Served(Answer(204, headers=((b"allow", resource.allow.encode()),)), resource.allow)
        handler = resource.handler(request.method)
        if handler is None:
            return Served(METHOD_NOT_ALLOWED, resource.allow)
        try:
            body = await read_body(request.headers, receive, self._body_bytes_max)
            call = Call(replace(request, body=body), site, path)
            return Served(await self._workers.run(handler, call, keys), resource.allow)
        except BodyTooLarge:
            return Served(html_page(413, closes=True), resource.allow)
        except ClientGone:
            return Served(empty(400), resource.allow)
        except Exception as error:  # the last place where a refusal can be worded
            return Served(worded(error, request), resource.allow)


def worded(error: Exception, request: Request) -> Answer:
    """The answer to whatever a handler threw."""
    answer = answer_for(error)
    if answer is not None:
        return answer
    _log.exception("request_failed", exc_info=error, extra={"method": request.method, "path": request.path})
    return message(500, "An unexpected error occurred")


async def read_body(headers: Headers, receive: Receive, bytes_max: int) -> bytes:
    """The whole body of a request, refused as soon as it is known to be too long."""
    declared = next((value for name, value in headers if name == b"content-length"), b"")
    if declared.isdigit() and (len(declared) > 18 or int(declared) > bytes_max):
        raise BodyTooLarge
    parts: list[bytes] = []
    length = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        part = event.get("body", b"")
        length += len(part)
        if length > bytes_max:
            raise BodyTooLarge
        parts.append(part)
        if not event.get("more_body", False):
            return b"".join(parts)


def read_request(scope: MutableMapping[str, Any]) -> Request:
    """The head of a request as the server hands it over."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return Request(
        scope["method"], raw.decode("latin-1"), Query(scope.get("query_string", b"")), tuple(scope["headers"])
    )


async def send_answer(send: Send, answer: Answer, *, more: Headers = (), head_only: bool = False) -> None:
    """Send an answer; of an answer to HEAD only the head."""
    headers = [*answer.headers, *more]
    if answer.status not in {204, 304}:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else answer.body})
