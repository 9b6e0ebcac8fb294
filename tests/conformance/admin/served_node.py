"""A running node behind the form in which the recordings are played: each request goes over a connection."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 60.0


class ServedNode:
    """The Admin API on a port of loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Pass one request on, and its answer back."""
        body = (await receive())["body"]
        query = scope["query_string"]
        target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        status, headers, answer = await asyncio.to_thread(self._call, scope["method"], target, scope["headers"], body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _call(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name.decode(), value.decode("latin-1"))
            connection.endheaders(body or None)
            response = connection.getresponse()
            received = [(name.encode(), value.encode("latin-1")) for name, value in response.getheaders()]
            return response.status, received, response.read()
        finally:
            connection.close()
