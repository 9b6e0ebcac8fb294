"""key-auth through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_body_is_looked_into_as_far_as_the_node_holds_it() -> None:
    config = """
    _format_version: "3.0"
    consumers: [{username: bob, keyauth_credentials: [{key: k1}]}]
    services: [{name: s, url: "http://127.0.0.1:<echo-port>", routes: [{name: r, paths: [/]}]}]
    plugins: [{name: key-auth, config: {key_in_body: true}}]
    """
    body = "apikey=k1&fill=" + "x" * (8 * 1024 * 1024)
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    request = f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    for held, status, overruns in (("8m", 401, 1), ("9m", 200, 0)):
        with gateway(config, nginx_http_client_body_buffer_size=held) as running:
            assert running.send(request).status == status
            arrival = running.received()
            assert (arrival is not None and arrival.body == body.encode()) == (status == 200)
            counted = 'twinplane_request_buffer_overruns_total{plugin="key-auth"} 1'
            assert (counted in running.node.metrics()) == bool(overruns)
