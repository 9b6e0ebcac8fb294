"""The command that a route is tried with."""

from __future__ import annotations

from typing import Any

import pytest

from twinplane.web.console.entities.calls import call_of

HTTP = {"protocols": ["http", "https"]}


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ({"paths": ["/orders"]}, "curl -i http://localhost:8000/orders"),
        ({"paths": ["~/v[0-9]+", "/v1"], "methods": ["GET", "PUT"]}, "curl -i http://localhost:8000/v1"),
        ({"methods": ["POST"]}, "curl -i -X POST http://localhost:8000/"),
        ({"hosts": ["*.a.example", "b.example"]}, "curl -i -H 'Host: b.example' http://localhost:8000/"),
        (
            {"paths": ["/a b"], "headers": {"x-a": ["it's"]}},
            """curl -i -H 'x-a: it'"'"'s' 'http://localhost:8000/a b'""",
        ),
        ({"paths": ["~/only"]}, ""),
        ({"hosts": ["*.a.example"]}, ""),
        ({"expression": 'http.path == "/"'}, ""),
        ({"protocols": ["tcp"]}, ""),
        ({"headers": {"x-a": ["~*^v"]}}, ""),
    ],
)
def test_a_call_is_one_that_the_route_takes(route: dict[str, Any], call: str) -> None:
    assert call_of(HTTP | route, []) == call


def test_where_nodes_are_is_known_from_the_control_plane() -> None:
    proxies = [{"host": "api.shop.example", "port": 443, "protocol": "https"}]
    assert call_of(HTTP | {"paths": ["/a"]}, proxies) == "curl -i https://api.shop.example:443/a"
