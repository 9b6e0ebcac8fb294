"""response-transformer through a real gateway: its vectors, the example of its page, and what bodies it holds back."""

from __future__ import annotations

import json
import socket

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases

from twinplane._dataplane import ApplyError  # noqa: TID251  # what the core refuses

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/]}]
    plugins:
      - name: response-transformer
        config: {CONFIG}
"""
ADD_MEMBER = CONFIG.replace("CONFIG", 'add: {json: ["added:1"], headers: ["X-Added:1"]}')


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_body_in_pieces_is_changed_as_a_whole() -> None:
    body = json.dumps({f"k{number}": "x" * 1_000 for number in range(500)})
    chunks = "".join(
        f"{len(body[at : at + 7_001]):x}\r\n{body[at : at + 7_001]}\r\n" for at in range(0, len(body), 7_001)
    )
    reply = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n"
    )
    with gateway(ADD_MEMBER) as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", reply=reply)
    assert json.loads(answer.body) == {**json.loads(body), "added": "1"}


def test_a_body_beyond_the_bound_passes_unchanged() -> None:
    body = json.dumps({"fill": "x" * 4096})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with gateway(ADD_MEMBER, response_transformer_body="4k") as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", reply=head + body)
        assert "twinplane_response_bodies_unchanged_total 1" in running.node.metrics()
    assert answer.body == body.encode()
    assert ("X-Added", "1") in answer.headers


@pytest.mark.parametrize(
    ("config", "kind"),
    [('add: {headers: ["X-Added:1"]}', "application/json"), ('add: {json: ["added:1"]}', "text/event-stream")],
)
def test_a_stream_that_is_not_changed_comes_as_it_is_sent(config: str, kind: str) -> None:
    """The first piece arrives while the upstream has not sent the second."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(30)
        document = CONFIG.replace("CONFIG", config).replace("<echo-port>", str(upstream.getsockname()[1]))
        with gateway(document) as running, socket.create_connection(("127.0.0.1", running.node.port)) as client:
            client.settimeout(30)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            served, _ = upstream.accept()
            with served:
                served.settimeout(30)
                served.recv(65_536)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                served.sendall(head.encode() + b"5\r\nfirst\r\n")
                received = b""
                while b"first" not in received:
                    received += client.recv(65_536)
                served.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
                while b"second" not in received:
                    received += client.recv(65_536)


def test_what_is_no_name_of_a_header_is_refused_with_the_configuration() -> None:
    with (
        pytest.raises(ApplyError, match="is no name of a header"),
        gateway(CONFIG.replace("CONFIG", 'add: {headers: ["a b:1"]}')),
    ):
        pass


def test_no_value_ends_its_line() -> None:
    config = CONFIG.replace("CONFIG", 'add: {headers: ["X-Added:1\\r\\nX-Forged: 1"]}')
    with gateway(config) as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert ("X-Added", "1X-Forged: 1") in answer.headers
