"""Forms of the access log, through a whole node: every variable, and what none of them may tell."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.settings.log_format import VALUES
from twinplane.testing import Gateway, gateway

SECRET = "a-key-nobody-may-see"


def document() -> dict[str, Any]:
    key_auth = {"name": "key-auth", "config": {"hide_credentials": True}}
    routes = [{"name": "r", "paths": ["/"], "plugins": [key_auth]}]
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": "http://<upstream>", "routes": routes}],
        "consumers": [{"username": "c", "keyauth_credentials": [{"key": SECRET}]}],
    }


def asked(node: Gateway, path: Path, request: str) -> str:
    """The line of one request."""
    assert node.get(request, user_agent='a"b\\c', host="one.example:81").status in (200, 401)
    return str(eventually(lambda: path.exists() and path.read_text(), seconds=60))


def test_every_variable_has_its_value(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    values = {name: f"${name}" for name in sorted(VALUES)}
    values |= {"agent": "$http_user_agent", "kind": "$sent_http_content_type", "a": "$arg_a", "none": "$http_x_none"}
    settings = {
        "proxy_access_log": f"{path} own",
        "nginx_http_log_format": f"own escape=json '{json.dumps(values)}'",
    }
    with gateway(document(), settings=settings) as node:
        text = asked(node, path, f"/%61/b?a=1&apikey={SECRET}")
        port = node.port
        told = json.loads(text)
    assert set(told) == set(values)
    assert SECRET not in text
    expected = {
        "remote_addr": "127.0.0.1",
        "realip_remote_addr": "127.0.0.1",
        "server_addr": "127.0.0.1",
        "server_port": str(port),
        "request_method": "GET",
        "request_uri": "/%61/b?a=1",
        "request": "GET /%61/b?a=1 HTTP/1.1",
        "uri": "/a/b",
        "args": "a=1",
        "is_args": "?",
        "a": "1",
        "host": "one.example",
        "scheme": "http",
        "server_protocol": "HTTP/1.1",
        "status": "200",
        "upstream_status": "200",
        "agent": 'a"b\\c',
        "kind": "application/json",
        "connection_requests": "1",
        "pid": str(os.getpid()),
        **dict.fromkeys(("none", "remote_user", "ssl_cipher", "ssl_protocol", "ssl_server_name"), ""),
    }
    assert {name: told[name] for name in expected} == expected
    forms = {
        r"\d+": ("remote_port", "realip_remote_port", "connection", "request_length", "bytes_sent", "body_bytes_sent"),
        r"\d+\.\d{3}": (
            *("msec", "request_time"),
            *("upstream_connect_time", "upstream_header_time", "upstream_response_time"),
        ),
        r"[0-9a-f]{32}": ("request_id",),
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00": ("time_iso8601",),
        r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000": ("time_local",),
        r"127\.0\.0\.1:\d+": ("upstream_addr",),
        r".+": ("hostname",),
    }
    for form, names in forms.items():
        for name in names:
            assert re.fullmatch(form, told[name]), (name, told[name])
    assert {*expected, *(name for names in forms.values() for name in names)} == set(values)


def test_what_a_request_does_not_have_is_a_dash_and_a_client_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    settings = {
        "proxy_access_log": f"{path} own",
        "nginx_http_log_format": "own '[$http_user_agent] ' '$status $args $upstream_addr $upstream_status'",
    }
    with gateway(document(), settings=settings) as node:
        assert asked(node, path, "/") == "[a\\x22b\\x5Cc] 401 - - -\n"
