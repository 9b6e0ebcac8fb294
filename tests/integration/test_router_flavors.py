"""A node's router in each of its flavours, asked over sockets: which route answers, and what reaches the upstream."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from tests.conformance.proxy.scripted_upstream import Upstreams

from twinplane.control.errors import DeclarativeViolation


def answers(node: RunningNode, *targets: str, host: str = "a.test", **headers: str) -> list[str]:
    """The status of each answer, and which route gave it."""
    told = []
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    for target in targets:
        connection.request("GET", target, headers={"Host": host, **headers})
        answer = connection.getresponse()
        body = answer.read().decode()
        told.append(f"{answer.status} {body if answer.status == 200 else ''}".strip())
    connection.close()
    return told


def table(**routes: dict[str, Any]) -> dict[str, Any]:
    """Routes that answer with their names."""
    return {
        "_format_version": "3.0",
        "routes": [
            {
                "name": name,
                **route,
                "plugins": [{"name": "request-termination", "config": {"status_code": 200, "body": name}}],
            }
            for name, route in routes.items()
        ],
    }


def test_routes_by_expression() -> None:
    routes = table(
        office={"expression": 'net.src.ip in 127.0.0.0/8 && http.path ^= "/office"', "priority": 10},
        teams={"expression": 'any(lower(http.headers.x_team)) == "red" && http.queries.v == "2"', "priority": 5},
        deep={"expression": 'http.path.segments.len > 2 && http.path.segments.0_1 == "a/b"', "priority": 4},
        low={"expression": 'http.path ^= "/"', "priority": 0},
        attributes={"paths": ["/office"], "hosts": ["a.test"]},
    )
    with running({"router_flavor": "expressions"}, routes) as node:
        assert answers(node, "/office/1", "/a/b/c", "/a/b", "/?v=2") == ["200 office", "200 deep", "200 low", "200 low"]
        assert answers(node, "/?v=2", "/?v=1", **{"X-Team": "RED"}) == ["200 teams", "200 low"]


def test_every_fault_of_expressions_is_told_with_its_entity() -> None:
    routes = table(
        one={"expression": 'http.path == "/a'},
        two={"expression": 'http.path == "/a"', "paths": ["/a"]},
        good={"expression": 'http.path == "/a"'},
    )
    with (
        pytest.raises(DeclarativeViolation) as refused,
        running({"router_flavor": "expressions"}, routes),
    ):
        pass
    said = str(refused.value.__dict__)
    assert "str_char or str_esc" in said
    assert "cannot set 'expression' with" in said


def test_an_expression_takes_what_its_path_matched() -> None:
    upstreams = Upstreams(["up"])
    services = {
        "_format_version": "3.0",
        "services": [
            {
                "name": "s",
                "url": f"http://127.0.0.1:{upstreams.ports['up']}/base",
                "routes": [{"name": "r", "expression": 'http.path ~ r#"^/users/(?<id>[0-9]+)"#'}],
            }
        ],
    }
    try:
        upstreams.play([])
        with running({"router_flavor": "expressions"}, services) as node:
            assert answers(node, "/users/42/orders", "/other")[1] == "404"
        assert [arrival.request_line.split(" ")[1] for arrival in upstreams.arrivals()] == ["/base/orders"]
    finally:
        upstreams.close()


def test_the_oldest_flavour_ranks_by_attributes_and_joins_plainly() -> None:
    # In the flavour of Kong 3.x a plain host alone outranks any other pair of attributes.
    routes = table(host={"hosts": ["a.test"]}, pair={"paths": ["/x"], "methods": ["GET"]})
    with running({"router_flavor": "traditional"}, routes) as node:
        assert answers(node, "/x/1", "/y") == ["200 pair", "200 host"]
    with running({}, routes) as node:
        assert answers(node, "/x/1", "/y") == ["200 host", "200 host"]
    with running({"route_match_calculation": "strict"}, routes) as node:
        assert answers(node, "/x/1", "/y") == ["200 pair", "200 host"]
    upstreams = Upstreams(["up"])
    service = {
        "name": "s",
        "url": f"http://127.0.0.1:{upstreams.ports['up']}/service",
        "routes": [{"name": "r", "paths": ["/route"], "path_handling": "v1"}],
    }
    try:
        upstreams.play([])
        for flavor in ("traditional", "traditional_compatible"):
            with running({"router_flavor": flavor}, {"_format_version": "3.0", "services": [service]}) as node:
                answers(node, "/routereq")
        assert [arrival.request_line.split(" ")[1] for arrival in upstreams.arrivals()] == [
            "/servicereq",
            "/service/req",
        ]
    finally:
        upstreams.close()
