"""One path: routes, guards, limits, kept answers and logs go by the same normal form; upstreams get no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import Answer, ask

# As sent, and as it goes upstream.
SPELLINGS: dict[str, str] = {
    "/admin/x": "/admin/x",
    "/%61dmin/x": "/admin/x",
    "/%61%64%6D%69%6e/%78": "/admin/x",
    "//admin///x": "/admin/x",
    "/./admin/./x": "/admin/x",
    "/%2e/admin/x": "/admin/x",
    "/a/../admin/x": "/admin/x",
    "/a/%2e%2E/admin/x": "/admin/x",
    "/a/b/../../admin/x": "/admin/x",
    "/admin/a/../x": "/admin/x",
    "/admin/x/y/..": "/admin/x/",
    "/admin/x/.": "/admin/x/",
    "/admin//": "/admin/",
    "/admin/%7Ex": "/admin/~x",
    "/admin/a%20b": "/admin/a%20b",
    "/admin/%E2%82%AC": "/admin/%E2%82%AC",
    "/admin/\u20ac": "/admin/%E2%82%AC",
    "/admin/a%3fb": "/admin/a%3Fb",
    "/admin/a%23b": "/admin/a%23b",
    "/admin/a%3db": "/admin/a%3Db",
    "/admin/{a}|b": "/admin/%7Ba%7D%7Cb",
    "/admin/...": "/admin/...",
    "/admin/..a": "/admin/..a",
    "/admin/a%25": "/admin/a%25",
    "/admin/a%25zz": "/admin/a%25zz",
    "/admin/a+b@c:d,e'(f)*!$&": "/admin/a+b@c:d,e'(f)*!$&",
}

# What servers read in different ways: refused behind a guard.
AMBIGUOUS = [
    "/admin%2fx",
    "/admin%2Fx",
    "/admin/..%2f..%2fx",
    "/admin/%2e%2e%2fx",
    "/admin\\x",
    "/admin/..\\x",
    "/admin%5cx",
    "/admin%5C..%5Cx",
    "/admin;v=1/x",
    "/admin/..;/x",
    "/admin/x;",
    "/admin%3bx",
    "/admin%3B/..;/x",
    "/admin/%252fx",
    "/admin/%252e%252e/x",
    "/admin/%25%32%66x",
    "/admin/%c0%af",
    "/admin/%c0%ae%c0%ae/",
    "/admin/%e0%80%af",
    "/admin/%f0%80%80%af",
    "/admin/%ff",
    "/admin/%c1%9c",
    "/admin/%ed%a0%80",
    "/admin/x#/y",
    "/admin/x#",
    "/admin/x%0d%0aX-A:%201",
    "/admin/x%0a",
    "/admin/x%09",
    "/admin/x%7f",
    "/admin/x%1b",
]

# What has no normal form at all: refused everywhere.
HOPELESS = [
    "/admin/%00",
    "/admin/%",
    "/admin/%1",
    "/admin/%gg",
    "/admin/%u002f",
    "/../admin",
    "/admin/../../x",
    "/%2e%2e/x",
]

GUARDS: dict[str, list[Mapping[str, Any]]] = {
    "key-auth": [{"name": "key-auth"}],
    "basic-auth": [{"name": "basic-auth", "config": {"anonymous": "nobody"}}],
    "hmac-auth": [{"name": "hmac-auth", "config": {"anonymous": "nobody"}}],
    "jwt": [{"name": "jwt", "config": {"anonymous": "nobody"}}],
    "acl": [{"name": "key-auth"}, {"name": "acl", "config": {"allow": ["staff"]}}],
    "ip-restriction": [{"name": "ip-restriction", "config": {"allow": ["127.0.0.1"]}}],
}


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """A guarded tree in front of everything, a tree with each guard, one that keeps answers, one that limits."""
    route: dict[str, Any] = {"strip_path": False}
    guarded = [
        {**route, "name": f"by-{name}", "paths": [f"/{name}"], "plugins": plugins} for name, plugins in GUARDS.items()
    ]
    cache = {"strategy": "memory", "content_type": ["text/plain"]}
    limit = {"minute": 4, "limit_by": "path", "path": "/limited/x", "policy": "local"}
    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [
                    {**route, "name": "rest", "paths": ["/"]},
                    {**route, "name": "admin", "paths": ["/admin"], "plugins": GUARDS["key-auth"]},
                    *guarded,
                    {
                        **route,
                        "name": "kept",
                        "paths": ["/kept"],
                        "plugins": [{"name": "proxy-cache", "config": cache}],
                    },
                    {
                        **route,
                        "name": "limited",
                        "paths": ["/limited"],
                        "plugins": [{"name": "rate-limiting", "config": limit}],
                    },
                    {"name": "stripped", "paths": ["/cut"]},
                ],
            }
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
        "consumers": [
            {"username": "alice", "keyauth_credentials": [{"key": "k"}], "acls": [{"group": "staff"}]},
            {"username": "nobody"},
        ],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    upstream.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
    with serving(upstream, config(upstream)) as found:
        yield found


def fetch(gateway: Gateway, target: str, *lines: str) -> Answer:
    """The answer to a GET."""
    head = [f"GET {target} HTTP/1.1", "Host: a.example", *lines]
    return ask(gateway.port, "\r\n".join(head).encode() + b"\r\n\r\n")


@pytest.mark.parametrize("target", SPELLINGS)
def test_every_spelling_meets_the_guard_and_leaves_in_one_form(gateway: Gateway, target: str) -> None:
    gateway.forget()
    assert fetch(gateway, target).status == 401
    assert gateway.settled() == []
    assert fetch(gateway, target, "apikey: k").status == 200
    (forwarded,) = gateway.settled()
    assert forwarded.target == SPELLINGS[target]
    # What was forwarded says the same again.
    assert fetch(gateway, forwarded.target, "apikey: k").status == 200
    (again,) = gateway.settled()
    assert again.target == forwarded.target
    logged = [entry for entry in gateway.log_entries(5) if "sentinel" not in entry["upstream_uri"]]
    assert [entry["route"]["name"] for entry in logged] == ["admin"] * 3
    assert [entry["upstream_uri"] for entry in logged[1:]] == [SPELLINGS[target]] * 2
    records = [record for record in gateway.records(5) if "sentinel" not in record.path]
    assert len({record.path for record in records}) == 1


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_what_is_read_in_two_ways_passes_no_guard(gateway: Gateway, target: str) -> None:
    gateway.forget()
    for name in GUARDS:
        asked = target.replace("/admin", f"/{name}", 1)
        assert fetch(gateway, asked, "apikey: k").status == 400, name
    assert gateway.settled() == []
    statuses = [record.status for record in gateway.records(len(GUARDS) + 1)]
    assert statuses == [400] * len(GUARDS) + [200]


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_where_nothing_guards_it_goes_on_in_a_form_that_says_the_same(gateway: Gateway, target: str) -> None:
    gateway.forget()
    asked = target.replace("/admin", "/free", 1)
    assert fetch(gateway, asked).status == 200
    (first,) = gateway.settled()
    assert fetch(gateway, first.target).status == 200
    (second,) = gateway.settled()
    assert second.target == first.target
    assert not set(first.target) & set("\\ \t\r\n")


@pytest.mark.parametrize("target", HOPELESS)
def test_what_has_no_normal_form_is_refused_everywhere(gateway: Gateway, target: str) -> None:
    gateway.forget()
    for asked in (target, target.replace("/admin", "/free")):
        assert fetch(gateway, asked, "apikey: k").status == 400
    assert gateway.settled() == []


def test_limits_count_all_spellings_together(gateway: Gateway) -> None:
    gateway.forget()
    spellings = ["/limited/x", "/limited/%78", "//limited//x", "/limited/./x", "/a/../limited/x", "/limited/y/../x?q=1"]
    left = [fetch(gateway, target).status for target in spellings]
    # A window may end in between; then the second one counts from the start.
    assert left == [200] * 4 + [429] * 2 or sum(status == 200 for status in left) == 6
    for _ in range(8):
        last = fetch(gateway, "/limited/%78")
    assert last.status == 429


def test_one_kept_answer_serves_all_spellings(gateway: Gateway) -> None:
    gateway.forget()
    spellings = ["/kept/x", "/kept/%78", "//kept//x", "/kept/./x", "/a/../kept/x"]
    states = [fetch(gateway, target).values("x-cache-status") for target in spellings]
    assert states == [["Miss"], *[["Hit"]] * 4]
    assert [each.target for each in gateway.settled()] == ["/kept/x"]
    # What only looks alike is another answer.
    for other in ("/kept/x/", "/kept/X", "/kept/x?", "/kept%2Fx", "/kept/x;"):
        if other != "/kept/x?":
            assert fetch(gateway, other).values("x-cache-status") == ["Miss"], other


def test_a_stripped_prefix_lets_no_dots_out(gateway: Gateway) -> None:
    gateway.forget()
    for target in ("/cut/../admin/x", "/cut../admin/x", "/cut..", "/cut./x", "/cut%2e%2e/admin", "/cut/%2e%2e/admin/x"):
        fetch(gateway, target)
    for forwarded in gateway.settled():
        segments = forwarded.target.split("/")
        assert ".." not in segments
        assert "." not in segments
