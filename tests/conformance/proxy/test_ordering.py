"""Plugins in another order than that of their priorities, and plugins with a condition: through a real gateway."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.plugin_cases import Gateway, gateway

from twinplane import _dataplane  # noqa: TID251  # what a node refuses is told by its core
from twinplane.cli.explained import worded
from twinplane.control.errors import DeclarativeViolation
from twinplane.node.explain import core_question

_ID = "4f1c2b9e-55f0-4b0e-8f5e-3a3f3d3f4b11"
_OTHER_ID = "9c52d1c8-8a3a-4a1a-bf0e-0f5f5d2f7a02"
_LOG = {"name": "http-log", "config": {"http_endpoint": "http://127.0.0.1:1/"}}


def _config(*plugins: dict[str, Any]) -> dict[str, Any]:
    return {
        "_format_version": "3.0",
        "consumers": [
            {"username": "bob", "keyauth_credentials": [{"key": "k1"}]},
            {"username": "eve", "keyauth_credentials": [{"key": "k2"}]},
        ],
        "services": [
            {
                "name": "s",
                "url": "http://127.0.0.1:<echo-port>",
                "routes": [{"name": "r", "paths": ["/"]}, {"name": "other", "paths": ["/other"]}],
            }
        ],
        "plugins": [_LOG, *plugins],
    }


def _first(name: str, before: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ordering": {"before": {"access": [before]}}, **more}


def _then(name: str, after: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ordering": {"after": {"access": [after]}}, **more}


def _ask(running: Gateway, path: str = "/", *headers: str) -> int | None:
    lines = "".join(f"{header}\r\n" for header in headers)
    return running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").status


def _upstream_header(running: Gateway, name: str) -> list[str]:
    arrival = running.received()
    assert arrival is not None
    return [value for given, value in arrival.headers if given.lower() == name]


def _statuses_logged(running: Gateway, wanted: int) -> list[int]:
    return [entry["response"]["status"] for entry in running.node.log_entries(wanted)]


_ADDS_KEY = {"add": {"headers": ["apikey:k1"]}}


@pytest.mark.parametrize(
    "plugins",
    [
        [{"name": "key-auth"}, _first("request-transformer", "key-auth", config=_ADDS_KEY)],
        [_then("key-auth", "request-transformer"), {"name": "request-transformer", "config": _ADDS_KEY}],
    ],
    ids=["before", "after"],
)
def test_a_plugin_runs_before_one_of_higher_priority(plugins: list[dict[str, Any]]) -> None:
    with gateway(_config(*plugins)) as running:
        assert running.node.applied.issues == []
        assert _ask(running) == 200
        assert _upstream_header(running, "x-consumer-username") == ["bob"]
        assert _statuses_logged(running, 1) == [200]


def test_requests_are_counted_before_they_are_let_in() -> None:
    limit = {"year": 1, "limit_by": "ip", "policy": "local"}
    with gateway(_config({"name": "key-auth"}, _first("rate-limiting", "key-auth", config=limit))) as running:
        refused = running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert refused.status == 401
        assert ("RateLimit-Remaining", "0") in refused.headers
        assert _ask(running, "/", "apikey: k1") == 429
        assert running.received() is None
        assert _statuses_logged(running, 2) == [401, 429]


def test_the_order_of_one_route_is_not_that_of_another() -> None:
    order = _first("request-transformer", "key-auth", config=_ADDS_KEY, route="other")
    with gateway(_config({"name": "key-auth"}, order)) as running:
        assert (_ask(running, "/other"), _ask(running, "/")) == (200, 401)


def test_a_plugin_of_a_consumer_takes_the_place_that_it_asks_for() -> None:
    denies = {"name": "acl", "config": {"allow": ["nobody"]}}
    own = _first("request-termination", "acl", consumer="bob", config={"status_code": 418})
    with gateway(_config({"name": "key-auth"}, denies, own)) as running:
        assert (_ask(running, "/", "apikey: k1"), _ask(running, "/", "apikey: k2")) == (418, 403)
        assert _statuses_logged(running, 2) == [418, 403]


def test_later_phases_keep_to_the_priorities() -> None:
    # Both replace a header of the answer; the last to filter is the one of lower priority.
    limit = {"limits": {"video": {"minute": 10}}, "policy": "local"}
    cors = {"origins": ["http://a.test"]}
    plugins = [_then("cors", "response-ratelimiting", config=cors), {"name": "response-ratelimiting", "config": limit}]
    plain = [{"name": "cors", "config": cors}, plugins[1]]
    answers = []
    for each in (plugins, plain):
        with gateway(_config(*each)) as running:
            answer = running.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a.test\r\n\r\n")
            answers.append([name for name, _ in answer.headers])
    assert answers[0] == answers[1]
    assert "Access-Control-Allow-Origin" in answers[0]


def _refused(change: Callable[[dict[str, Any]], None], *plugins: dict[str, Any]) -> str:
    """What a node says of a changed configuration; it serves on with the one before."""
    with gateway(_config(*plugins)) as running:
        table = orjson.loads(running.node.table)
        change({row["id"]: row for row in table["plugins"]})
        with pytest.raises(_dataplane.ApplyError) as error:
            running.node.core.apply(orjson.dumps(table))
        assert _ask(running) == 200
        return str(error.value)


def test_names_that_are_not_known_are_refused_all_at_once() -> None:
    def order(rows: dict[str, Any]) -> None:
        rows[_ID]["ordering"] = {"before": {"access": ["zap"]}, "after": {"access": ["cors", "zip", "acl"]}}

    told = _refused(order, {"name": "cors", "id": _ID})
    assert told.count(f'"plugins","id":"{_ID}"') == 3
    for wrong in ("before.access: plugin 'zap' is not known", "after.access: 'cors' is the plugin itself", "'zip'"):
        assert wrong in told


def test_plugins_that_wait_for_each_other_are_refused() -> None:
    def order(rows: dict[str, Any]) -> None:
        rows[_ID]["ordering"] = {"before": {"access": ["acl", "bot-detection"]}}
        rows[_OTHER_ID]["ordering"] = {"before": {"access": ["cors"]}}

    told = _refused(order, {"name": "cors", "id": _ID}, {"name": "bot-detection", "id": _OTHER_ID})
    assert "a circle, each before the next" in told
    assert "cors, bot-detection" in told
    assert "acl" not in told


def test_a_circle_that_no_request_can_meet_is_none() -> None:
    here = _first("cors", "bot-detection", route="r")
    there = [_first("bot-detection", "cors", route="other"), {"name": "cors", "route": "other"}]
    with gateway(_config(here, *there)) as running:
        assert (_ask(running), _ask(running, "/other")) == (200, 200)


def test_explain_shows_the_order_and_who_is_passed_over() -> None:
    on_posts = {"name": "response-transformer", "condition": 'http.method == "POST" && http.path ^= "/"'}
    adds = {"config": {"add": {"headers": ["x-added:1"]}}}
    with gateway(_config({"name": "key-auth"}, _first("rate-limiting", "key-auth", config={"year": 1}),
                         on_posts | adds)) as running:  # fmt: skip
        told = orjson.loads(running.node.core.explain(core_question({"url": "http://a/"})))
        shown = [(each["place"], each["name"], each["before"], each["skipped"]) for each in told["plugins"]]
        assert shown == [
            (1, "rate-limiting", ["key-auth"], None),
            (2, "key-auth", [], None),
            (3, "response-transformer", [], 'http.method == "POST"'),
            (4, "http-log", [], None),
        ]
        words = worded(told)
        assert "its ordering: before key-auth" in words
        assert 'SKIPPED, its condition lacks http.method == "POST"' in words
        posted = orjson.loads(running.node.core.explain(core_question({"url": "http://a/", "method": "POST"})))
        assert [each["skipped"] for each in posted["plugins"]] == [None] * 4


def test_a_plugin_whose_condition_does_not_hold_is_skipped_in_all_phases() -> None:
    condition = {"condition": 'http.headers.x_mode == "on"'}
    adds = {"config": {"add": {"headers": ["x-added:1"]}}}
    plugins = [
        {"name": "key-auth", **condition},
        {"name": "response-transformer", **condition, **adds},
        {"name": "udp-log", "config": {"host": "127.0.0.1", "port": 9}, **condition},
    ]
    with gateway(_config(*plugins)) as running:
        off = running.send("GET / HTTP/1.1\r\nHost: a\r\napikey: k1\r\n\r\n")
        assert (off.status, dict(off.headers).get("x-added")) == (200, None)
        assert _upstream_header(running, "x-consumer-username") == []
        assert len(running.node.log_entries(1)) == 1
        on = running.send("GET / HTTP/1.1\r\nHost: a\r\nX-Mode: on\r\napikey: k1\r\n\r\n")
        assert (on.status, dict(on.headers).get("x-added")) == (200, "1")
        assert _upstream_header(running, "x-consumer-username") == ["bob"]
        assert len(running.node.log_entries(2)) == 2
        assert _ask(running, "/", "X-Mode: on") == 401


def test_a_condition_is_asked_at_the_turn_of_its_plugin() -> None:
    plugins = [
        {"name": "key-auth", "config": {"anonymous": "eve"}},
        {
            "name": "request-termination",
            "config": {"status_code": 418},
            "condition": 'http.headers.x_consumer_username == "bob"',
        },
    ]
    with gateway(_config(*plugins)) as running:
        # Who asks is known by then; what the client says of it is not believed.
        assert _ask(running, "/", "apikey: k1") == 418
        assert _ask(running, "/", "X-Consumer-Username: bob") == 200
        assert _upstream_header(running, "x-consumer-username") == ["eve"]


def test_no_less_specific_configuration_stands_in_for_one_that_is_skipped() -> None:
    plugins = [
        {"name": "request-termination", "config": {"status_code": 401}},
        {
            "name": "request-termination",
            "route": "r",
            "config": {"status_code": 402},
            "condition": 'http.path == "/no"',
        },
    ]
    with gateway(_config(*plugins)) as running:
        assert [_ask(running, path) for path in ("/no", "/yes", "/other")] == [402, 200, 401]


def test_the_examples_of_the_page_run() -> None:
    page = (Path(__file__).parents[3] / "docs/concepts/which-plugins-run.md").read_text(encoding="utf-8")
    first, second = (
        example.replace("9000", "<echo-port>") for example in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    with gateway(first) as running:
        refused = running.send("GET /orders HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (refused.status, dict(refused.headers).get("RateLimit-Limit")) == (401, "100")
    with gateway(second) as running:
        head = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n"
        assert running.send(f"{head}Content-Type: application/json\r\n\r\n").status == 413
        told = running.node.core.explain(core_question({"url": "http://a/orders", "method": "POST"}))
        assert orjson.loads(told)["plugins"][0]["skipped"] == 'http.headers.content_type ^= "application/json"'


def test_conditions_hold_where_no_route_matches_and_after_a_refusal() -> None:
    adds = {"name": "response-transformer", "config": {"add": {"headers": ["x-added:1"]}}}
    config = _config(
        {"name": "request-termination", "route": "other", "config": {"status_code": 418}},
        adds | {"condition": 'http.queries.add == "yes"'},
    )
    config["services"][0]["routes"][0]["methods"] = ["PUT"]
    with gateway(config) as running:
        added = {}
        for target in ("/none", "/none?add=yes", "/other", "/other?add=yes"):
            answer = running.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
            added[target] = (answer.status, "x-added" in dict(answer.headers))
        assert added == {
            "/none": (404, False), "/none?add=yes": (404, True), "/other": (418, False), "/other?add=yes": (418, True),
        }  # fmt: skip
        assert _statuses_logged(running, 4) == [404, 404, 418, 418]


def test_a_condition_that_is_none_is_refused_with_its_plugin() -> None:
    def change(rows: dict[str, Any]) -> None:
        rows[_ID]["condition"] = "http.path ^= 1 && net.nothing == 2"

    told = _refused(change, {"name": "cors", "id": _ID})
    assert told.count(f'"plugins","id":"{_ID}"') == 2
    assert "condition: at byte 14" in told
    assert "'net.nothing': there is no such field" in told


@pytest.mark.parametrize(
    ("condition", "wrong"),
    [('http.path == "' + "a" * 1024 + '"', "length must be at most 1024"), ("http.nothing == 1", "Unknown LHS field")],
)
def test_a_control_plane_refuses_it_as_well(condition: str, wrong: str) -> None:
    with pytest.raises(DeclarativeViolation) as error, gateway(_config({"name": "cors", "condition": condition})):
        pass
    assert wrong in str(vars(error.value))
