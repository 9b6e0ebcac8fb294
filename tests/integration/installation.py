"""Real processes on loopback: a whole `twinplane up`, its clients, and a small upstream."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.ports import LEASE

PIPE_BYTES = 1_048_576
READY_SECONDS = 60.0


def eventually(probe: Any, *, seconds: float = 20.0, every: float = 0.05) -> Any:
    """The first true answer of `probe`; fails where none comes in time."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = probe()
        except (OSError, http.client.HTTPException) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s; last: {last!r}")


@dataclass
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """A client of one address; one connection per call unless `keep` is set."""

    def __init__(self, port: int, *, ca: Path | None = None, token: str | None = None) -> None:
        self.port, self._ca, self._token = port, ca, token

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, host: str = "localhost"
    ) -> Answer:
        if self._ca is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        else:
            context = ssl.create_default_context(cafile=str(self._ca))
            connection = http.client.HTTPSConnection(host, self.port, timeout=20, context=context)
        sent = dict(headers or {})
        if self._token and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self._token}"
        data = body
        if body is not None and not isinstance(body, bytes | str):
            data = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


@dataclass
class Installation:
    """A running `twinplane up`."""

    process: subprocess.Popen[bytes]
    data: Path
    ports: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return (self.data / "admin.token").read_text().strip()

    @property
    def api(self) -> Client:
        return Client(self.ports["port"], ca=self.data / "ca.pem", token=self.token)

    @property
    def admin(self) -> Client:
        return Client(self.ports["admin_port"])

    @property
    def proxy(self) -> Client:
        return Client(self.ports["proxy_port"])

    @property
    def status(self) -> Client:
        return Client(self.ports["status_port"])

    def node_pid(self) -> int:
        """The node's process as it is now."""
        pid: int = json.loads((self.data / "ports.json").read_text())["pids"]["data_plane"]
        return pid

    def control_plane_id(self) -> str:
        """The id of the control plane `default`."""
        found: str = self.api("GET", "/v2/control-planes?filter[name][eq]=default").json()["data"][0]["id"]
        return found

    def requests(self, **query: Any) -> list[dict[str, Any]]:
        """Request records of the last quarter of an hour, newest first."""
        body = {"size": 1000, "time_range": {"type": "relative", "time_range": "15M"}, **query}
        answer = self.api("POST", "/v2/api-requests", body)
        assert answer.status == 200, answer.body
        results: list[dict[str, Any]] = answer.json()["results"]
        return results


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, nor is given until all others were."""
    return LEASE.take(count)


def run_twinplane(
    *arguments: str, environ: dict[str, str] | None = None, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """The program as a process of its own, its output in a pipe; `before` is a command that runs it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWINPLANE_", "KONG_"))}
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "twinplane", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # These ports have fixed numbers: processes side by side on one machine ask for them by option only.
        env={**clean, "TWINPLANE_AUDIT_LISTEN": "off", "KONG_ADMIN_LISTEN": "off", **(environ or {})},
    )
    if process.stdout is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        # Nobody reads while it runs: what it logs must have room, or it stands still.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process


def _up(data: Path, *options: str, environ: dict[str, str] | None, tries: int = 3) -> subprocess.Popen[bytes]:
    process = run_twinplane("up", "--data", str(data), *options, environ=environ)
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (data / "ports.json").exists():
            return process
        time.sleep(0.05)
    process.kill()
    told = process.communicate()[0].decode()
    # A port that was free when it was chosen may be somebody else's when it is opened.
    if tries == 1 or "Address already in use" not in told:
        raise AssertionError(told)
    return _up(data, *options, environ=environ, tries=tries - 1)


@contextmanager
def installation(directory: Path, *options: str, environ: dict[str, str] | None = None) -> Iterator[Installation]:
    """`twinplane up` on free ports, ready; stopped gracefully at the end."""
    data = directory / "data"
    names = ("port", "proxy-port", "proxy-ssl-port", "admin-port", "status-port")
    ports = [word for name in names for word in (f"--{name}", "0")]
    process = _up(data, *ports, *options, environ=environ)
    found = Installation(process, data)
    try:
        found.ports = json.loads((data / "ports.json").read_text())
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


class Upstream:
    """A small upstream that counts what it is asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                upstream.seen.append((self.command, self.path, dict(self.headers.items()), body))
                data = b'{"echo":"ok"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: object) -> None:
                pass

        self._server: socketserver.BaseServer = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]  # type: ignore[index]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
