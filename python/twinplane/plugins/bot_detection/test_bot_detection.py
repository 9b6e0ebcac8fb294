"""bot-detection through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_pattern_that_the_node_cannot_run_is_reported_and_guards_its_route_alone() -> None:
    config = """
    _format_version: "3.0"
    services:
      - name: s
        url: http://127.0.0.1:<echo-port>
        routes:
          - {name: r, paths: [/], plugins: [{name: bot-detection, config: {deny: ['^(?!Mozilla)', 'evil']}}]}
          - {name: other, paths: [/other]}
    """
    with gateway(config) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "bot-detection"
        assert "'^(?!Mozilla)'" in issue["message"]
        assert running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503
        assert running.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
