"""Hosts, paths, names and patterns: what is let through and what is said of the rest."""

from __future__ import annotations

import pytest

from twinplane.schema.expression import bad_expression
from twinplane.schema.hosts import (
    bad_host,
    bad_ip_or_cidr,
    bad_route_host,
    bad_upstream_name,
    bad_wildcard_host,
    parse_address,
)
from twinplane.schema.paths import bad_path, bad_route_path
from twinplane.schema.pcre import bad_pcre
from twinplane.schema.rust_regex import bad_rust_regex
from twinplane.schema.texts import bad_cookie_name, bad_header_name, bad_name, bad_redirect_uri, bad_tag, bad_url


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("a.test", "name", "a.test", None),
        ("a.test:80", "name", "a.test", 80),
        ("1.2.3.4:8000", "ipv4", "1.2.3.4", 8000),
        ("[::1]:80", "ipv6", "0000:0000:0000:0000:0000:0000:0000:0001", 80),
        ("::1", "ipv6", "0000:0000:0000:0000:0000:0000:0000:0001", None),
    ],
)
def test_addresses_are_taken_apart(text: str, kind: str, host: str, port: int | None) -> None:
    address = parse_address(text)
    assert (address.kind, address.host, address.port) == (kind, host, port)


@pytest.mark.parametrize("value", ["localhost", "a.", "_x.y", "-a", "1.2.3.4", "[::1]", "A.TEST"])
def test_hosts_are_let_through(value: str) -> None:
    assert bad_host(value) is None


@pytest.mark.parametrize("value", ["a b", "a..b", "a-", ".a", "*.a", "999.1.1.1", "{vault://env/x}", "ü.test"])
def test_other_hosts_are_refused(value: str) -> None:
    assert bad_host(value) == f"invalid value: {value}"


def test_a_host_has_no_port_but_a_host_of_a_route_may() -> None:
    assert bad_host("a:80") == "must not have a port"
    assert bad_route_host("a.test:80") is None
    assert bad_route_host("a.test:99999") == "invalid port number"
    assert bad_route_host("*.a.test:8443") is None


def test_wildcards_stand_at_one_end() -> None:
    assert bad_wildcard_host("*.a.test") is None
    assert bad_wildcard_host("a.*.b") == "wildcard must be leftmost or rightmost character"
    assert bad_wildcard_host("*.*") == "only one wildcard must be specified"
    assert bad_wildcard_host("1.2.3.4") == "must not be an IP"


def test_upstreams_have_names() -> None:
    assert bad_upstream_name("a_b") is None
    assert bad_upstream_name("::1") == "Invalid name ('::1'); no ip addresses allowed"
    assert bad_upstream_name("a:80") == "Invalid name ('a:80'); no port allowed"


@pytest.mark.parametrize(
    ("value", "good"), [("1.2.3.4", True), ("1.2.3.4/24", True), ("::/0", True), ("1/0", False), ("::/129", False)]
)
def test_ranges(value: str, good: bool) -> None:
    assert (bad_ip_or_cidr(value) is None) is good


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("/a%2fb", None),
        ("/!$&'()*+,;=:@-._~", None),
        ("/a b", "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)"),
        ("/%zz", "invalid url-encoded value: '%zz'"),
        ("/a%", "invalid url-encoded value: '%'"),
    ],
)
def test_paths_of_services(value: str, wrong: str | None) -> None:
    assert bad_path(value) == wrong


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("/a?b", None),
        ("~/(?<n>x)", None),
        ("~/(?i)x", None),
        ("/%7e", "non-normalized path, consider use '/~' instead"),
        ("/A%2fb", "non-normalized path, consider use '/A%2Fb' instead"),
        ("/a/../b", "non-normalized path, consider use '/b' instead"),
        (
            "~/[",
            "invalid regex: '/[' (PCRE returned: pcre2_compile() failed: "
            'missing terminating ] for character class in "/[")',
        ),
    ],
)
def test_paths_of_routes(value: str, wrong: str | None) -> None:
    assert bad_route_path(value) == wrong


def test_patterns() -> None:
    assert bad_pcre(r"^/a(b)?\d+$") is None
    assert bad_pcre("a(b") == 'missing closing parenthesis in "a(b"'
    assert bad_rust_regex("a(?=b)") is not None
    assert bad_rust_regex(r"[(?=]") is None
    assert bad_rust_regex(r"(a)\1") is not None


def test_names_tags_headers_cookies_urls() -> None:
    assert bad_name("孔-1") is None
    assert bad_name("a b") is not None
    assert bad_tag("a b") is None
    assert bad_tag("a,b") is not None
    assert bad_header_name("X-A_b") is None
    assert bad_header_name("a b") is not None
    assert bad_cookie_name("a cookie") is not None
    assert bad_url("http://a.test/x") is None
    assert bad_url("x") == "missing host in url"
    assert bad_redirect_uri("http://a.test/#f") == "fragment not allowed in 'http://a.test/#f'"


@pytest.mark.parametrize(
    "text",
    [
        'http.method == "GET" && http.path ^= "/a"',
        '!(http.host == "a") || (net.src.ip in 10.0.0.0/8 && net.dst.port >= 80)',
        'any(lower(http.headers.x_y)) ~ r#"^a$"#',
        "http.path.segments.len == 3",
        'http.path.segments.0_1 == "a/b"',
    ],
)
def test_expressions_are_let_through(text: str) -> None:
    assert bad_expression(text, stream=False) is None


@pytest.mark.parametrize(
    ("text", "stream", "part"),
    [
        ('http.method == "GET" &&', False, "expected term"),
        ("http.method", False, "expected binary_operator"),
        ('http.method == "GET"', True, "Unknown LHS field"),
        ("http.method == 5", False, "Type mismatch"),
        ('http.path.segments.2_1 == "a"', False, "illformed"),
        ("net.src.ip in 1.2.3.4/16", False, "host part of address was not zero"),
        ('http.path ~ "["', False, "unclosed character class"),
    ],
)
def test_other_expressions_are_refused(text: str, stream: bool, part: str) -> None:
    assert part in (bad_expression(text, stream=stream) or "")
