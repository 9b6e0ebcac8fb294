"""correlation-id through a real gateway: its vectors, and the example of its page."""

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
