"""What a plugin hides is hidden on every road: from upstreams, however they are spoken to, and from every log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import Forwarded, RecordingUpstream, Then
from tests.hardness.wire import ask

KEY, PASSWORD, HMAC_SECRET = "k3y-of-alice", "p4ssword-of-alice", "a secret of thirty-two bytes, say"
WRONG = "k3y-of-nobody"
BASIC = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
# What must be read nowhere: the credentials as they are and as they are sent.
SECRETS = [KEY, WRONG, PASSWORD, BASIC.removeprefix("Basic "), HMAC_SECRET]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """A route for each plugin that hides, and some for several of them."""
    key = {"hide_credentials": True, "key_in_body": True, "key_names": ["apikey", "x_key"]}
    hiding: dict[str, dict[str, Any]] = {
        "key-auth": key,
        "basic-auth": {"hide_credentials": True},
        "hmac-auth": {"hide_credentials": True},
    }

    def route(name: str, *plugins: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        own = [{"name": plugin, "config": config} for plugin, config in plugins]
        return {"name": name, "paths": [f"/{name}"], "strip_path": False, "plugins": own}

    def for_all(config: dict[str, Any]) -> dict[str, Any]:
        return config | {"anonymous": "nobody"}

    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "retries": 3,
                "routes": [
                    route("sentinel-"),
                    *(route(plugin, (plugin, config)) for plugin, config in hiding.items()),
                    *(route(f"lenient-{plugin}", (plugin, for_all(config))) for plugin, config in hiding.items()),
                    route("any", *((plugin, for_all(config)) for plugin, config in hiding.items())),
                    route("every", *((plugin, config) for plugin, config in list(hiding.items())[:2])),
                    route("preflight", ("key-auth", key | {"run_on_preflight": False})),
                    route("shown", ("basic-auth", {})),
                ],
            }
        ],
        "consumers": [
            {
                "username": "alice",
                "keyauth_credentials": [{"key": KEY}],
                "basicauth_credentials": [{"username": "alice", "password": PASSWORD}],
                "hmacauth_credentials": [{"username": "alice", "secret": HMAC_SECRET}],
            },
            {"username": "nobody"},
        ],
        "plugins": [
            {"name": "file-log", "config": {"path": "/dev/null"}},
            {"name": "http-log", "config": {"http_endpoint": "http://127.0.0.1:9/"}},
            {"name": "correlation-id", "config": {"header_name": "X-Correlation"}},
        ],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, config(upstream), settings={"proxy_access_log": "/dev/null"}) as found:
        yield found


def signature() -> str:
    """A header as hmac-auth wants it, and the date that it is made over."""
    date = formatdate(usegmt=True)
    digest = hmac.new(HMAC_SECRET.encode(), f"date: {date}".encode(), hashlib.sha256).digest()
    text = base64.b64encode(digest).decode()
    shown = f'hmac username="alice", algorithm="hmac-sha256", headers="date", signature="{text}"'
    return f"Date: {date}\r\nAuthorization: {shown}\r\n"


def sent(target: str, lines: str = "", body: str = "", kind: str = "", *, method: str = "") -> bytes:
    """A request."""
    own = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if kind else ""
    method = method or ("POST" if kind else "GET")
    return f"{method} {target} HTTP/1.1\r\nHost: a.example\r\n{lines}{own}\r\n{body}".encode()


MULTIPART = f'--X\r\nContent-Disposition: form-data; name="apikey"\r\n\r\n{KEY}\r\n--X--\r\n'
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
REQUESTS: dict[str, bytes] = {
    "a header": sent("/key-auth", f"apikey: {KEY}\r\n"),
    "a header in another case": sent("/key-auth", f"APIKey: {KEY}\r\n"),
    "a header in two spellings": sent("/key-auth", f"x-key: {KEY}\r\nX_Key: {KEY}\r\n"),
    "the query": sent(f"/key-auth?a=1&apikey={KEY}&b=2"),
    "the query, escaped": sent(f"/key-auth?%61pikey={KEY.replace('-', '%2D')}"),
    "the query and a header": sent(f"/key-auth?apikey={KEY}", f"apikey: {KEY}\r\n"),
    "a form": sent("/key-auth", "", f"a=1&apikey={KEY}", FORM),
    "JSON": sent("/key-auth", "", json.dumps({"a": [1], "apikey": KEY}), JSON),
    "parts": sent("/key-auth", "", MULTIPART, "multipart/form-data; boundary=X"),
    "a form and the query": sent(f"/key-auth?apikey={KEY}", "", f"apikey={KEY}", FORM),
    "a wrong key of somebody": sent("/lenient-key-auth", f"apikey: {WRONG}\r\n"),
    "a wrong key in the query": sent(f"/lenient-key-auth?apikey={WRONG}"),
    "a wrong key in a form": sent("/lenient-key-auth", "", f"apikey={WRONG}", FORM),
    "basic": sent("/basic-auth", f"Authorization: {BASIC}\r\n"),
    "basic for a proxy": sent("/basic-auth", f"Proxy-Authorization: {BASIC}\r\n"),
    "a wrong password": sent("/lenient-basic-auth", f"Authorization: {BASIC[:-4]}AAA=\r\n"),
    "two of every kind": sent("/every", f"apikey: {KEY}\r\nAuthorization: {BASIC}\r\n"),
    "one of any kind": sent("/any", f"Authorization: {BASIC}\r\n"),
    "two where one is enough": sent("/any", f"apikey: {KEY}\r\nAuthorization: {BASIC}\r\n"),
    "two where one is enough, in the query": sent(f"/any?apikey={KEY}", f"Proxy-Authorization: {BASIC}\r\n"),
    "a preflight that nobody asks": sent("/preflight", f"apikey: {KEY}\r\n", method="OPTIONS"),
    "a preflight with a query": sent(f"/preflight?apikey={KEY}", method="OPTIONS"),
}


def leaked(text: str) -> list[str]:
    """The credentials that stand in a text."""
    return [secret for secret in [*SECRETS, BASIC[:-4]] if secret in text]


def written(forwarded: list[Forwarded]) -> str:
    """All that reached an upstream."""
    return b"".join(each.head + each.body for each in forwarded).decode("latin-1")


def nothing_leaks(gateway: Gateway, forwarded: list[Forwarded]) -> None:
    """Neither upstreams nor logs hold a credential."""
    assert leaked(written(forwarded)) == []
    assert not any("authorization" in name.lower() for each in forwarded for name, _ in each.fields)
    # An entry for each of the two log plugins, of the request and of the last one.
    entries = gateway.log_entries(4)
    assert leaked(json.dumps(entries)) == []
    assert leaked("\n".join(gateway.access_lines(1))) == []
    assert leaked(json.dumps([vars(record) for record in gateway.records(2)])) == []
    assert leaked(gateway.core.drain("troubles").decode()) == []


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_hidden_is_read_nowhere(gateway: Gateway, name: str) -> None:
    gateway.forget()
    assert ask(gateway.port, REQUESTS[name]).status == 200
    forwarded = gateway.settled()
    assert len(forwarded) == 1
    nothing_leaks(gateway, forwarded)


def test_the_rest_is_as_it_was_sent(gateway: Gateway) -> None:
    gateway.forget()
    for name, target, body in (
        ("the query", "/key-auth?a=1&b=2", b""),
        ("a form", "/key-auth", b"a=1"),
        ("JSON", "/key-auth", b'{"a":[1]}'),
    ):
        assert ask(gateway.port, REQUESTS[name]).status == 200
        (forwarded,) = gateway.settled()
        assert (forwarded.target, forwarded.content) == (target, body)
        assert forwarded.values("x-consumer-username") == ["alice"]


def test_a_signature_is_hidden(gateway: Gateway) -> None:
    for target in ("/hmac-auth", "/any", "/lenient-hmac-auth"):
        gateway.forget()
        lines = signature()
        assert ask(gateway.port, sent(target, lines)).status == 200
        (forwarded,) = gateway.settled()
        (shown,) = re.findall('signature="(.*)"', lines)
        assert shown not in written([forwarded])
        assert forwarded.values("x-consumer-username") == ["alice"]
        assert shown not in json.dumps(gateway.log_entries(4))


def test_further_attempts_hide_too(gateway: Gateway, upstream: RecordingUpstream) -> None:
    for name in ("a header", "the query", "basic"):
        gateway.forget()
        upstream.hang_up()
        upstream.reply(*[Then(b"", "close")] * 3)
        assert ask(gateway.port, REQUESTS[name]).status == 200
        forwarded = gateway.settled()
        assert len(forwarded) == 4
        nothing_leaks(gateway, forwarded)


def test_a_websocket_hides(gateway: Gateway, upstream: RecordingUpstream) -> None:
    for target, line in (("/key-auth", f"apikey: {KEY}"), (f"/key-auth?apikey={KEY}", "X-A: 1"), ("/basic-auth", "")):
        gateway.forget()
        upstream.reply(Then(SWITCH, "close"))
        lines = f"{line or 'Authorization: ' + BASIC}\r\n{UPGRADE}"
        assert ask(gateway.port, sent(target, lines)).status == 101
        forwarded = gateway.settled()
        assert [each.values("upgrade") for each in forwarded] == [["websocket"]]
        nothing_leaks(gateway, forwarded)


def test_http2_hides(gateway: Gateway) -> None:
    key, basic = (b"apikey", KEY.encode()), (b"authorization", BASIC.encode())
    for target, fields, body in (
        ("/key-auth", [key], None),
        (f"/key-auth?apikey={KEY}", [], None),
        ("/basic-auth", [basic], None),
        ("/any", [key, basic], None),
        ("/key-auth", [(b"content-type", FORM.encode())], f"apikey={KEY}".encode()),
    ):
        gateway.forget()
        with FrameWire(gateway.h2_port) as wire:
            method = b"GET" if body is None else b"POST"
            wire.ask(1, request(*fields, path=target.encode(), method=method), body)
            assert wire.reply(1).status == 200
        nothing_leaks(gateway, gateway.settled())


def test_what_is_not_hidden_is_redacted_in_logs_all_the_same(gateway: Gateway) -> None:
    """As Kong does: the upstream is sent it, log entries have `REDACTED` in its place."""
    gateway.forget()
    assert ask(gateway.port, sent("/shown", f"Authorization: {BASIC}\r\n")).status == 200
    (forwarded,) = gateway.settled()
    assert forwarded.values("authorization") == [BASIC]
    entries = [entry for entry in gateway.log_entries(4) if "/shown" in entry["request"]["uri"]]
    assert {entry["request"]["headers"]["authorization"] for entry in entries} == {"REDACTED"}
    assert leaked(json.dumps(entries)) == []
    assert leaked("\n".join(gateway.access_lines(1))) == []


def test_who_is_refused_leaves_no_credential_in_logs(gateway: Gateway) -> None:
    for name, line in (("key-auth", f"apikey: {WRONG}"), ("basic-auth", f"Authorization: {BASIC[:-4]}AAA=")):
        for target, lines in ((f"/{name}", f"{line}\r\n"), (f"/{name}?apikey={WRONG}", f"{line}\r\n")):
            gateway.forget()
            answer = ask(gateway.port, sent(target, lines))
            assert answer.status == 401
            assert leaked(answer.body.decode()) == []
            if name == "key-auth":
                nothing_leaks(gateway, gateway.settled())
