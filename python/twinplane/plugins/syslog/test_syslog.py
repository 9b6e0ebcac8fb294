"""syslog through a real gateway: its vectors, the example of its page, and its promises with real sockets."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, delivering, eventually, gateway, play, vector_cases

from twinplane.node.log_queue import QueueFacts
from twinplane.node.log_sinks import Surroundings
from twinplane.node.log_sinks.syslog import SyslogDelivery, SyslogSink
from twinplane.node.logs import LogDelivery

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
plugins:
  - name: syslog
    config: {CONFIG}
"""
LINE = re.compile(
    rb"<(?P<priority>\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<ident>kong\[\d+\]): (?P<entry>\{.*\})", re.DOTALL
)


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="log") as folder:
        yield Path(folder) / "log"


@pytest.fixture
def system_log(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(path))
        made.settimeout(30)
        yield made


def read(system_log: socket.socket) -> tuple[int, Any]:
    found = LINE.fullmatch(system_log.recv(262_144))
    assert found is not None
    assert found["ident"] == f"kong[{os.getpid()}]".encode()
    return int(found["priority"]), json.loads(found["entry"])


def ask(running: Gateway, path: str, reply: str | None = None) -> None:
    running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n", reply=reply)


def facts(delivery: LogDelivery) -> QueueFacts:
    return delivery.facts().plugins.get("syslog", QueueFacts())


FAILED = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def test_an_entry_has_the_severity_of_its_status_and_the_facility_of_the_plugin(
    system_log: socket.socket, path: Path
) -> None:
    severities = "successful_severity: notice, client_errors_severity: warning, server_errors_severity: crit"
    config = CONFIG.replace("CONFIG", f'facility: local3, {severities}, custom_fields_by_lua: {{added: "return 1"}}')
    with gateway(config) as running, delivering(running.node, Surroundings(syslog_socket=path)) as delivery:
        for asked, reply, severity in (("/r", None, 5), ("/none", None, 4), ("/r", FAILED, 2)):
            ask(running, asked, reply)
            priority, entry = read(system_log)
            assert (priority, entry["request"]["uri"], entry["added"]) == (19 * 8 + severity, asked, 1)
        eventually(lambda: facts(delivery).delivered_total == 3)


def test_what_is_less_severe_than_the_level_is_not_written(system_log: socket.socket, path: Path) -> None:
    config = CONFIG.replace("CONFIG", "log_level: err, server_errors_severity: err, client_errors_severity: warning")
    with gateway(config) as running, delivering(running.node, Surroundings(syslog_socket=path)) as delivery:
        ask(running, "/r")
        ask(running, "/none")
        ask(running, "/r", FAILED)
        priority, entry = read(system_log)
        assert (priority, entry["response"]["status"]) == (8 + 3, 500)
        eventually(lambda: facts(delivery).delivered_total == 1)
    assert delivery.facts().waiting == 0


def test_an_absent_system_log_slows_no_request_and_is_written_to_once_it_is_there(path: Path) -> None:
    around = Surroundings(syslog_socket=path, entries_max=2)
    with gateway(CONFIG.replace("CONFIG", "")) as running, delivering(running.node, around) as delivery:
        for number in range(10):
            ask(running, f"/r/{number}")
        eventually(lambda: facts(delivery).retries_total > 0 and facts(delivery).dropped_total > 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
            made.bind(str(path))
            made.settimeout(30)
            priority, entry = read(made)
            assert (priority, entry["response"]["status"]) == (8 + 6, 200)


def test_a_system_log_that_takes_a_stream_is_written_to_as_well(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(30)
        around = Surroundings(syslog_socket=path)
        with gateway(CONFIG.replace("CONFIG", "")) as running, delivering(running.node, around):
            ask(running, "/r/1")
            accepted, _ = listener.accept()
            accepted.settimeout(30)
            text = b""
            while not text.endswith(b"\0"):
                text += accepted.recv(65_536)
            accepted.close()
    found = LINE.fullmatch(text[:-1])
    assert found is not None
    assert json.loads(found["entry"])["request"]["uri"] == "/r/1"


def test_an_entry_too_large_for_the_socket_is_never_taken(system_log: socket.socket, path: Path) -> None:
    delivery = SyslogDelivery(SyslogSink(path))
    head = b'{"severity":"info","message":{"fill":"'
    assert delivery([head + b"x" * 4_000_000 + b'"}}']) == 0
    assert delivery([head + b'x"}}']) == 1
    assert read(system_log)[1] == {"fill": "x"}
    delivery.close()


def test_lua_that_the_node_cannot_run_leaves_the_plugin_out() -> None:
    config = CONFIG.replace("CONFIG", "custom_fields_by_lua: {added: return kong.ctx}")
    with gateway(config) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "syslog"
        ask(running, "/r")
        assert running.node.core.drain("logs") == b""
