"""http-log through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


CONFIG = """
_format_version: "3.0"
consumers:
  - {username: bob, keyauth_credentials: [{key: secret-1}]}
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
    plugins: [{name: key-auth, config: {hide_credentials: true}}]
plugins:
  - name: http-log
    config: {http_endpoint: "http://127.0.0.1:1/entries", custom_fields_by_lua: CUSTOM}
"""


def test_an_entry_tells_who_asked_what_and_no_secret() -> None:
    with gateway(CONFIG.replace("CUSTOM", "{added: \"return 'v'\", client_ip: return nil}")) as running:
        running.send(
            "GET /r/x?apikey=secret-1&a=1 HTTP/1.1\r\nHost: a.example:80\r\n"
            "Authorization: Bearer secret-2\r\nProxy-Authorization: Basic secret-3\r\n\r\n"
        )
        (entry,) = running.node.log_entries(1)
    assert "secret" not in str(entry)
    assert entry["request"]["uri"] == "/r/x?a=1"
    assert entry["request"]["url"].startswith("http://a.example:")
    assert entry["request"]["querystring"] == {"a": "1"}
    assert entry["request"]["headers"]["authorization"] == "REDACTED"
    assert (entry["consumer"]["username"], entry["route"]["name"], entry["service"]["name"]) == ("bob", "r", "s")
    assert (entry["response"]["status"], entry["source"], entry["upstream_uri"]) == (200, "upstream", "/x?a=1")
    assert entry["added"] == "v"
    assert "client_ip" not in entry


def test_refused_and_unmatched_requests_are_logged() -> None:
    with gateway(CONFIG.replace("CUSTOM", "{}")) as running:
        running.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")
        running.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        refused, unmatched = running.node.log_entries(2)
    assert (refused["response"]["status"], refused["source"], refused["tries"]) == (401, "kong", [])
    assert (unmatched["response"]["status"], unmatched["upstream_uri"]) == (404, "")
    assert "route" not in unmatched


def test_lua_that_the_node_cannot_run_leaves_the_plugin_out() -> None:
    with gateway(CONFIG.replace("CUSTOM", "{x: return kong.request.get_path()}")) as running:
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "http-log"
        assert running.send("GET /r?apikey=secret-1 HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        assert running.node.core.drain("logs") == b""
