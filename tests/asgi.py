"""Requests to an ASGI application without a socket, for tests of the faces."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

App = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


async def send(app: App, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b"") -> Received:
    """One request to an application, without a socket."""
    path, _, query = target.partition("?")
    raw = quote(path, safe="/%:@!$&'()*+,;=-._~").encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": raw,
        "query_string": quote(query, safe="/%:@!$&'()*+,;=-._~?[]{}|").encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8001),
    }
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def collect(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, collect)
    start = sent[0]
    return Received(
        start["status"],
        {name.decode(): value.decode("latin-1") for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


@dataclass(frozen=True)
class Client:
    """Calls one application as one asker."""

    app: App
    host: str = "localhost"
    token: str | None = None

    async def call(
        self, method: str, target: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Received:
        """One request; a body that is not bytes is sent as JSON."""
        fields = [("Host", self.host)]
        if self.token is not None:
            fields.append(("Authorization", f"Bearer {self.token}"))
        fields += list((headers or {}).items())
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            if not any(name.lower() == "content-type" for name, _ in fields):
                fields.append(("Content-Type", "application/json"))
        if content or method in {"POST", "PUT", "PATCH"}:
            fields.append(("Content-Length", str(len(content))))
        return await send(self.app, method, target, fields, content)

    async def json(self, method: str, target: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON answer of a call that is answered with `status`."""
        received = await self.call(method, target, body)
        assert received.status == status, f"{method} {target}: {received.status} {received.body[:500]!r}"
        return json.loads(received.body) if received.body else None
