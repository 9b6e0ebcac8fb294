"""udp-log through a real gateway: its vectors, the example of its page, and its promises with a real receiver."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.plugin_cases import VectorCase, check_example, delivering, eventually, gateway, play, vector_cases

from twinplane.node.log_queue import QueueFacts, QueueLimits
from twinplane.node.log_sinks.udp import UdpDelivery, UdpSink

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
plugins:
  - name: udp-log
    config: {host: HOST, port: PORT, custom_fields_by_lua: {added: "return 'v'"}}
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(30)
        yield made


def received(receiver: socket.socket) -> tuple[Any, bytes]:
    datagram = receiver.recv(65_536)
    return json.loads(datagram), datagram


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_each_request_is_a_datagram(receiver: socket.socket, host: str) -> None:
    config = CONFIG.replace("HOST", host).replace("PORT", str(receiver.getsockname()[1]))
    with gateway(config) as running, delivering(running.node) as delivery:
        for path in ("/r/1", "/none"):
            running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            entry, datagram = received(receiver)
            assert (entry["request"]["uri"], entry["added"]) == (path, "v")
            assert datagram.endswith(b"}")
        eventually(lambda: delivery.facts().plugins["udp-log"].delivered_total == 2)


def test_an_entry_too_large_for_a_datagram_is_counted_and_the_next_one_goes(receiver: socket.socket) -> None:
    config = CONFIG.replace("HOST", "127.0.0.1").replace("PORT", str(receiver.getsockname()[1]))
    # What is no UTF-8 is three times as long in an entry.
    large = "".join(f"X-{name}: {'ÿ' * 7_000}\r\n" for name in "abcd")
    with gateway(config) as running, delivering(running.node) as delivery:
        assert running.send(f"GET /r/large HTTP/1.1\r\nHost: a\r\n{large}\r\n").status == 200
        running.send("GET /r/small HTTP/1.1\r\nHost: a\r\n\r\n")
        entry, _ = received(receiver)
        assert entry["request"]["uri"] == "/r/small"
        eventually(lambda: delivery.facts().plugins["udp-log"] == QueueFacts(delivered_total=1, failed_total=1))


def test_a_name_without_an_address_is_an_error_to_be_tried_again() -> None:
    delivery = UdpDelivery(UdpSink("no-such-host.invalid", 9, limits=QueueLimits()))
    with pytest.raises(OSError, match=r"known|resolution"):
        delivery([b"{}"])


def test_lua_that_the_node_cannot_run_leaves_the_plugin_out() -> None:
    config = CONFIG.replace("HOST", "127.0.0.1").replace("PORT", "1").replace("return 'v'", "return kong.ctx")
    with gateway(config) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "udp-log"
        running.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")
        assert running.node.core.drain("logs") == b""
