"""The transcript of raw answers beside the recordings: error pages by `Accept`, refusals, limits, CORS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from tests.conformance.proxy.recording import RECORDINGS, Binding

from twinplane import __version__

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.conformance.proxy.comparison import answer_differences
from tests.conformance.proxy.raw_client import exchange
from tests.conformance.proxy.replay import keep_clear_of_window_ends
from tests.conformance.proxy.running_node import running

TRANSCRIPT = RECORDINGS / "responses_kong_3.9.3.txt"
pytestmark = pytest.mark.skipif(not TRANSCRIPT.exists(), reason="the recordings are not at hand")

# What the title of an entry does not spell out.
REQUESTS = {
    "dup key": "GET /auth?apikey=k1&apikey=k1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n",
    "preflight": (
        "OPTIONS /auth HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nOrigin: https://b.com\r\n"
        "Access-Control-Request-Method: PUT\r\n\r\n"
    ),
    "40 kB header": f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nX-Big: {'x' * 40_000}\r\n\r\n",
    "TRACE": "TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n",
}
# The text of one depends on the resolver of the recording's machine; the other does not tell what was sent.
LEFT_OUT = {"GET /baddns", "grpc accept"}
_TITLE = re.compile(r"(?:GET )?(?P<target>/\S*)(?: (?P<name>Accept|Origin):? (?P<value>.*?))?(?: #\d)?")


def entries() -> list[tuple[str, str]]:
    """Title and raw answer of each entry."""
    _, *found = TRANSCRIPT.read_text(encoding="utf-8").split("\n### ")
    return [(title, answer) for title, _, answer in (entry.partition("\n") for entry in found)]


def request_of(title: str) -> str:
    """The request that an entry's title tells."""
    if title in REQUESTS:
        return REQUESTS[title]
    found = _TITLE.fullmatch(title)
    assert found is not None, title
    headers = {"Accept": "*/*"} | ({found["name"]: found["value"]} if found["name"] else {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {found['target']} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n"


def recorded(answer: str) -> Mapping[str, Any]:
    """An answer in the form of the recordings, what differs from run to run behind placeholders."""
    head, _, body = answer.partition("\n\n")
    status_line, *lines = head.split("\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "Date":
            value = "<date>"
        elif name.endswith("-Latency"):
            value = "<ms>"
        elif name in {"RateLimit-Reset", "Retry-After"}:
            value = "<s>"
        headers.append((name, re.sub(r"[0-9a-f]{32}", "<request-id>", value)))
    length = int(dict(headers).get("Content-Length", 0))
    text = body[:length]
    if text.startswith("<html>"):
        # The transcript lost the carriage returns of the server's own pages.
        text = body.rstrip("\n").replace("\n", "\r\n") + "\r\n"
    text = re.sub(r"[0-9a-f]{32}", "<request-id>", text)
    return {"status_line": status_line, "headers": headers, "framing": "length", "body": text}


def test_answers_are_those_of_the_transcript() -> None:
    config = yaml.safe_load(TRANSCRIPT.read_text(encoding="utf-8").split("\n### ")[0])
    binding = Binding({}, f"twinplane/{__version__}")
    differences = []
    keep_clear_of_window_ends(8)
    with running({}, config) as node:
        for title, answer in entries():
            if title in LEFT_OUT:
                continue
            actual = exchange({"text": request_of(title)}, node.port, context=None)
            differences += [f"{title}: {each}" for each in answer_differences(recorded(answer), actual, binding, "")]
    assert not differences, "\n".join(differences)
