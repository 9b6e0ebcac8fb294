"""An upstream that notes what arrives and says it back, or answers as it is told."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

KEPT_MAX = 10_000
Reply = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it reached the upstream."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class EchoUpstream:
    """A server on a free port of loopback."""

    def __init__(self) -> None:
        self.arrivals: deque[Arrival] = deque(maxlen=KEPT_MAX)
        """What arrived, oldest first."""
        self.reply: Callable[[Arrival], Reply] | None = None
        """Answers in place of the echo."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, arrival: Arrival) -> Reply:
        """Note a request and answer it."""
        self.arrivals.append(arrival)
        if self.reply is not None:
            return self.reply(arrival)
        told: dict[str, Any] = {
            "method": arrival.method,
            "target": arrival.target,
            "headers": dict(arrival.headers),
            "body": arrival.body.decode("latin-1"),
        }
        return 200, {"Content-Type": "application/json"}, orjson.dumps(told)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 2048
    upstream: EchoUpstream

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away; the rest is told as ever."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self._read()
        arrival = Arrival(self.command, self.path, tuple(self.headers.items()), body)
        status, headers, answer = self.server.upstream.answer(arrival)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _read(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
