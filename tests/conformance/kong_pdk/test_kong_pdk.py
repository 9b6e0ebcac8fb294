"""Plugins that are written for Kong's Python PDK, run as they are: from a directory, and by entry point."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.cli.plugin.folder import PluginFolder
from twinplane.pdk.kong import CALLS
from twinplane.registry import PluginsUnusable, disable_plugins, enable_plugins, find_plugins, plugin_type
from twinplane.testing import Gateway, GatewayRefused, gateway

PLUGINS = Path(__file__).parent / "plugins"
PAGE = Path(__file__).resolve().parents[3] / "docs/guides/kong-python-plugins.md"
CALLS_TOTAL = "twinplane_python_plugin_calls_total"


def document(*plugins: dict[str, Any]) -> dict[str, Any]:
    return {
        "_format_version": "3.0",
        "consumers": [{"username": "bob", "custom_id": "b-1"}],
        "services": [{"name": "s", "url": "http://<upstream>", "routes": [{"name": "r", "paths": ["/"]}]}],
        "plugins": list(plugins),
    }


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    config = {"blocked": ["curl/1"], "secret": "{vault://env/said}"}
    told = document({"name": "tell-and-guard", "config": config})
    with gateway(told, plugins=find_plugins(["tell-and-guard"], PLUGINS), environ={"SAID": "s3cret"}) as running:
        yield running


def test_a_header_of_the_response_is_set_before_the_upstream_is_asked(gw: Gateway) -> None:
    answer = gw.get("/any", Host="books.example")
    assert (answer.status, answer.header("x-hello-from-python")) == (200, "Python says hello to books.example")


def test_exit_ends_the_phase_and_answers(gw: Gateway) -> None:
    before = len(gw.upstream.arrivals)
    refused = gw.get("/any", User_Agent="curl/1")
    assert (refused.status, refused.json(), refused.header("X-Blocked")) == (403, {"message": "blocked"}, "yes")
    assert len(gw.upstream.arrivals) == before


def test_the_request_is_told_of_in_their_words(gw: Gateway) -> None:
    told = gw.get("/facts?a=1&a=2&b", X_One="1", Host="Books.example:81").json()
    assert told == {
        "get_scheme": "http",
        "get_host": "Books.example",
        "get_port": gw.port,
        "get_method": "GET",
        "get_raw_path": "/facts",
        "get_path_with_query": "/facts?a=1&a=2&b",
        "get_raw_query": "a=1&a=2&b",
        "get_query": {"a": ["1", "2"], "b": True},
        "get_http_version": 1.1,
        "get_forwarded_scheme": "http",
        "get_forwarded_host": "Books.example",
        "get_uri_captures": {"named": {}, "unnamed": []},
        "arg": "1",
        "var": ["GET", "1", "1", str(gw.port)],
        "ip": ["127.0.0.1", "127.0.0.1", False],
        "route": "r",
        "service": "127.0.0.1",
        "node": 36,
        "secret": "s3cret",
        "limits": {"bytes": 10},
        "headers": "1",
        "vault": [None, True],
    }


def test_what_goes_upstream_is_changed(gw: Gateway) -> None:
    told = gw.post("/change?z=1", '{"a": "b"}', Content_Type="application/json", X_Gone="1").json()
    assert (told["method"], told["target"], told["body"]) == ("PUT", "/change?a=x+y&b=1&b=2&c", '{"A": "B"}')
    assert "X-Gone" not in told["headers"]
    assert [value for name, value in gw.upstream.arrivals[-1].headers if name == "X-Many"] == ["1", "2"]


def test_a_consumer_is_loaded_and_recognised(gw: Gateway) -> None:
    told = gw.get("/who").json()["headers"]
    assert (told["X-Consumer-Username"], told["X-Credential-Identifier"]) == ("bob", "shown")


def test_a_call_that_is_not_there_costs_its_request_and_is_named(gw: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    before = gw.metric(CALLS_TOTAL, result="failed")
    assert gw.get("/late").status == 500
    eventually(lambda: "kong.cluster is not supported by this gateway" in caplog.text)
    assert gw.get("/wrong-phase").status == 500
    eventually(lambda: "kong.response.get_raw_body cannot be called in access phase (only in: response" in caplog.text)
    assert gw.get("/any").status == 200
    assert gw.metric(CALLS_TOTAL, result="failed") == before + 2


def test_the_log_phase_is_called_with_what_is_logged(gw: Gateway) -> None:
    gw.get("/logged?x=1", User_Agent="tests")
    lines = sys.modules["twinplane_plugins_tell_and_guard"].lines
    eventually(lambda: ("/logged", 200, "tests", "GET") in lines)


def test_the_whole_response_is_seen_and_errors_are_raised_where_that_is_set() -> None:
    plugins = find_plugins(["rewrite-answers"], PLUGINS, lua_style=False)
    with gateway(document({"name": "rewrite-answers", "config": {"suffix": "!!"}}), plugins=plugins) as running:
        running.upstream.reply = lambda arrival: (200, {"X-Secret": "1"}, b"body")
        changed = running.get("/")
        assert (changed.status, changed.body, changed.header("X-Length")) == (201, b"body!!", "4")
        assert (changed.header("X-Secret"), changed.header("X-Shared")) == (None, "yes")
        assert "one line" in (running.upstream.arrivals[-1].header("X-Refused") or "")
        running.upstream.reply = lambda arrival: (404, {}, b"")
        assert (running.get("/").status, running.get("/").body) == (410, b"gone!!")
        running.upstream.reply = lambda arrival: (200, {"Content-Type": "application/json"}, b'{"n":1}')
        assert running.get("/json").json() == {"n": 2}


def test_the_schema_is_served_and_obeyed() -> None:
    plugins = find_plugins(["tell-and-guard"], PLUGINS)
    enable_plugins(plugins)
    try:
        served = plugin_type("tell-and-guard").kong_schema()
    finally:
        disable_plugins(plugins)
    (config,) = [each["config"] for each in served["fields"] if "config" in each]
    fields = {name: facts for each in config["fields"] for name, facts in each.items()}
    assert fields["message"]["default"] == "hello"
    assert fields["blocked"]["elements"]["type"] == "string"
    assert fields["secret"]["referenceable"] is True
    (limit,) = fields["limits"]["fields"]
    assert limit["bytes"]["between"] == [1, 100]
    for config, said in [
        ({"limits": {"bytes": 1000}}, "between 1 and 100"),
        ({"blocked": "one"}, "expected an array"),
        ({"message": "unusable"}, "that message cannot be said"),
    ]:
        told = document({"name": "tell-and-guard", "config": config})
        with pytest.raises(GatewayRefused, match=said):
            gateway(told, plugins=plugins).__enter__()


def test_an_entry_point_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site"
    (package / "other_teller-1.dist-info").mkdir(parents=True)
    (package / "other_teller.py").write_text((PLUGINS / "tell-and-guard.py").read_text(encoding="utf-8"))
    (package / "other_teller-1.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: other_teller\nVersion: 1\n"
    )
    (package / "other_teller-1.dist-info/entry_points.txt").write_text(
        "[twinplane.plugins]\nother-teller = other_teller:Plugin\nanother = other_teller\n"
    )
    monkeypatch.syspath_prepend(package)
    importlib.invalidate_caches()
    for name in ("other-teller", "another"):
        (found,) = find_plugins([name])
        assert (found.name, found.version, found.priority) == (name, "1.2.0", 700)
        with gateway([{"paths": ["/"]}], plugins=[found]) as running:
            assert running.get("/").header("x-hello-from-python")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def x(:\n", r"SyntaxError: .*broken\.py, line 1\)"),
        ("raise SystemExit(7)\n", "SystemExit: it ended with 7 while it was imported"),
        ("import not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("x = 1\n", "has neither a class derived from twinplane.pdk.Plugin"),
        ("class Plugin:\n    def certificate(self, kong): pass\n", "the phase certificate is not one"),
        ("class Plugin:\n    pass\n", "defines no phase"),
        (
            "Schema = ({'a': {'type': 'odd'}},)\nclass Plugin:\n    def log(self, kong): pass\n",
            "there is no type 'odd'",
        ),
        (
            "Schema = ({'a': {'type': 'string', 'custom_validator': 1}},)\nclass Plugin:\n    def log(self, k): pass\n",
            "Schema.a: custom_validator cannot be declared here",
        ),
    ],
)
def test_what_cannot_be_a_plugin_is_told_of_with_its_place(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "broken.py").write_text(code)
    with pytest.raises(PluginsUnusable, match=said):
        find_plugins(["broken", "tell-and-guard"], tmp_path)


def test_the_page_tells_of_each_call_and_of_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## The calls")[2]
    rows = re.findall(r"^\| `(kong[.a-z]+)` \| (.*) \|$", page, re.MULTILINE)
    assert {f"{space}.{word}" for space, words in rows for word in re.findall(r"`(\w+)`", words)} == set(CALLS)


def test_a_process_says_what_it_cannot_load(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def x(:\n")
    lines = ["role = traditional", "declarative_config_string = {}", "plugins = bundled,broken"]
    lines += [f"{name} = {tmp_path}" for name in ("prefix", "python_plugin_directory")]
    (tmp_path / "kong.conf").write_text("\n".join(lines))
    command = [sys.executable, "-m", "twinplane", "config", "check", "--conf", str(tmp_path / "kong.conf")]
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[2] / "python")}
    checked = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert checked.returncode != 0
    said = f"cannot be loaded: SyntaxError: invalid syntax ({tmp_path}/broken.py, line 1)"
    assert said in checked.stderr


def test_the_folder_that_it_is_written_in_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder_teller.py").write_text((PLUGINS / "tell-and-guard.py").read_text(encoding="utf-8"))
    (tmp_path / "pyproject.toml").write_text(
        '[project.entry-points."twinplane.plugins"]\nfolder-teller = "folder_teller"\n'
    )
    before = list(sys.path)
    try:
        folder = PluginFolder(tmp_path)
        with gateway([{"paths": ["/"]}], plugins=folder.load()) as running:
            assert running.get("/").header("x-hello-from-python").startswith("Python says hello")
            code = tmp_path / "folder_teller.py"
            code.write_text(code.read_text().replace("Python says", "Python now says"))
            assert running.reload(*folder.load())
            assert running.get("/").header("x-hello-from-python").startswith("Python now says hello")
    finally:
        sys.path[:] = before
        sys.modules.pop("folder_teller", None)


def test_a_plugin_of_this_gateway_may_lie_in_the_directory(tmp_path: Path) -> None:
    folder = tmp_path / "own-kind"
    folder.mkdir()
    (folder / "said.py").write_text('TEXT = "from a folder"\n')
    (folder / "__init__.py").write_text(
        "from twinplane.pdk import Plugin\nfrom .said import TEXT\n\n\nclass OwnKind(Plugin):\n"
        '    """Answers."""\n    name = "own-kind"\n\n'
        "    def access(self, request, ctx, config):\n        return ctx.exit(200, TEXT)\n"
    )
    with gateway([{"paths": ["/"]}], plugins=find_plugins(["own-kind"], tmp_path)) as running:
        assert running.get("/").body == b"from a folder"
