"""prometheus through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def series(running: Gateway, prefix: str) -> list[str]:
    return [line for line in running.node.metrics() if line.startswith(prefix)]


CONFIG = """
_format_version: "3.0"
consumers:
  - {username: bob, keyauth_credentials: [{key: k1}]}
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
    plugins: [{name: key-auth}]
plugins:
  - name: prometheus
    config: SWITCHES
"""


def test_requests_are_counted_by_status_source_and_consumer() -> None:
    with gateway(CONFIG.replace("SWITCHES", "{status_code_metrics: true, per_consumer: true}")) as running:
        for _ in range(3):
            running.send("GET /r?apikey=k1 HTTP/1.1\r\nHost: a\r\n\r\n")
        running.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")
        running.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        labels = 'service="s",route="r",code="{}",source="{}",workspace="default",consumer="{}"'
        assert sorted(series(running, "kong_http_requests_total")) == [
            f"kong_http_requests_total{{{labels.format(200, 'service', 'bob')}}} 3",
            f"kong_http_requests_total{{{labels.format(401, 'kong', '')}}} 1",
        ]
        assert not series(running, "kong_bandwidth_bytes")
        assert not series(running, "kong_request_latency_ms")


def test_latencies_and_bytes_are_observed_where_asked_for() -> None:
    with gateway(CONFIG.replace("SWITCHES", "{latency_metrics: true, bandwidth_metrics: true}")) as running:
        running.send("GET /r?apikey=k1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not series(running, "kong_http_requests_total")
        for name in ("kong", "upstream", "request"):
            (count,) = series(running, f"kong_{name}_latency_ms_count")
            assert count.endswith(" 1")
        assert len(series(running, "kong_bandwidth_bytes")) == 2


def test_a_consumer_is_named_only_where_asked_for() -> None:
    with gateway(CONFIG.replace("SWITCHES", "{status_code_metrics: true}")) as running:
        running.send("GET /r?apikey=k1 HTTP/1.1\r\nHost: a\r\n\r\n")
        (counted,) = series(running, "kong_http_requests_total")
    assert 'consumer=""' in counted


TARGETS = """
_format_version: "3.0"
upstreams:
  - {name: pool, targets: [{target: "127.0.0.1:<echo-port>"}]}
services:
  - {name: s, host: pool, routes: [{name: r, paths: [/r]}]}
plugins:
  - {name: prometheus, config: {status_code_metrics: true}}
  - {name: prometheus, service: s, config: {upstream_health_metrics: SWITCH}}
"""


@pytest.mark.parametrize(("switch", "states"), [("true", 4), ("false", 0)])
def test_the_health_of_targets_is_told_where_a_configuration_asks_for_it(switch: str, states: int) -> None:
    with gateway(TARGETS.replace("SWITCH", switch)) as running:
        running.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(series(running, "kong_upstream_target_health{")) == states
