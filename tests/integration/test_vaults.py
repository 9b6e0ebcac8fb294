"""A node that finds secrets in its environment, as a real process: what it delivers, what it keeps on its disk."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.installation import Client, eventually, free_ports, run_twinplane

_DOCUMENT: dict[str, Any] = {
    "_format_version": "3.0",
    "vaults": [{"prefix": "logs", "name": "env", "config": {"prefix": "LOG_"}}],
    "routes": [{"name": "r", "paths": ["/"]}],
    "plugins": [
        {"name": "request-termination", "config": {"status_code": 200}},
        {
            "name": "http-log",
            "config": {"http_endpoint": "{vault://env/log-sink}", "headers": {"x-key": "{vault://logs/key}"}},
        },
    ],
}


class Sink:
    """Takes log entries; keeps the key that came with each."""

    def __init__(self) -> None:
        keys = self.keys = []  # type: list[str | None]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                keys.append(self.headers["X-Key"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is declared
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/logs"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def _node(directory: Path, environ: dict[str, str]) -> Iterator[tuple[Any, Client, Client]]:
    file = directory / "kong.json"
    file.write_text(json.dumps(_DOCUMENT))
    proxy, status = free_ports(2)
    settings = {
        "KONG_ROLE": "traditional",
        "KONG_DATABASE": "off",
        "KONG_PREFIX": str(directory / "prefix"),
        "KONG_DECLARATIVE_CONFIG": str(file),
        "KONG_PROXY_LISTEN": f"127.0.0.1:{proxy}",
        "KONG_STATUS_LISTEN": f"127.0.0.1:{status}",
        "KONG_ADMIN_LISTEN": "off",
        "KONG_NGINX_WORKER_PROCESSES": "1",
    }
    process = run_twinplane("data-plane", environ={**settings, **environ})
    try:
        yield process, Client(proxy), Client(status)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_node_delivers_with_secrets_that_its_disk_never_sees(tmp_path: Path) -> None:
    sink = Sink()
    try:
        with _node(tmp_path, {"LOG_SINK": sink.url, "LOG_KEY": "s3cret-of-the-sink"}) as (_, proxy, status):
            eventually(lambda: status("GET", "/status/ready").status == 200, seconds=60)
            assert proxy("GET", "/").status == 200
            eventually(lambda: sink.keys, seconds=60)
        assert set(sink.keys) == {"s3cret-of-the-sink"}
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in kept if b"s3cret-of-the-sink" in path.read_bytes()]
    finally:
        sink.close()


def test_a_node_says_which_reference_leads_nowhere(tmp_path: Path) -> None:
    with _node(tmp_path, {"LOG_SINK": "http://127.0.0.1:9"}) as (process, _, _):
        output = process.communicate(timeout=120)[0].decode()
        assert process.returncode != 0
        assert "config.headers.x-key: {vault://logs/key} leads nowhere: the variable LOG_KEY is not set" in output
