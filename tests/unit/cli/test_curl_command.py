"""Commands of curl as people paste them."""

from __future__ import annotations

from typing import Any

import pytest

from twinplane.cli.curl_command import read_curl
from twinplane.cli.errors import StartError

CHROME = r"""curl 'https://shop.example/orders?x=1&y=2' \
  -X 'POST' \
  -H 'accept: application/json' \
  -H $'x-quoted: it\'s \u00e4' \
  -b 'session=abc' \
  --data-raw '{"a":1}' \
  --compressed
"""


def asked(command: str) -> tuple[str, str, dict[str, str]]:
    found: dict[str, Any] = read_curl(command)
    return found["method"], found["url"], {each["name"]: each["value"] for each in found["headers"]}


@pytest.mark.parametrize(
    ("command", "method", "url"),
    [
        ("curl http://a.test/x", "GET", "http://a.test/x"),
        ("a.test/x", "GET", "http://a.test/x"),
        ("/usr/bin/curl -sSLk -o /dev/null a.test", "GET", "http://a.test"),
        ("curl -XDELETE https://a.test/1", "DELETE", "https://a.test/1"),
        ("curl -I a.test", "HEAD", "http://a.test"),
        ("curl -d a=1 a.test", "POST", "http://a.test"),
        ("curl -d a=1 -X PUT a.test", "PUT", "http://a.test"),
        ("curl -T file a.test", "PUT", "http://a.test"),
        ("curl -G -d a=1 --data-urlencode 'b=x y' 'a.test/?q=1'", "GET", "http://a.test/?q=1&a=1&b=x+y"),
        ("curl --resolve a.test:443:127.0.0.1 --connect-timeout 5 --url https://a.test", "GET", "https://a.test"),
        ("curl -- a.test", "GET", "http://a.test"),
    ],
)
def test_what_is_asked_for(command: str, method: str, url: str) -> None:
    assert asked(command)[:2] == (method, url)


def test_headers_are_those_that_would_be_sent() -> None:
    headers = asked(
        "curl -H 'X-A: 1' -H 'X-Empty;' -H 'Accept:' -A mine -e http://from.test -u bob:pw --json '{}' a.test"
    )[2]
    assert headers == {
        "X-A": "1",
        "X-Empty": "",
        "User-Agent": "mine",
        "Referer": "http://from.test",
        "Authorization": "Basic Ym9iOnB3",
        "Content-Type": "application/json",
    }
    assert asked("curl -b c=1 --oauth2-bearer t a.test")[2] == {
        "Cookie": "c=1",
        "Authorization": "Bearer t",
        "Accept": "*/*",
        "User-Agent": "curl",
    }


def test_what_a_browser_copies_is_read() -> None:
    method, url, headers = asked(CHROME)
    assert (method, url) == ("POST", "https://shop.example/orders?x=1&y=2")
    assert (headers["x-quoted"], headers["Cookie"], headers["accept"]) == ("it's ä", "session=abc", "application/json")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("curl", "expected one URL, found 0"),
        ("curl a.test b.test", "expected one URL, found 2"),
        ("curl 'a.test", "no command line"),
        ("curl a.test -H", "-H wants a word behind it"),
    ],
)
def test_what_is_no_request_is_told(command: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        read_curl(command)
