"""request-size-limiting through a real gateway: its vectors, and the example of its page."""

import socket

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases

_STREAMED = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/], request_buffering: false}]
    plugins: [{name: request-size-limiting, config: {allowed_payload_size: 1}}]
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_long_chunked_body_is_cut_off_at_the_limit() -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with (
        gateway(_STREAMED) as running,
        socket.create_connection(("127.0.0.1", running.node.port), timeout=10) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(16):
            client.sendall(chunk)
        client.sendall(b"1\r\ny\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")
