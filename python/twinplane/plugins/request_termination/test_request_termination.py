"""request-termination through a real gateway: its vectors, and the example of its page."""

import json

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


TEXTS = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}
BARE = """
_format_version: "3.0"
routes: [{name: r, paths: [/], plugins: [{name: request-termination, config: {status_code: STATUS}}]}]
"""


@pytest.mark.parametrize(("status", "text"), TEXTS.items())
def test_a_status_of_these_has_a_text(status: int, text: str) -> None:
    with gateway(BARE.replace("STATUS", str(status))) as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == status
    assert answer.body.decode() == f'{{"message":"{text}"}}'


def test_other_statuses_have_the_page_of_the_server_or_nothing() -> None:
    with gateway(BARE.replace("STATUS", "410")) as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == 410
    assert b"410 Gone" in answer.body
    with gateway(BARE.replace("STATUS", "202")) as running:
        answer = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.body) == (202, b"")


def test_an_echo_tells_the_route_and_service_found_where_a_header_asks_for_it() -> None:
    config = """
    _format_version: "3.0"
    services:
      - name: s
        url: http://127.0.0.1:<echo-port>
        routes: [{name: r, paths: [/r]}]
        plugins: [{name: request-termination, config: {status_code: 200, trigger: x-stop, echo: true}}]
    """
    with gateway(config) as running:
        answer = running.send("GET /r/x?a=1 HTTP/1.1\r\nHost: h.example:80\r\nX-Stop: 1\r\n\r\n")
        assert running.received() is None
    echo = json.loads(answer.body)
    assert (echo["matched_route"]["name"], echo["matched_service"]["name"]) == ("r", "s")
    asked = echo["request"]
    assert (asked["method"], asked["host"], asked["path"], asked["query"]) == ("GET", "h.example", "/r/x", {"a": "1"})
    assert asked["headers"]["x-stop"] == "1"
