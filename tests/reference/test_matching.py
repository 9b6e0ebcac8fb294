"""The engine finds the route that the plain statement finds, in random tables and for random requests."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import expressions, matching
from tests.reference.deciding import Engine

NAMES = ["a.test", "b.test", "www.a.test", "x.www.a.test", "a.example", "test"]
HOSTS = [*NAMES, "*.test", "*.a.test", "a.*", "www.*", "www.a.*", "a.test:8080", "*.a.test:9000", "b.*:8080"]
PATHS = [
    "/", "/a", "/ab", "/a/", "/a/b", "/a/b/c", "/a b", "/orders", "/orders/", "/o",
    "~/a/.*", "~/a/\\d+$", "~/(?P<x>a|o)", "~/orders/(?P<id>[0-9]+)", "~/a|/b", "~/ab?c?", "~.*b", "~/a\\.b", "~/A",
    "/a-path-of-which-the-length-is-more-than-one-hundred-and-twenty-seven-bytes/" + "x" * 80,
]  # fmt: skip
REQUEST_PATHS = [
    *(path for path in PATHS if path.startswith("/")),
    "/abc", "/a/1", "/a/12/x", "/a.b", "/A", "/b", "/orders/7", "/orders/7/items", "/a/b/c/d", "/other",
    "/a-path-of-which-the-length-is-more-than-one-hundred-and-twenty-seven-bytes/" + "x" * 90,
]  # fmt: skip
HEADERS = {"X-Team": ["red", "blue", "~*^r", "~*e$"], "x_team": ["Red"], "X-Version": ["1", "2", "~*[0-9]+"]}
SNIS = ["a.test", "b.test.", "*.test", "a.*"]


def some(values: list[str], most: int = 3) -> st.SearchStrategy[list[str] | None]:
    """A few of the values, or none at all."""
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


ROUTES = st.fixed_dictionaries(
    {
        "id": st.uuids(version=4).map(str),
        "protocols": st.sampled_from([["http", "https"], ["https"], ["http"]]),
        "methods": some(["GET", "POST", "PURGE"], 2),
        "hosts": some(HOSTS),
        "paths": some(PATHS, 4),
        "headers": st.none()
        | st.dictionaries(st.sampled_from(sorted(HEADERS)), st.just([]), min_size=1, max_size=2).flatmap(
            lambda names: st.fixed_dictionaries(
                {name: some(HEADERS[name], 2).map(lambda v: v or ["1"]) for name in names}
            )
        ),
        "snis": st.none() | some(SNIS, 2),
        "regex_priority": st.sampled_from([0, 0, 0, 1, 2, 5, -1, 4096]),
    }
)
REQUESTS = st.builds(
    matching.Request,
    method=st.sampled_from(["GET", "POST", "PURGE", "PUT"]),
    host=st.sampled_from([*NAMES, "A.test", "a.test:8080", "b.test:1", "www.a.test:9000", "a.test:x", ""]),
    port=st.sampled_from([80, 8080, 9000]),
    path=st.sampled_from(REQUEST_PATHS),
    protocol=st.sampled_from(["http", "https"]),
    sni=st.none() | st.sampled_from(["a.test", "b.test", "www.b.test", "a.test.", "c.example"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["X-Team", "x-team", "X_Team", "X-Version", "Other"]),
            st.sampled_from(["red", "RED", "blue", "1", "x", ""]),
        ),
        max_size=3,
    ),
    query=st.sampled_from(["", "a=1", "a=2&a=1", "a", "b=x+y%2f&a=", "%61=1"]),
    source=st.sampled_from([(None, None), ("10.1.2.3", 5000), ("10.9.9.9", 80), ("2001:db8::1", 1)]),
    destination=st.sampled_from([None, "127.0.0.1", "10.1.2.3"]),
)
TESTS = st.one_of(
    st.tuples(
        st.sampled_from(["http.path", "lower(http.path)"]),
        st.sampled_from(["==", "!=", "^=", "=^", "contains"]),
        st.sampled_from(REQUEST_PATHS),
    ),
    st.tuples(
        st.just("http.path"), st.just("~"), st.sampled_from(["^/a/.*", "^/orders/[0-9]+", "b$", "^/a|b", "^/ab?"])
    ),
    st.tuples(
        st.just("http.host"),
        st.sampled_from(["==", "!=", "^=", "=^"]),
        st.sampled_from([*NAMES, ".test", ".a.test", "a.", "www."]),
    ),
    st.tuples(
        st.sampled_from(["http.headers.x_team", "any(http.headers.X_Team)", "any(lower(http.headers.x_team))"]),
        st.sampled_from(["==", "!=", "^=", "~"]),
        st.sampled_from(["red", "RED", "blue", "r"]),
    ),
    st.tuples(
        st.sampled_from(["http.queries.a", "any(http.queries.a)", "http.queries.b"]),
        st.sampled_from(["==", "!=", "contains"]),
        st.sampled_from(["1", "2", "", "x y/"]),
    ),
    st.tuples(
        st.sampled_from(["http.path.segments.0", "http.path.segments.1", "http.path.segments.0_1"]),
        st.sampled_from(["==", "!=", "^="]),
        st.sampled_from(["a", "a/b", "orders", "7"]),
    ),
    st.tuples(
        st.sampled_from(["http.path.segments.len", "net.dst.port", "net.src.port"]),
        st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
        st.sampled_from([1, 2, 80, 8080, 5000]),
    ),
    st.tuples(
        st.sampled_from(["net.src.ip", "net.dst.ip"]),
        st.sampled_from(["in", "not in"]),
        st.sampled_from(["10.0.0.0/8", "10.1.2.3/32", "::/0"]),
    ),
    st.tuples(
        st.sampled_from(["net.src.ip", "net.dst.ip"]),
        st.sampled_from(["==", "!="]),
        st.sampled_from(["10.1.2.3", "2001:db8::1"]),
    ),
    st.tuples(st.just("tls.sni"), st.sampled_from(["==", "!=", "=^"]), st.sampled_from(["a.test", "b.test", ".test"])),
    st.tuples(st.just("net.protocol"), st.sampled_from(["==", "!="]), st.sampled_from(["http", "https"])),
    st.tuples(st.just("http.method"), st.sampled_from(["==", "!="]), st.sampled_from(["GET", "PURGE"])),
).map(lambda test: ["is", *test])
TREES = st.recursive(
    TESTS,
    lambda parts: st.one_of(
        st.lists(parts, min_size=2, max_size=3).map(lambda several: ["all", *several]),
        st.lists(parts, min_size=2, max_size=3).map(lambda several: ["any", *several]),
        parts.map(lambda part: ["not", part]),
    ),
    max_leaves=6,
)
WITH_EXPRESSION = st.fixed_dictionaries(
    {
        "id": st.uuids(version=4).map(str),
        "protocols": st.sampled_from([["http", "https"], ["https"], ["http"], ["grpcs"]]),
        "expression": TREES,
        "priority": st.sampled_from([0, 0, 1, 100, 2**46 - 1]),
        **dict.fromkeys(("methods", "hosts", "paths", "headers", "snis"), st.none()),
        "regex_priority": st.just(0),
    }
)
FIXED = {
    "https_redirect_status_code": 426,
    "strip_path": True,
    "preserve_host": False,
    "request_buffering": True,
    "response_buffering": True,
}


def asked(request: matching.Request) -> dict[str, Any]:
    """As the engine is asked."""
    return {
        "method": request.method, "host": request.host, "port": request.port, "path": request.path,
        "protocol": request.protocol, "query": request.query, "source": request.source,
        "destination": request.destination, "sni": request.sni, "headers": request.headers,
    }  # fmt: skip


def asks_for_something(route: dict[str, Any]) -> bool:
    """Routes that ask for nothing are refused."""
    return any(route[kind] for kind in ("methods", "hosts", "paths", "headers", "snis"))


@settings(settings.get_profile("reference"))
@given(
    st.lists(ROUTES.filter(asks_for_something), min_size=1, max_size=12), st.lists(REQUESTS, min_size=1, max_size=12)
)
def test_the_engine_finds_the_route_of_the_plain_statement(
    engine: Engine, routes: list[dict[str, Any]], requests: list[matching.Request]
) -> None:
    for is_strict in (False, True):
        rows = [route | FIXED for route in routes]
        answers = engine.decide("match", is_strict=is_strict, routes=rows, requests=[asked(each) for each in requests])
        wanted = [matching.find(routes, request, is_strict=is_strict) for request in requests]
        assert answers == wanted


@settings(settings.get_profile("reference"))
@given(
    st.lists(
        ROUTES.filter(asks_for_something).flatmap(
            lambda route: st.sampled_from([1, 2, 3]).map(lambda second: route | {"created_at": second})
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(REQUESTS, min_size=1, max_size=12),
)
def test_the_traditional_flavour_is_the_plain_statement(
    engine: Engine, routes: list[dict[str, Any]], requests: list[matching.Request]
) -> None:
    rows = [route | FIXED for route in routes]
    answers = engine.decide(
        "match", flavor="traditional", routes=rows, requests=[asked(request) for request in requests]
    )
    assert answers == [matching.find(routes, request, flavor="traditional") for request in requests]


@settings(settings.get_profile("reference"))
@given(
    st.lists(WITH_EXPRESSION | ROUTES.filter(asks_for_something), min_size=1, max_size=12),
    st.lists(REQUESTS, min_size=1, max_size=12),
)
def test_the_flavour_with_expressions_is_the_plain_statement(
    engine: Engine, routes: list[dict[str, Any]], requests: list[matching.Request]
) -> None:
    rows = [
        route | FIXED | ({"expression": expressions.text(route["expression"])} if "expression" in route else {})
        for route in routes
    ]
    answers = engine.decide(
        "match", flavor="expressions", routes=rows, requests=[asked(request) for request in requests]
    )
    assert answers == [matching.find(routes, request, flavor="expressions") for request in requests]


def test_a_route_that_asks_for_nothing_is_refused(engine: Engine) -> None:
    nothing = {"id": "00000000-0000-4000-8000-000000000001", "protocols": ["http"], **FIXED}
    answer = engine.decide("match", is_strict=False, routes=[nothing], requests=[])
    assert answer == {"faults": [[0, "could not categorize route"]]}
