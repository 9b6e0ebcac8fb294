"""What settings of `kong.conf` do to requests, on one real node that has many of them, by file and environment."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.installation import Answer, Client, eventually, free_ports, run_twinplane

WAIT = 30.0
# Longer than the read time-out of the node's upstreams; no test waits for anything as short.
SLOW_SECONDS = 4.0


class _Connection(socketserver.StreamRequestHandler):
    """Answers by the path, and notes what came on which connection."""

    def handle(self) -> None:
        own: Peer = self.server.peer  # type: ignore[attr-defined]
        with own.lock:
            own.connections += 1
        while True:
            line = self.rfile.readline()
            if not line:
                return
            headers = http.client.parse_headers(self.rfile)
            self.rfile.read(int(headers.get("Content-Length", "0")))
            path = line.split(b" ")[1].decode()
            with own.lock:
                own.heads.append((path, headers))
            if path.startswith("/drop"):
                return
            if "slow" in path:
                time.sleep(SLOW_SECONDS)
            extra = f"X-Long: {'x' * 3000}\r\n" if path.startswith("/long") else ""
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{extra}\r\nok".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Peer:
    """An upstream that notes what it sees."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connections = 0
        self.heads: list[tuple[str, http.client.HTTPMessage]] = []
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.peer = self  # type: ignore[attr-defined]
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def seen(self, path: str) -> list[http.client.HTTPMessage]:
        with self.lock:
            return [headers for at, headers in self.heads if at == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Running:
    """A node with many settings."""

    access_log: Path
    status: int
    plain: int
    secure: int
    peer: Peer

    def __call__(self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        return Client(self.plain)("GET" if body is None else "POST", path, body, headers)

    def metric(self, name: str) -> float:
        """A figure without labels, as a scrape sees it."""
        told = Client(self.status)("GET", "/metrics").body.decode()
        return float(next(line.split()[1] for line in told.splitlines() if line.startswith(f"{name} ")))

    def raw(self, text: str) -> bytes:
        """All that comes back for some bytes, up to the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.plain), timeout=WAIT) as connection:
            connection.sendall(text.encode())
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65_536):
                    received += piece
            return received


FILE = """
role = traditional
database = off
log_level = warn   # not much
proxy_listen = 127.0.0.1:{plain}, 127.0.0.1:{secure} ssl
status_listen = 127.0.0.1:{status}
admin_listen = off
prefix = {directory}/prefix
nginx_worker_processes = 4
nginx_main_worker_processes = 1
nginx_http_client_max_body_size = 1m
nginx_proxy_client_max_body_size = 1k
nginx_http_large_client_header_buffers = 2 2k
lua_max_req_headers = 20
nginx_http_client_header_timeout = 3s
nginx_http_client_body_timeout = 2000ms
nginx_http_keepalive_requests = 3
nginx_proxy_proxy_read_timeout = 2s
nginx_proxy_proxy_buffer_size = 2k
nginx_proxy_proxy_next_upstream = off
ssl_protocols = TLSv1.3
error_template_json = {directory}/error.json
error_template_html = {directory}/error.html
headers = off
allow_debug_header = on
upstream_keepalive_max_requests = 2
trusted_ips = 127.0.0.1
nginx_http_gzip = on
proxy_access_log = logs/access.log combined
proxy_access_log_lines = 128
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("kong-conf")
    plain, secure, status = free_ports(3)
    peer = Peer()
    url = f"http://127.0.0.1:{peer.port}"
    route = {"strip_path": False}
    document = {
        "_format_version": "3.0",
        "services": [
            {"name": "usual", "url": url, "routes": [{"name": "usual", "paths": ["/"], **route}]},
            {
                "name": "patient",
                "url": url,
                "read_timeout": 30_000,
                "routes": [{"name": "patient", "paths": ["/patient"], **route}],
            },
            {"name": "none", "url": url, "routes": [{"name": "none", "paths": ["/none"], "hosts": ["none.example"]}]},
        ],
        "plugins": [{"name": "key-auth", "route": "none"}],
    }
    (directory / "kong.conf").write_text(FILE.format(plain=plain, secure=secure, status=status, directory=directory))
    (directory / "error.json").write_text('{"own": "%s", "id": "%s", "share": "100 %%"}')
    (directory / "error.html").write_text("<b>%s</b>")
    environ = {
        "KONG_DECLARATIVE_CONFIG_STRING": json.dumps(document),
        "KONG_HEADERS_UPSTREAM": "off",
        "KONG_REAL_IP_HEADER": "X-Own-Ip",
        "KONG_LOG_LEVEL": "notice",
    }
    process = run_twinplane("data-plane", "-c", str(directory / "kong.conf"), environ=environ)
    try:
        eventually(lambda: Client(status)("GET", "/status/ready").status == 200, seconds=60)
        yield Running(directory / "prefix/logs/access.log", status, plain, secure, peer)
    finally:
        process.terminate()
        output = process.communicate(timeout=60)[0].decode()
        peer.close()
    assert "nginx_http_gzip: unknown directive, not obeyed" in output
    assert output.count("setting_idle") == 1


def test_a_body_that_is_too_large_is_refused_and_never_sent_on(node: Running) -> None:
    assert node("/body", body=b"x" * 1024).status == 200
    assert node("/body-large", body=b"x" * 1025).status == 413
    assert node.peer.seen("/body-large") == []


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("/" + "a" * 2100, "", 414),
        ("/head", f"X-Long: {'a' * 2100}\r\n", 400),
        ("/head", "".join(f"X-{n}: {'a' * 1500}\r\n" for n in range(3)), 400),
        ("/head", "".join(f"X-{n}: a\r\n" for n in range(21)), 400),
        ("/head-fits", "".join(f"X-{n}: {'a' * 150}\r\n" for n in range(18)), 200),
    ],
    ids=["line", "field", "head", "fields", "fits"],
)
def test_a_head_may_be_as_long_as_its_buffers(node: Running, line: str, fields: str, status: int) -> None:
    got = node.raw(f"GET {line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
    assert got.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_slow_head_and_a_slow_body_are_answered_408(node: Running) -> None:
    assert node.raw("GET /slow-head HTTP/1.1\r\nHo").startswith(b"HTTP/1.1 408 ")
    head = "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"
    assert node.raw(head).startswith(b"HTTP/1.1 408 ")


def test_a_connection_takes_so_many_requests_and_is_closed(node: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.plain, timeout=WAIT)
    told = []
    for _ in range(3):
        connection.request("GET", "/kept")
        answer = connection.getresponse()
        answer.read()
        told.append(answer.headers["Connection"])
    assert told == ["keep-alive", "keep-alive", "close"]
    connection.close()


def test_a_service_of_the_usual_time_waits_as_long_as_the_directive_says(node: Running) -> None:
    assert node("/slow").status == 504
    assert node("/patient/slow").status == 200


def test_a_long_head_of_an_upstream_is_refused(node: Running) -> None:
    assert node("/long").status == 502


def test_no_further_attempt_is_made_where_it_is_turned_off(node: Running) -> None:
    assert node("/drop-once").status == 502
    assert len(node.peer.seen("/drop-once")) == 1


def test_a_connection_to_an_upstream_takes_so_many_requests(node: Running) -> None:
    before = node.peer.connections
    for _ in range(6):
        assert node("/reused").status == 200
    assert node.peer.connections - before >= 2


def test_only_the_versions_of_tls_that_are_named_are_spoken(node: Running) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", node.secure), timeout=WAIT) as raw,
        context.wrap_socket(raw) as connection,
    ):
        assert connection.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", node.secure), timeout=WAIT) as raw,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(raw)


def test_errors_have_the_form_of_their_templates(node: Running) -> None:
    asked = {"Host": "none.example"}
    answer = node("/none", asked)
    assert answer.status == 401
    told = answer.json()
    assert told["own"] == "No API key found in request"
    assert (len(told["id"]), told["share"]) == (32, "100 %")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    page = node("/drop", {"Accept": "text/html"})
    assert (page.status, page.body) == (502, b"<b>An invalid response was received from the upstream server</b>")
    # There is no template for this one.
    plain = node("/drop", {"Accept": "text/plain"})
    assert plain.body.startswith(b"An invalid response was received from the upstream server\nrequest_id: ")


def test_headers_are_added_only_where_they_are_asked_for(node: Running) -> None:
    answer = node("/headers")
    own = {"Server", "Via", "X-Kong-Request-Id", "X-Kong-Proxy-Latency", "X-Kong-Upstream-Latency"}
    assert own.isdisjoint(answer.headers)
    (sent,) = node.peer.seen("/headers")
    assert "X-Kong-Request-Id" not in sent


def test_the_debug_header_names_route_and_service(node: Running) -> None:
    told = node("/debug", {"Kong-Debug": "1"}).headers
    assert (told["Kong-Route-Name"], told["Kong-Service-Name"]) == ("usual", "usual")


def test_a_trusted_peer_names_the_client_in_the_header_of_the_environment(node: Running) -> None:
    assert node("/real", {"X-Own-Ip": "192.0.2.7", "X-Real-IP": "192.0.2.8"}).status == 200
    (sent,) = node.peer.seen("/real")
    assert sent["X-Real-IP"] == "192.0.2.7"


def test_each_request_has_a_line_that_no_client_can_forge(node: Running) -> None:
    assert node("/logged?a=1", {"User-Agent": 'x" 200 0 "', "X-Own-Ip": "192.0.2.9"}).status == 200
    line = eventually(lambda: next((each for each in lines(node) if "/logged" in each), None), seconds=30)
    found = re.fullmatch(
        r'192\.0\.2\.9 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /logged\?a=1 HTTP/1\.1" 200 2 "-" '
        r'"x\\x22 200 0 \\x22" kong_request_id: "[0-9a-f]{32}"',
        line,
    )
    assert found is not None, line


def test_a_log_that_was_moved_away_begins_anew(node: Running) -> None:
    assert node("/before-move").status == 200
    eventually(lambda: any("/before-move" in line for line in lines(node)), seconds=30)
    moved = node.access_log.rename(node.access_log.with_suffix(".1"))
    assert node("/after-move").status == 200
    eventually(lambda: any("/after-move" in line for line in lines(node)), seconds=30)
    assert "/after-move" not in moved.read_text()


def test_what_the_log_cannot_hold_or_write_is_counted(node: Running) -> None:
    lines_lost, bytes_lost = "twinplane_access_log_lines_lost_total", "twinplane_access_log_bytes_lost_total"
    before = node.metric(bytes_lost)
    in_place_of_log(node, node.access_log.mkdir)
    try:
        assert node("/unwritable").status == 200
        eventually(lambda: node.metric(bytes_lost) > before, seconds=30)
    finally:
        node.access_log.rmdir()
    assert node.metric(lines_lost) == 0
    # A pipe that nobody reads holds up the one who writes, so that lines wait.
    in_place_of_log(node, lambda: os.mkfifo(node.access_log))
    try:
        for _ in range(3 * 128):
            assert node("/waiting").status == 200
        assert node.metric(lines_lost) >= 128
    finally:
        reader = os.open(node.access_log, os.O_RDONLY | os.O_NONBLOCK)
        eventually(lambda: b"/waiting" in read_some(reader), seconds=30)
        node.access_log.unlink()
        os.close(reader)


def in_place_of_log(node: Running, make: Callable[[], object]) -> None:
    """Make something else where the log was; a line of a request before may come in between and begin a new log."""

    def made() -> bool:
        with contextlib.suppress(FileNotFoundError):
            node.access_log.unlink()
        with contextlib.suppress(FileExistsError):
            make()
            return True
        return False

    eventually(made, seconds=30)


def read_some(reader: int) -> bytes:
    """What has come through a pipe; nothing where its other end was not opened yet."""
    try:
        return os.read(reader, 65_536)
    except BlockingIOError:
        return b""


def lines(node: Running) -> list[str]:
    """The access log so far."""
    return node.access_log.read_text().splitlines()
