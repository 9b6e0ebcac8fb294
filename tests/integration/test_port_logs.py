"""Logs of a node's own ports: a line for each request to its status and its Admin API, and files for what failed."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.dbless import DblessNode, dbless_node
from tests.integration.installation import Client, eventually, free_ports

LINE = re.compile(
    r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" '
    r'kong_request_id: "[0-9a-f]{32}"'
)
Logged = tuple[str, str, str, str, str]


class Logs:
    """A node with a log of each kind for each of its ports."""

    def __init__(self, node: DblessNode, secure: dict[str, int]) -> None:
        self.node, self.secure, self.directory = node, secure, node.prefix / "logs"

    def lines(self, name: str) -> list[Logged]:
        """What an access log tells: request, status, bytes, referer, agent."""
        path = self.directory / name
        if not path.exists():
            return []
        found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
        assert all(found), path.read_text()
        return [(*each.group("request", "status", "bytes", "referer", "agent"),) for each in found if each]

    def wait_for(self, name: str, line: Logged) -> None:
        """Fails where that line does not come."""
        eventually(lambda: line in self.lines(name), seconds=60)

    def say(self, port: int, data: bytes) -> bytes:
        """What is answered to these bytes until the end."""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        return answer


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    status, secure, admin, secure_admin = free_ports(4)
    settings = {
        "log_level": "debug",
        "status_listen": f"127.0.0.1:{status}, 127.0.0.1:{secure} ssl",
        "admin_listen": f"127.0.0.1:{admin}, 127.0.0.1:{secure_admin} ssl",
        **{f"{port}_access_log": f"logs/{port}.log" for port in ("status", "admin")},
        **{f"{port}_error_log": f"logs/{port}_error.log notice" for port in ("status", "admin")},
    }
    with dbless_node(tmp_path_factory.mktemp("logs"), **settings) as node:
        yield Logs(node, {"status": secure, "admin": secure_admin})


def test_each_request_to_the_admin_api_is_a_line(logs: Logs) -> None:
    headers = {"User-Agent": 'a"b\\c', "Referer": "http://localhost/from"}
    answer = logs.node.admin("GET", "/services?size=7", headers=headers)
    assert answer.status == 200
    size = str(len(answer.body))
    line = ("GET /services?size=7 HTTP/1.1", "200", size, "http://localhost/from", r"a\x22b\x5Cc")
    logs.wait_for("admin.log", line)
    logs.node.admin("HEAD", "/services?size=8")
    eventually(lambda: [each for each in logs.lines("admin.log") if "HEAD" in each[0]], seconds=60)
    head = next(each for each in logs.lines("admin.log") if "HEAD" in each[0])
    assert head == ("HEAD /services?size=8 HTTP/1.1", "200", "0", "-", "-")
    # Also what was not let in.
    answer = logs.node.admin("GET", "/routes?size=9", headers={"Host": "elsewhere.example"})
    assert answer.status >= 400
    logs.wait_for("admin.log", ("GET /routes?size=9 HTTP/1.1", str(answer.status), str(len(answer.body)), "-", "-"))


def test_each_request_to_the_status_port_is_a_line(logs: Logs) -> None:
    port = logs.node.status.port
    assert logs.say(port, b"GET /status/ready?a HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 ")
    eventually(lambda: any("/status/ready?a HTTP/1.0" in each[0] for each in logs.lines("status.log")), seconds=60)
    # What cannot be understood is one as well, and what is in it none.
    answer = logs.say(port, b'rubbish "\n" \r\n\r\n')
    body = answer.partition(b"\r\n\r\n")[2]
    logs.wait_for("status.log", ("-", "400", str(len(body)), "-", "-"))
    assert "rubbish" not in (logs.directory / "status.log").read_text()
    assert not any("/status/ready" in each[0] for each in logs.lines("admin.log"))


@pytest.mark.parametrize("port", ["status", "admin"])
def test_failures_of_a_port_have_a_log_of_their_own(logs: Logs, port: str) -> None:
    logs.say(logs.secure[port], b"GET / HTTP/1.1\r\n\r\n")
    kept = logs.directory / f"{port}_error.log"
    eventually(lambda: f" debug {port} {port}_connection_refused " in kept.read_text(), seconds=60)


def test_a_log_of_a_port_may_be_moved_away_and_be_unwritable(logs: Logs) -> None:
    kept, node = logs.directory / "admin.log", logs.node
    node.admin("GET", "/moved-away")
    eventually(lambda: any("/moved-away" in each[0] for each in logs.lines("admin.log")), seconds=60)
    moved = kept.rename(kept.with_suffix(".1"))
    kept.mkdir()

    def conditions() -> set[str]:
        return {each["code"] for each in node.status("GET", "/status").json()["conditions"]}

    def lost() -> bool:
        text = node.status("GET", "/metrics").body.decode()
        return re.search(r'twinplane_port_access_log_bytes_lost_total\{port="admin"\} [1-9]', text) is not None

    node.admin("GET", "/unwritable")
    eventually(lambda: "admin_access_log_unwritable" in conditions(), seconds=60)
    eventually(lost, seconds=60)
    kept.rmdir()
    node.admin("GET", "/again")
    eventually(lambda: any("/again" in each[0] for each in logs.lines("admin.log")), seconds=60)
    eventually(lambda: conditions() == set(), seconds=60)
    assert "/again" not in moved.read_text()


def test_ports_have_no_access_log_unless_they_are_asked_to(tmp_path: Path) -> None:
    with dbless_node(tmp_path) as node:
        assert node.admin("GET", "/services").status == 200
        assert Client(node.status.port)("GET", "/metrics").status == 200
        assert b"twinplane_port_access_log" not in node.status("GET", "/metrics").body
        assert not (node.prefix / "logs").exists()
