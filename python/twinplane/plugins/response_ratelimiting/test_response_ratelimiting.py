"""response-ratelimiting through a real gateway: its vectors, the example of its page, whose costs count together."""

from __future__ import annotations

import time

import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, gateway, play, vector_cases

from twinplane._dataplane import ApplyError  # noqa: TID251  # what the core refuses

CONFIG = """
_format_version: "3.0"
consumers:
  - {username: bob, keyauth_credentials: [{key: k1}, {key: k2}]}
  - {username: al, keyauth_credentials: [{key: k3}]}
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/]}]
    plugins:
      - name: key-auth
      - name: response-ratelimiting
        config: {limit_by: LIMIT_BY, policy: POLICY, limits: {NAME: {day: 5}}}
"""
COSTLY = "HTTP/1.1 200 OK\r\nX-Kong-Limit: a=1\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def within_a_day() -> None:
    """Counts begin anew at midnight (UTC): a test waits where that is near."""
    left = 86_400 - time.time() % 86_400
    if left < 30:
        time.sleep(left + 0.1)


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def config(limit_by: str = "consumer", policy: str = "local", name: str = "a") -> str:
    return CONFIG.replace("LIMIT_BY", limit_by).replace("POLICY", policy).replace("NAME", name)


def left(running: Gateway, key: str) -> str:
    answer = running.send(f"GET / HTTP/1.1\r\nHost: a\r\napikey: {key}\r\n\r\n", reply=COSTLY)
    assert answer.status == 200
    return dict(answer.headers)["X-RateLimit-Remaining-a"]


@pytest.mark.parametrize(
    ("limit_by", "seen"),
    [("consumer", ["5", "4", "5", "3"]), ("credential", ["5", "5", "5", "4"]), ("ip", ["5", "4", "3", "2"])],
)
def test_costs_count_together_by_whom_the_plugin_limits(limit_by: str, seen: list[str]) -> None:
    with gateway(config(limit_by)) as running:
        assert [left(running, key) for key in ("k1", "k2", "k3", "k1")] == seen


def test_a_policy_that_the_node_lacks_is_reported_and_guards_the_route() -> None:
    with gateway(config(policy="cluster")) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "response-ratelimiting"
        assert running.send("GET / HTTP/1.1\r\nHost: a\r\napikey: k1\r\n\r\n").status == 503


def test_a_name_that_no_header_can_hold_is_refused_with_the_configuration() -> None:
    with pytest.raises(ApplyError, match="cannot be part of a header"), gateway(config(name='"a b"')):
        pass
