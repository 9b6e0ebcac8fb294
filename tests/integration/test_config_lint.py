"""`twinplane config lint`: one table for each code, and one in which nothing is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from twinplane.cli.program import main
from twinplane.node.lint import CODES
from twinplane.node.lint.regexes import example, trouble

SERVICE = {"name": "s", "url": "http://127.0.0.1:9"}


def found(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    table: dict[str, Any],
    *,
    flavor: str = "traditional_compatible",
) -> list[tuple[str, str]]:
    """Codes and names of what is found."""
    (directory / "kong.yml").write_bytes(orjson.dumps({"_format_version": "3.0", **table}))
    (directory / "kong.conf").write_text(f"router_flavor = {flavor}\n")
    status = main(["config", "lint", str(directory / "kong.yml"), "-c", str(directory / "kong.conf"), "--json"])
    findings = orjson.loads(capsys.readouterr().out)
    assert status == (3 if findings else 0)
    assert all(finding["code"] in CODES and finding["detail"] for finding in findings)
    return [(finding["code"], finding["name"]) for finding in findings]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [
        {"name": "a", "paths": ["/a"]},
        {"name": "b", "paths": ["/a/b", r"~/c/\d+$"]},
        {"name": "c", "hosts": ["*.test"], "headers": {"x-team": ["red", "~*^b"]}, "methods": ["GET"]},
        {"name": "d", "snis": ["a.test"], "protocols": ["https"]},
    ]
    plugins = [
        {"name": "cors"},
        {"name": "key-auth", "route": "a"},
        {"name": "acl", "service": "s", "config": {"allow": ["x"]}},
    ]
    table = {"services": [{**SERVICE, "routes": routes}], "plugins": plugins}
    assert found(tmp_path, capsys, table) == []


def test_routes_for_streams_that_nothing_reaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tcp(name: str, number: int, *, protocols: tuple[str, ...] = ("tcp",), **more: Any) -> dict[str, Any]:
        # Of routes of one rank the greatest id is first.
        identity = f"00000000-0000-4000-8000-{number:012x}"
        return {"name": name, "id": identity, "protocols": list(protocols), **more}

    nine, tls = [{"port": 9}], ("tls",)
    both = {"sources": [{"ip": "10.0.0.0/8"}], "destinations": nine}
    routes = [
        tcp("nine", 9, destinations=nine),
        tcp("nine-again", 1, destinations=nine),
        tcp("nine-or-ten", 8, destinations=[{"port": 9}, {"port": 10}]),
        tcp("near", 7, **both),
        tcp("nearer", 2, sources=[{"ip": "10.1.0.0/16"}], destinations=nine),
        tcp("nearest", 6, sources=[{"ip": "10.1.0.1"}], destinations=nine),
        tcp("farther", 10, sources=[{"ip": "11.0.0.0/8"}], destinations=nine),
        tcp("all-names", 5, protocols=tls, snis=["*.a.example"]),
        tcp("one-name", 4, protocols=tls, snis=["b.a.example"]),
        tcp("other-name", 3, protocols=tls, snis=["a.example"]),
        tcp("passed", 13, protocols=("tls_passthrough",), snis=["b.a.example"]),
        tcp("datagrams", 11, protocols=("udp",), destinations=nine),
        tcp("port-of-client", 12, sources=[{"ip": "12.0.0.0/8", "port": 7}], destinations=nine),
    ]
    unreachable = {name for code, name in found(tmp_path, capsys, {"routes": routes}) if code == "route-unreachable"}
    assert unreachable == {"nine-again", "nearer", "one-name"}


def test_routes_that_nothing_reaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [
        {"id": "00000000-0000-4000-8000-00000000000f", "name": "first", "paths": ["/a"]},
        {"id": "00000000-0000-4000-8000-000000000001", "name": "twin", "paths": ["/a"]},
        {"name": "all", "paths": ["~/.*"]},
        {"name": "below", "paths": ["/b"]},
        {"name": "apart", "paths": ["/b"], "hosts": ["a.test"]},
    ]
    services = [SERVICE, {**SERVICE, "name": "off", "enabled": False, "routes": [{"name": "gone", "paths": ["/x"]}]}]
    told = found(tmp_path, capsys, {"services": services, "routes": routes})
    assert ("route-disabled", "gone") in told
    assert {name for code, name in told if code == "route-unreachable"} == {"first", "twin", "below"}
    assert found(tmp_path, capsys, {"routes": routes[:2]}) == [("route-unreachable", "twin")]


def test_ranks_that_surprise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [
        {"name": "host", "hosts": ["a.test"]},
        {"name": "wild", "hosts": ["*.test"], "paths": ["/x"], "methods": ["GET"]},
        {"name": "exact", "hosts": ["a.test", "*.a.test"], "paths": ["/x"]},
    ]
    assert found(tmp_path, capsys, {"routes": routes}) == [("rank-surprise", "exact")]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
def test_patterns_and_expressions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [
        {"name": "slow", "paths": ["~/(a+)+$"]},
        {"name": "set", "paths": ["~/[a-z&&[^b]]$"]},
    ]
    assert found(tmp_path, capsys, {"routes": routes}) == [("regex-backtracks", "slow"), ("regex-differs", "set")]
    mixed = [
        {"name": "mixed", "expression": 'http.path == "/a" && http.method == "GET" || http.method == "PUT"'},
        {"name": "plain", "expression": '(http.path == "/a || &&" && http.method == "GET") || http.method == "PUT"'},
    ]
    assert found(tmp_path, capsys, {"routes": mixed}, flavor="expressions") == [("expression-mixes-operators", "mixed")]


def test_plugins_that_never_act(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = {
        "services": [
            {**SERVICE, "routes": [{"name": "r", "paths": ["/r"]}]},
            {**SERVICE, "name": "lone"},
        ],
        "consumers": [{"username": "alice"}],
        "plugins": [
            {"name": "cors", "enabled": False},
            {"name": "correlation-id", "service": "lone"},
            {"name": "request-termination", "route": "r", "service": "lone"},
            {"name": "rate-limiting", "consumer": "alice", "config": {"minute": 1, "policy": "local"}},
            {"name": "file-log", "route": "r", "protocols": ["grpc"], "config": {"path": "/dev/null"}},
        ],
    }
    assert set(found(tmp_path, capsys, table)) == {
        ("plugin-disabled", "cors"),
        ("plugin-scope", "correlation-id"),
        ("plugin-scope", "request-termination"),
        ("plugin-consumer", "rate-limiting"),
        ("plugin-protocols", "file-log"),
    }


@pytest.mark.parametrize(
    "pattern",
    [r"/users/(?<id>\d+)$", "/a/(b|c)", "/[^/]+/x", "/.*", "/v[0-9]{2,}", r"/\w+\.json", "/Ab?c", "/[^a-w]"],
)
def test_an_example_is_matched_by_its_pattern(pattern: str) -> None:
    text = example(pattern)
    assert text is not None
    assert text.startswith("/")
    assert list(trouble(pattern)) == []


def test_a_file_that_no_node_takes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kong.yml").write_text("_format_version: '3.0'\nroutes: [{name: r}]\n")
    assert main(["config", "lint", str(tmp_path / "kong.yml")]) == 1
    assert "must set one of" in capsys.readouterr().err


def test_expressions_that_nothing_reaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def route(name: str, priority: int, expression: str, **other: object) -> dict[str, Any]:
        return {"name": name, "priority": priority, "expression": expression, **other}

    routes = [
        route("api", 10, 'http.path ^= "/api" && http.host == "a.test"'),
        # Below it, with all of its conditions and more.
        route("below", 5, '((http.host == "a.test") && (http.path ^= "/api/v1" && http.method == "GET"))'),
        route("exact", 5, 'http.path == "/api/x" && http.host == "a.test"'),
        route("same", 9, 'http.host == "a.test" && http.path ^= "/api"'),
        # Not sure, or not so.
        route("equal-rank", 10, 'http.path ^= "/api" && http.host == "a.test"'),
        route("above", 11, 'http.path ^= "/api/v2" && http.host == "a.test"'),
        route("shorter", 5, 'http.path ^= "/ap" && http.host == "a.test"'),
        route("other-host", 5, 'http.path ^= "/api"'),
        route("either", 5, 'http.path ^= "/api" && http.host == "a.test" || http.method == "PUT"'),
        route("lower", 5, 'lower(http.path) ^= "/api/v1" && http.host == "a.test"'),
        route("more-protocols", 1, 'http.path ^= "/only"', protocols=["http", "https"]),
        route("tls-only", 9, 'http.path ^= "/only"', protocols=["https"]),
        route("quoted", 5, 'http.path ^= "/a && http.host == b" && http.host == "b.test"'),
        route("choice", 20, '(http.path ^= "/c" || http.path ^= "/d") && http.method == "GET"'),
        route(
            "same-choice",
            2,
            'http.method == "GET" && (http.path ^= "/c" || http.path ^= "/d") && http.host == "c.test"',
        ),
    ]
    told = found(tmp_path, capsys, {"services": [{**SERVICE, "routes": routes}]}, flavor="expressions")
    unreachable = sorted(name for code, name in told if code == "route-unreachable")
    assert unreachable == ["below", "exact", "same", "same-choice"]
