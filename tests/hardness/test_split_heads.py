"""No value, from wherever it comes, ends its line: neither in a head for an upstream or a client, nor in a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import OK, Forwarded, RecordingUpstream
from tests.hardness.wire import Answer, ask

# Ends a line in some reader's eyes, and begins what must never be a field or a request of its own.
SPLITS = {
    "line end": b"v\r\nX-Evil: 1",
    "line feed": b"v\nX-Evil: 1",
    "carriage return": b"v\rX-Evil: 1",
    "head end": b"v\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil",
    "nul": b"v\0X-Evil: 1",
    "line end and more": b"v\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil",
    "space": b"v HTTP/1.1\r\nX-Evil: 1",
}
CONFIGURED = "v\r\nX-Evil: 1"


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """Routes whose plugins put what a client says, or what a configuration says, into heads."""

    def route(name: str, plugin: str, **own: Any) -> dict[str, Any]:
        return {
            "name": name,
            "paths": [f"/{name}"],
            "strip_path": False,
            "plugins": [{"name": plugin, "config": own}],
        }

    said = "$(query_params.said)"
    change, answer = "request-transformer", "response-transformer"
    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [
                    {"name": "open", "paths": ["/"], "strip_path": False},
                    route("added", change, add={"headers": [f"X-Said:{said}"]}),
                    route("appended", change, append={"headers": [f"X-Said:{said}"]}),
                    route("replaced", change, replace={"headers": [f"X-Own:{said}"]}),
                    route("renamed", change, rename={"headers": [f"X-Own:{said}"]}),
                    route("host", change, replace={"headers": [f"Host:{said}"]}),
                    route("path", change, replace={"uri": f"/told/{said}"}),
                    route("query", change, replace={"uri": f"/told?said={said}"}),
                    route("argument", change, add={"querystring": [f"more:{said}"]}),
                    {
                        **route("captured", change, add={"headers": ["X-Said:$(uri_captures.said)"]}),
                        "paths": ["~/captured/(?<said>.+)"],
                    },
                    route("name", change, add={"headers": ["X-Name\r\nX-Evil:1"]}),
                    route("value", change, add={"headers": [f"X-Said:{CONFIGURED}"]}),
                    route("answered", answer, add={"headers": [f"X-Said:{CONFIGURED}"]}),
                    route("realm", "key-auth", realm=CONFIGURED),
                    route("basic", "basic-auth", realm=CONFIGURED),
                    route("signed", "hmac-auth", realm=CONFIGURED),
                    route("token", "jwt", realm=CONFIGURED),
                    route("origin", "cors", origins=["*"], exposed_headers=[CONFIGURED], headers=[CONFIGURED]),
                    route("ended", "request-termination", status_code=200, content_type=CONFIGURED, body="x"),
                    route("known", "key-auth"),
                    route("correlated", "correlation-id", header_name="X-Cor\r\nX-Evil", echo_downstream=True),
                    route("grouped", "acl", allow=[CONFIGURED]),
                ],
            }
        ],
        "consumers": [
            {
                "username": f"alice{CONFIGURED}",
                "custom_id": f"a-1{CONFIGURED}",
                "keyauth_credentials": [{"key": "alice"}],
                "acls": [{"group": CONFIGURED}],
            }
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, config(upstream), settings={"proxy_access_log": "/dev/null"}) as found:
        yield found


def is_one_head(forwarded: Forwarded) -> None:
    """One request line, fields that are fields, and none that was smuggled in."""
    method, target, version = forwarded.line.split(" ")
    assert (method, version) == ("GET", "HTTP/1.1")
    assert target.startswith("/")
    assert all(0x20 < byte < 0x7F for byte in target.encode("latin-1"))
    for name, value in forwarded.fields:
        assert name.lower() != "x-evil"
        assert name.replace("-", "").replace("_", "").isalnum(), name
        assert not set(value) & set("\r\n\0"), (name, value)
    assert len(forwarded.values("host")) == 1
    assert forwarded.body == b""


def is_one_answer(answer: Answer) -> None:
    """The same of what a client gets."""
    lines = answer.head.decode("latin-1").split("\r\n")[1:]
    names = [line.partition(":")[0] for line in lines]
    assert all(name.replace("-", "").isalnum() for name in names), names
    assert "x-evil" not in [name.lower() for name in names]
    assert not any(set(line) & set("\r\n\0") for line in lines)


SAID = ["added", "appended", "replaced", "renamed", "host", "path", "query", "argument"]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("where", SAID)
def test_what_a_client_says_ends_no_line(gateway: Gateway, where: str, split: str) -> None:
    gateway.forget()
    said = quote_from_bytes(SPLITS[split])
    answer = ask(gateway.port, f"GET /{where}?said={said} HTTP/1.1\r\nHost: a\r\nX-Own: own\r\n\r\n".encode())
    assert answer.status in {200, 400, 500}
    is_one_answer(answer)
    found = gateway.settled()
    assert len(found) == (answer.status == 200)
    for each in found:
        is_one_head(each)


@pytest.mark.parametrize("split", SPLITS)
def test_what_a_path_says_ends_no_line(gateway: Gateway, split: str) -> None:
    gateway.forget()
    said = quote_from_bytes(SPLITS[split].partition(b"/")[0])
    answer = ask(gateway.port, f"GET /captured/{said} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    # What has no normal form is refused before any plugin is asked.
    assert answer.status == (400 if b"\0" in SPLITS[split] else 200)
    for each in gateway.settled():
        is_one_head(each)


@pytest.mark.parametrize("where", ["name", "value", "known", "correlated"])
def test_what_a_configuration_says_ends_no_line_upstream(gateway: Gateway, where: str) -> None:
    gateway.forget()
    answer = ask(gateway.port, f"GET /{where} HTTP/1.1\r\nHost: a\r\napikey: alice\r\n\r\n".encode())
    assert answer.status == 200
    is_one_answer(answer)
    (forwarded,) = gateway.settled()
    is_one_head(forwarded)


@pytest.mark.parametrize("where", ["answered", "realm", "basic", "signed", "token", "origin", "ended", "correlated"])
def test_what_a_configuration_says_ends_no_line_downstream(gateway: Gateway, where: str) -> None:
    gateway.forget()
    lines = "Host: a\r\nOrigin: https://b.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"
    for method in ("GET", "OPTIONS"):
        answer = ask(gateway.port, f"{method} /{where} HTTP/1.1\r\n{lines}".encode())
        assert answer.status in {200, 401}
        is_one_answer(answer)
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, request((b"origin", b"https://b.example"), path=f"/{where}".encode()))
        reply = wire.reply(1)
    assert reply.status in {200, 401}
    assert "x-evil" not in [name for name, _ in reply.fields]
    assert not any(set(name + value) & set("\r\n\0") for name, value in reply.fields)


def test_what_an_upstream_says_is_one_answer(gateway: Gateway, upstream: RecordingUpstream) -> None:
    for line in (b"X-A: v\rX-Evil: 1", b"X-A: v\nX-Evil: 1", b"X-A: v\0X-Evil: 1", b"X-A\n: v"):
        upstream.reply(OK.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n"))
        answer = ask(gateway.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 502
        is_one_answer(answer)


def test_no_log_line_is_forged(gateway: Gateway) -> None:
    gateway.forget()
    forged = b'x","evil":"1'
    fields: list[Mapping[str, bytes]] = [{"User-Agent": forged, "Referer": b'a" "b', "X-Own": b"\xff\x80\\"}]
    for each in fields:
        lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in each.items())
        target = b'/x%0a127.0.0.1%20-%20-?q="\\%0d%0aevil'
        assert ask(gateway.port, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n").status == 200
    gateway.settled()
    (entry, _) = gateway.log_entries(2)
    assert "evil" not in entry
    assert "evil" not in entry["request"]
    assert entry["request"]["headers"]["user-agent"] == forged.decode()
    (line,) = gateway.access_lines(1)
    assert line.count('"') == 8
    assert all(" " <= letter <= "~" for letter in line)


def test_a_name_that_ends_lines_ends_none_in_logs(gateway: Gateway) -> None:
    gateway.forget()
    assert ask(gateway.port, b"GET /known HTTP/1.1\r\nHost: a\r\napikey: alice\r\n\r\n").status == 200
    gateway.settled()
    # Each line of what is drained is read as one entry.
    (entry, _) = gateway.log_entries(2)
    assert entry["consumer"]["username"] == f"alice{CONFIGURED}"
