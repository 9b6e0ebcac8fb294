"""The public conformance suite of HTTP/2 finds nothing, in its strict mode, over TLS and in the clear."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Leaf
from tests.conformance.go_tool import built, has_go

from twinplane._dataplane import Core  # noqa: TID251 - the core alone is what is tried

pytestmark = pytest.mark.skipif(not has_go(), reason="Go is not installed: h2spec cannot be built")


class _Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._read_body()
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 100)

    do_POST = do_HEAD = do_GET  # noqa: N815 - names of the standard library

    def _read_body(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("transfer-encoding"):
            while (size := int(self.rfile.readline(), 16)) > 0:
                self.rfile.read(size + 2)
            self.rfile.readline()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """The suite breaks off requests on purpose."""


@pytest.fixture
def upstream() -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
def test_h2spec_finds_nothing(upstream: int, tls: bool) -> None:
    program = built(Path(__file__).parent, "github.com/summerwind/h2spec/cmd/h2spec")
    leaf = Leaf.self_signed("localhost", names=("localhost",))
    settings = {
        "node_id": "h2spec",
        "version": "twinplane/0.1.0",
        "listeners": [{"address": "127.0.0.1", "port": 0, "tls": tls, "http2": True}],
        "default_certificates": [{"cert": leaf.certificate, "key": leaf.key}],
    }
    service = {"id": "s", "protocol": "http", "host": "127.0.0.1", "port": upstream, "enabled": True}
    route = {
        "id": "r",
        "service": "s",
        "protocols": ["http", "https"],
        "https_redirect_status_code": 426,
        "strip_path": False,
        "preserve_host": False,
        "request_buffering": True,
        "response_buffering": True,
        "paths": ["/"],
    }
    core = Core.start(json.dumps(settings).encode(), json.dumps({"services": [service], "routes": [route]}).encode())
    try:
        spoken = ["--tls", "--insecure"] if tls else []
        port = str(core.status().listeners[0][1])
        done = subprocess.run(
            [str(program), "--host", "127.0.0.1", "--port", port, *spoken, "--strict", "--timeout", "5"],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert core.status().invariant_broken == 0
    finally:
        core.stop(0)
    told = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert told is not None, done.stdout
    tests, passed, skipped, failed = map(int, told.groups())
    assert (passed, skipped, failed) == (tests, 0, 0), done.stdout
    assert tests >= 146
    # The suite says so itself, too.
    assert done.returncode == 0
