"""rate-limiting through a real gateway: its vectors, and the example of its page."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.proxy.raw_client import exchange
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_policy_that_the_node_lacks_is_reported_and_guards_its_route() -> None:
    config = """
    _format_version: "3.0"
    services:
      - name: s
        url: http://127.0.0.1:<echo-port>
        routes: [{name: r, paths: [/]}]
        plugins: [{name: rate-limiting, config: {minute: 5, policy: cluster}}]
    """
    with gateway(config) as running:
        (issue,) = running.node.applied.issues
        assert (issue["plugin"], issue["code"]) == ("rate-limiting", "plugin_unavailable")
        assert "cluster" in issue["message"]
        assert running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503
        assert running.received() is None


def test_workers_and_connections_together_pass_exactly_the_limit() -> None:
    config = """
    _format_version: "3.0"
    services:
      - name: s
        url: http://127.0.0.1:<echo-port>
        routes: [{name: r, paths: [/]}]
        plugins: [{name: rate-limiting, config: {year: 50}}]
    """
    with gateway(config, nginx_worker_processes="4") as running:
        request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

        def ask(_: int) -> int | None:
            return exchange({"text": request}, running.node.port, context=None).status

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(120)))
    assert statuses.count(200) == 50
    assert statuses.count(429) == 70


def test_windows_are_bounded_and_what_is_forgotten_is_counted() -> None:
    config = """
    _format_version: "3.0"
    services: [{name: s, url: "http://127.0.0.1:<echo-port>", routes: [{name: r, paths: [/]}]}]
    plugins:
      - name: rate-limiting
        config: {year: 5, limit_by: header, header_name: X-Caller, policy: local}
      - {name: request-termination, config: {status_code: 200}}
    """
    with gateway(config, rate_limit_windows="512") as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.node.port, timeout=30)
        for caller in range(600):
            connection.request("GET", "/", headers={"X-Caller": f"c{caller}"})
            assert connection.getresponse().read() is not None
        connection.close()
        lost = json.loads(running.node.core.drain("metrics"))["lost"]["limits"]
        assert lost >= 600 - 512
