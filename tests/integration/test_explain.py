"""`twinplane explain` on files and on a running node; the page that explains it runs here too."""

from __future__ import annotations

import http.client
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from tests.conformance.proxy.scripted_upstream import Upstreams

from twinplane.cli.program import main
from twinplane.node.explain import BadQuestionError, core_question
from twinplane.node.http import HttpAnswer
from twinplane.node.http_request import HttpRequest
from twinplane.node.lint import CODES
from twinplane.node.status import StatusApi, StatusFacts
from twinplane.registry import disable_plugins, find_plugins

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/explain.md").read_text()
CONSOLE = re.compile(r"^```console\n\$ twinplane ([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("command", "printed"), CONSOLE.findall(PAGE))
def test_the_page_shows_what_is_printed(
    command: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = re.findall(r"^`(\w+\.yml)`:\n\n```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(files) == 3
    for name, text in files:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    main(shlex.split(command))
    assert capsys.readouterr().out == printed


def test_the_page_lists_every_code() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert {code: text.replace("&#124;", "|") for code, text in rows.items()} == dict(CODES)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstreams]:
    opened = Upstreams(["one", "two"])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def node(upstreams: Upstreams) -> Iterator[RunningNode]:
    targets = [{"target": f"127.0.0.1:{port}"} for port in upstreams.ports.values()]
    table = {
        "_format_version": "3.0",
        "upstreams": [{"name": "pool", "targets": targets}],
        "consumers": [
            {
                "username": "alice",
                "keyauth_credentials": [{"key": "k"}],
                "plugins": [{"name": "request-termination", "config": {"status_code": 418}}],
            }
        ],
        "services": [
            {
                "name": "s",
                "url": "http://pool/base",
                "plugins": [{"name": "key-auth"}],
                "routes": [
                    {"name": "r", "paths": ["/r"]},
                    {"name": "h", "headers": {"x-team": ["red"]}, "paths": ["/r"]},
                ],
            }
        ],
        "plugins": [{"name": "correlation-id"}],
    }
    with running({}, table) as started:
        yield started


def explained(node: RunningNode, **asked: Any) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(node.core.explain(core_question(asked)))
    return told


def test_what_is_told_is_what_happens_and_nothing_is_counted_by_it(node: RunningNode, upstreams: Upstreams) -> None:
    upstreams.play([])
    told = [explained(node, url="http://a.test/r/x?y=1") for _ in range(3)]
    assert told[0] == told[1] == told[2]
    assert told[0]["upstream"]["uri"] == "http://pool:80/base/x?y=1"
    assert upstreams.arrivals() == []
    for _ in range(3):
        foreseen = explained(node, url="http://a.test/r/x?y=1")["upstream"]["target"]["picked"]["port"]
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
        connection.request("GET", "/r/x?y=1", headers={"Host": "a.test", "apikey": "k"})
        # The consumer's own plugin answers, so the turn is still the same.
        assert connection.getresponse().status == 418
        connection.close()
        assert explained(node, url="http://a.test/r/x?y=1")["upstream"]["target"]["picked"]["port"] == foreseen


def test_routes_and_plugins_with_scope_and_order(node: RunningNode) -> None:
    told = explained(node, url="http://a.test/r", headers={"X-Team": "blue"}, consumer="alice")
    assert told["route"]["name"] == "r"
    assert [(lost["name"], lost["lacks"]) for lost in told["considered"]] == [
        ("h", [{"part": "header", "detail": "x-team"}])
    ]
    assert [(plugin["name"], plugin["scope"]) for plugin in told["plugins"]] == [
        ("correlation-id", []),
        ("key-auth", ["service"]),
        ("request-termination", ["consumer"]),
    ]
    red = explained(node, url="http://a.test/r", headers={"X-Team": "RED"})
    assert (red["route"]["name"], [other["name"] for other in red["would_match"]]) == ("h", ["r"])
    lost = explained(node, url="http://a.test/else")
    assert (lost["route"], lost["answered"]["status"], lost["upstream"]) == (None, 404, None)
    assert [plugin["name"] for plugin in lost["plugins"]] == ["correlation-id"]


def test_a_recording_is_a_question() -> None:
    recorded = {
        "log": {
            "entries": [
                {
                    "request": {
                        "method": "POST",
                        "url": "https://a.test/x?y=1",
                        "httpVersion": "HTTP/2.0",
                        "headers": [{"name": ":authority", "value": "a.test"}, {"name": "X-A", "value": "1"}],
                        "headersSize": -1,
                        "bodySize": 0,
                    }
                }
            ]
        }
    }
    asked = orjson.loads(core_question(recorded))
    assert asked["method"] == "POST"
    assert (asked["host"], asked["sni"], asked["target"]) == ("a.test", "a.test", "/x?y=1")
    assert (asked["is_tls"], asked["is_http2"], asked["headers"]) == (True, True, [["X-A", "1"]])


def test_everything_that_is_wrong_with_a_question_is_told() -> None:
    with pytest.raises(BadQuestionError) as refused:
        core_question({"verb": "GET", "client_ip": "nowhere", "listener_port": 70000, "method": 5})
    assert set(refused.value.mistakes) == {
        "verb: unknown field",
        "client_ip: expected an address",
        "listener_port: expected a port",
        "method: expected a text",
    }


async def test_the_status_port_tells_only_where_it_is_let(node: RunningNode) -> None:
    async def ask(body: bytes, *, explains: bool) -> HttpAnswer:
        facts = StatusFacts("n", "v", node.core, lambda: "f" * 32, dict, explains=explains)
        return await StatusApi(facts).handle(HttpRequest("POST", "/explain", {}, {}, body))

    question = orjson.dumps({"url": "http://a.test/r"})
    assert (await ask(question, explains=False)).status == 403
    told = await ask(question, explains=True)
    assert (told.status, orjson.loads(told.body)["route"]["name"]) == (200, "r")
    assert (await ask(b"{", explains=True)).status == 400
    assert orjson.loads((await ask(b'{"a":1}', explains=True)).body)["mistakes"] == ["a: unknown field"]


def test_a_file_that_is_wrong_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kong.yml").write_text('{"_format_version": "3.0", "routes": [{"name": "r"}]}')
    assert main(["explain", "http://a.test/", "--file", str(tmp_path / "kong.yml")]) != 0
    assert "must set one of 'methods', 'hosts', 'headers', 'paths'" in capsys.readouterr().err


PLUGIN = """
from twinplane.pdk import Config, Plugin


class Watched(Plugin):
    \"\"\"Watches.\"\"\"

    name = "watched"
    priority = 50

    def prepare(self, config):
        raise ValueError("not with me")

    def access(self, request, ctx, config):
        raise AssertionError("nothing is run")

    def response(self, response, ctx, config):
        raise AssertionError("nothing is run")
"""
DOCUMENT = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:9
    routes: [{name: r, paths: [/orders], methods: [POST], headers: {x-team: [red]}}]
plugins: [{name: watched}, {name: standard-webhooks, config: {secret_v1: x}}]
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "watched.py").write_text(PLUGIN)
    (tmp_path / "kong.yml").write_text(DOCUMENT)
    (tmp_path / "kong.conf").write_text(f"plugins = bundled,watched\npython_plugin_directory = {tmp_path}\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    disable_plugins(find_plugins(["watched"], tmp_path))


def test_a_pasted_command_is_explained(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "curl -H 'X-Team: red' -d a=1 http://shop.example/orders"
    words = ["explain", "--file", "kong.yml", "--conf", "kong.conf"]
    assert main([*words, "--curl", command]) == 0
    told = capsys.readouterr().out
    assert "POST http://shop.example/orders" in told
    assert "watched  (global)  access, response" in told
    assert "standard-webhooks  (global)  access" in told
    monkeypatch.setattr("sys.stdin", io.StringIO(command.replace("red", "blue")))
    assert main([*words, "--curl", "-"]) == 3
    assert "lacks header" in capsys.readouterr().out
    # What is said beside it counts.
    assert main([*words, "--curl", command, "-X", "GET"]) == 3


def test_a_request_of_a_recording_is_picked(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team = [{"name": "X-Team", "value": "red"}, {"name": ":authority", "value": "x"}]
    entries = [
        {"request": {"url": "https://a.test/first", "method": "GET", "httpVersion": "HTTP/2", "headers": []}},
        {"request": {"url": "http://a.test/orders", "method": "POST", "httpVersion": "HTTP/2", "headers": team}},
    ]
    (written / "all.har").write_bytes(orjson.dumps({"log": {"entries": entries}}))
    words = ["explain", "--file", "kong.yml", "--conf", "kong.conf", "--request", "all.har"]
    assert main(words) == 3
    assert "GET https://a.test/first" in capsys.readouterr().out
    assert main([*words, "--entry", "2"]) == 0
    assert main([*words, "--entry", "3"]) == 1
    assert "there are 2 requests in it, and no number 3" in capsys.readouterr().err


def test_a_file_with_plugins_in_python_is_judged_as_a_node_does(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "parse", "kong.yml", "--conf", "kong.conf"]) == 1
    assert "not with me" in capsys.readouterr().err
    (written / "watched.py").write_text(PLUGIN.replace('raise ValueError("not with me")', "pass"))
    assert main(["config", "parse", "kong.yml", "--conf", "kong.conf"]) == 0
    assert main(["config", "lint", "kong.yml", "--conf", "kong.conf"]) == 0
