"""`twinplane explain` of streams on a file, in the flavours; test_stream_flavors asks nodes that run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from twinplane.cli.program import main
from twinplane.node.explain import BadQuestionError, core_question

PLUGINS = """
plugins:
  - {name: file-log, protocols: [tcp, tls, udp], config: {path: /tmp/streams.log}}
  - {name: cors}
"""
ATTRIBUTES = """
_format_version: "3.0"
services:
  - name: mail
    url: tls://127.0.0.1:993
    routes:
      - {name: mail, protocols: [tls], snis: [mail.example], destinations: [{port: 9443}]}
      - name: near
        protocols: [tls]
        snis: [mail.example]
        sources: [{ip: 10.1.0.0/16}]
        destinations: [{port: 9443}]
        plugins: [{name: ip-restriction, protocols: [tls], config: {deny: [10.1.0.9]}}]
  - name: names
    url: udp://127.0.0.1:53
    routes: [{name: names, protocols: [udp], destinations: [{port: 53}]}]
routes:
  - {name: nowhere, protocols: [tcp], destinations: [{port: 7}]}
"""
EXPRESSIONS = """
_format_version: "3.0"
services:
  - name: mail
    url: tls://127.0.0.1:993
    routes:
      - {name: mail, protocols: [tls], priority: 1, expression: 'tls.sni == "mail.example" && net.dst.port == 9443'}
      - name: near
        protocols: [tls]
        priority: 2
        expression: 'tls.sni == "mail.example" && net.src.ip in 10.1.0.0/16 && net.dst.port == 9443'
        plugins: [{name: ip-restriction, protocols: [tls], config: {deny: [10.1.0.9]}}]
  - name: names
    url: udp://127.0.0.1:53
    routes: [{name: names, protocols: [udp], priority: 1, expression: 'net.dst.port == 53'}]
routes:
  - {name: nowhere, protocols: [tcp], priority: 1, expression: 'net.dst.port == 7'}
"""


class Asking:
    """`twinplane explain` on the file of a flavour."""

    def __init__(self, path: Path, flavor: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.flavor, self._path, self._capsys = flavor, path, capsys

    def __call__(self, *words: str, exits: int = 0) -> dict[str, Any]:
        assert main(["explain", *words, "--file", str(self._path), "--json"]) == exits
        told: dict[str, Any] = orjson.loads(self._capsys.readouterr().out)
        return told


@pytest.fixture(params=["traditional_compatible", "expressions"])
def asking(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Asking:
    flavor: str = request.param
    monkeypatch.setenv("KONG_ROUTER_FLAVOR", flavor)
    path = tmp_path / "kong.yml"
    path.write_text((EXPRESSIONS if flavor == "expressions" else ATTRIBUTES) + PLUGINS)
    return Asking(path, flavor, capsys)


def test_the_route_and_what_others_lack(asking: Asking) -> None:
    told = asking("tls://mail.example:9443", "--source", "192.0.2.7:4711")
    assert told["stream"] == {
        "offered": "tls",
        "sni": "mail.example",
        "client_ip": "192.0.2.7",
        "client_port": 4711,
        "listener_ip": "127.0.0.1",
        "listener_port": 9443,
    }
    assert (told["route"]["name"], told["carried"], told["service"]["name"]) == ("mail", "tls", "mail")
    lacks = {lost["name"]: lost["lacks"] for lost in told["considered"]}
    is_expression = asking.flavor == "expressions"
    wanted = {"part": "expression", "detail": "net.src.ip in 10.1.0.0/16"}
    assert lacks["near"] == [wanted if is_expression else {"part": "source", "detail": None}]
    assert told["upstream"] == {
        "uri": "tls://127.0.0.1:993",
        "target": {"ip": "127.0.0.1", "port": 993},
        "problem": None,
    }


def test_plugins_with_phase_and_scope(asking: Asking) -> None:
    told = asking("--protocol", "tls", "--sni", "mail.example", "--source", "10.1.2.3:1", "--listener-port", "9443")
    assert (told["route"]["name"], [other["name"] for other in told["would_match"]]) == ("near", ["mail"])
    assert [(each["place"], each["name"], each["scope"], each["phases"]) for each in told["plugins"]] == [
        (1, "ip-restriction", ["route"], ["preread"]),
        (2, "file-log", [], ["log"]),
    ]
    udp = asking("udp://127.0.0.1:53")
    assert [each["name"] for each in udp["plugins"]] == ["file-log"]
    assert (udp["carried"], udp["upstream"]["uri"]) == ("udp", "udp://127.0.0.1:53")


def test_streams_that_are_closed(asking: Asking) -> None:
    lost = asking("tcp://127.0.0.1:9999", exits=3)
    assert (lost["route"], lost["plugins"], lost["upstream"]) == (None, [], None)
    assert lost["closed"] == {"status": 500, "message": "no Route found with those values"}
    nowhere = asking("tcp://[::1]:7")
    assert (nowhere["route"]["name"], nowhere["carried"]) == ("nowhere", None)
    assert nowhere["closed"]["message"] == "no Service found with those values"
    # TLS, and the route that it finds is for neither kind of it.
    unfit = asking("--protocol", "tls", "--destination", "127.0.0.1:7")
    assert unfit["closed"]["message"] == "unexpected protocols in matched Route"


@pytest.mark.parametrize(
    ("asked", "mistakes"),
    [
        ({"protocol": "tcp"}, ["listener_port: expected, for routes go by it (or destination)"]),
        (
            {"url": "tcp://db.example:9000", "sni": "a.example", "method": "GET", "headers": {}, "verb": 1},
            [
                "verb: unknown field",
                "method: streams have none",
                "headers: streams have none",
                "url: tcp carries no name; expected an address, not db.example",
                "sni: there is none without TLS, and this is tcp",
            ],
        ),
        (
            {"url": "tls://a.example", "protocol": "udp", "client_ip": "x"},
            [
                "client_ip: expected an address",
                "url: begins with tls://, and protocol is udp",
                "url: expected tls://HOST:PORT, with the port of the listener",
            ],
        ),
        (
            {
                "protocol": "quic",
                "url": "http://a.example/",
                "source": "10.0.0.1:99999",
                "destination": "[::1]:1",
                "listener_ip": "::1",
                "listener_port": 70000,
            },
            [
                "listener_port: expected a port",
                "source: expected an address and a port, as in 10.0.0.1:9000 or [::1]:9000",
                "destination: not beside listener_ip",
                "protocol: expected tcp, tls, tls_passthrough or udp, not quic",
                "url: expected to begin with tcp:// beside protocol",
            ],
        ),
        ({"protocol": 5, "destination": "nowhere"}, None),
    ],
)
def test_everything_that_is_wrong_is_told(asked: dict[str, Any], mistakes: list[str] | None) -> None:
    with pytest.raises(BadQuestionError) as refused:
        core_question(asked)
    expected = mistakes or [
        "protocol: expected a text",
        "destination: expected an address and a port, as in 10.0.0.1:9000 or [::1]:9000",
    ]
    assert list(refused.value.mistakes) == expected


def test_the_ends_of_a_request_are_read_in_the_same_way() -> None:
    asked = orjson.loads(core_question({"url": "http://a.example/", "source": "[::1]:9", "destination": "10.0.0.1:80"}))
    assert (asked["client_ip"], asked["client_port"]) == ("::1", 9)
    assert (asked["listener_ip"], asked["listener_port"]) == ("10.0.0.1", 80)


def test_a_mistake_ends_the_program_with_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--protocol", "tcp", "--source", "here", "-X", "GET", "--file", "none.yml"]) == 1
    said = capsys.readouterr().err
    for mistake in ("source: expected", "method: streams have none", "listener_port: expected"):
        assert mistake in said
