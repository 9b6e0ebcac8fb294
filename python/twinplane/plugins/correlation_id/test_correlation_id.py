"""correlation-id through a real gateway: its vectors, and the example of its page."""

import http.client
import os

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_entries_of_log_plugins_carry_the_id() -> None:
    config = """
    _format_version: "3.0"
    services:
      - name: s
        url: http://127.0.0.1:<echo-port>
        routes: [{name: r, paths: [/r]}]
    plugins:
      - {name: correlation-id, config: {header_name: X-Id}}
      - {name: http-log, config: {http_endpoint: "http://127.0.0.1:1/entries"}}
    """
    with gateway(config) as running:
        running.send("GET /r HTTP/1.1\r\nHost: a\r\nX-Id: mine\r\n\r\n")
        (entry,) = running.node.log_entries(1)
    assert entry["correlation_id"] == "mine"


def test_a_tracker_numbers_connections_and_the_requests_on_each() -> None:
    config = """
    _format_version: "3.0"
    services: [{name: s, url: "http://127.0.0.1:<echo-port>", routes: [{name: r, paths: [/r]}]}]
    plugins:
      - {name: correlation-id, config: {generator: tracker, echo_downstream: true}}
      - {name: request-termination, config: {status_code: 200}}
    """
    with gateway(config) as running:
        told = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", running.node.port, timeout=30)
            for _ in range(3):
                connection.request("GET", "/r")
                answer = connection.getresponse()
                answer.read()
                ip, port, process, number, request, _time = (answer.getheader("Kong-Request-ID") or "").split("-")
                assert (ip, port, process) == ("127.0.0.1", str(running.node.port), str(os.getpid()))
                told.append((int(number), int(request)))
            connection.close()
    first, second = told[0][0], told[3][0]
    assert told == [(first, 1), (first, 2), (first, 3), (second, 1), (second, 2), (second, 3)]
    assert second > first
