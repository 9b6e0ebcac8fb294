"""redirect through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_status_that_ends_no_request_is_reported_and_guards_its_route() -> None:
    config = """
    _format_version: "3.0"
    routes:
      - {name: r, paths: [/], plugins: [{name: redirect, config: {location: "http://n.example", status_code: 100}}]}
      - {name: other, paths: [/other], plugins: [{name: redirect, config: {location: "http://n.example"}}]}
    """
    with gateway(config) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "redirect"
        assert "status_code 100" in issue["message"]
        assert running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503
        assert running.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").status == 301
