"""tcp-log through a real gateway: its vectors, the example of its page, and its promises with real receivers."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority
from tests.plugin_cases import Gateway, VectorCase, check_example, delivering, eventually, gateway, play, vector_cases

from twinplane.node.log_queue import QueueFacts
from twinplane.node.log_sinks import Surroundings
from twinplane.node.logs import LogDelivery

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
plugins:
  - name: tcp-log
    config: {host: 127.0.0.1, port: PORT, custom_fields_by_lua: {added: "return 'v'"}MORE}
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


class Receiver:
    """A TCP server that keeps the lines it gets, and can hang up."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.lines: list[Any] = []
        self.connections: list[socket.socket] = []
        self.names: list[str | None] = []
        self.failed = 0
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_for(self, lines: int) -> None:
        """Until so many lines have come."""
        eventually(lambda: len(self.lines) == lines)

    def hang_up(self) -> None:
        """Close the connections there are."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._read, args=(accepted,), daemon=True).start()

    def _read(self, accepted: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(accepted, server_side=True) if self._context else accepted
        except OSError:
            self.failed += 1
            return
        self.connections.append(connection)
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                assert line.endswith(b"\n")
                self.lines.append(json.loads(line))
        connection.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("logs")


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = authority.leaf("logs.example.com", is_client=False, names=("logs.example.com",))
    (tmp_path / "cert.pem").write_text(leaf.certificate)
    (tmp_path / "key.pem").write_text(leaf.key)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    made = Receiver(context)
    yield made
    made.close()


def config(receiver: Receiver, more: str = "") -> str:
    return CONFIG.replace("PORT", str(receiver.port)).replace("MORE", more)


def ask(running: Gateway, path: str) -> None:
    assert running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").status in {200, 404}


def facts(delivery: LogDelivery) -> QueueFacts:
    return delivery.facts().plugins.get("tcp-log", QueueFacts())


def test_each_request_is_a_line_over_one_connection(receiver: Receiver) -> None:
    with gateway(config(receiver)) as running, delivering(running.node):
        for number in range(3):
            ask(running, f"/r/{number}")
            receiver.wait_for(number + 1)
        ask(running, "/none")
        eventually(lambda: len(receiver.lines) == 4)
        assert len(receiver.connections) == 1
    assert [entry["request"]["uri"] for entry in receiver.lines] == ["/r/0", "/r/1", "/r/2", "/none"]
    assert [entry["response"]["status"] for entry in receiver.lines] == [200, 200, 200, 404]
    assert receiver.lines[0]["added"] == "v"


def test_a_connection_the_server_closed_is_replaced_and_nothing_lost(receiver: Receiver) -> None:
    with gateway(config(receiver)) as running, delivering(running.node) as delivery:
        ask(running, "/r/1")
        eventually(lambda: len(receiver.lines) == 1)
        receiver.hang_up()
        eventually(lambda: receiver.connections[0].fileno() == -1)
        ask(running, "/r/2")
        eventually(lambda: len(receiver.lines) == 2)
        assert facts(delivery).retries_total == 0
    assert len(receiver.connections) == 2


def test_an_idle_connection_is_kept_no_longer_than_keepalive(receiver: Receiver) -> None:
    with gateway(config(receiver, ", keepalive: 0")) as running, delivering(running.node):
        for number in range(2):
            ask(running, f"/r/{number}")
            receiver.wait_for(number + 1)
    assert len(receiver.connections) == 2


def test_what_waited_for_a_server_arrives_once_it_is_there() -> None:
    with socket.socket() as late:
        # The port is taken; nobody listens yet.
        late.bind(("127.0.0.1", 0))
        late.settimeout(30)
        config = CONFIG.replace("PORT", str(late.getsockname()[1])).replace("MORE", "")
        with gateway(config) as running, delivering(running.node) as delivery:
            ask(running, "/r/1")
            eventually(lambda: facts(delivery).retries_total > 0)
            late.listen()
            accepted, _ = late.accept()
            with accepted, accepted.makefile("rb") as lines:
                assert json.loads(lines.readline())["request"]["uri"] == "/r/1"


def test_a_server_that_never_answers_the_handshake_slows_no_request() -> None:
    around = Surroundings(entries_max=2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = CONFIG.replace("PORT", str(silent.getsockname()[1])).replace("MORE", ", tls: true, timeout: 50")
        with gateway(config) as running, delivering(running.node, around) as delivery:
            for number in range(10):
                ask(running, f"/r/{number}")
            eventually(lambda: facts(delivery).retries_total > 0 and facts(delivery).dropped_total > 0)


def test_tls_asks_for_the_name_and_takes_any_certificate(secure: Receiver) -> None:
    more = ", tls: true, tls_sni: logs.example.com"
    with gateway(config(secure, more)) as running, delivering(running.node):
        ask(running, "/r/1")
        eventually(lambda: len(secure.lines) == 1)
        secure.hang_up()
        eventually(lambda: secure.connections[0].fileno() == -1)
        ask(running, "/r/2")
        eventually(lambda: len(secure.lines) == 2)
    assert secure.names == ["logs.example.com"] * 2


@pytest.mark.parametrize(("name", "arrives"), [("logs.example.com", True), ("other.example.com", False)])
def test_certificates_are_verified_where_the_node_is_told_to(
    secure: Receiver, authority: Authority, name: str, arrives: bool
) -> None:
    trust = ssl.create_default_context(cadata=authority.certificate)
    around = Surroundings(tls=trust, verifies_tcp=True)
    more = f", tls: true, tls_sni: {name}"
    with gateway(config(secure, more)) as running, delivering(running.node, around) as delivery:
        ask(running, "/r/1")
        if arrives:
            eventually(lambda: len(secure.lines) == 1)
        else:
            eventually(lambda: facts(delivery).retries_total > 0)
            assert secure.lines == []


def test_lua_that_the_node_cannot_run_leaves_the_plugin_out(receiver: Receiver) -> None:
    with gateway(config(receiver).replace("return 'v'", "return kong.ctx")) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "tcp-log"
        ask(running, "/r")
        assert running.node.core.drain("logs") == b""
