"""Expressions and bodies that are made to cost: what is looked into takes time linear in its length."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.hardness.cost import memory
from tests.hardness.frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, FrameWire, block, frame, request
from tests.hardness.gateway import Gateway, declared, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import Answer, ask

from twinplane import _dataplane  # noqa: TID251 - the core says what it refuses

LONG = 64 * 1024
# Processor seconds that one request may cost, the client's own included. Backtracking takes minutes to centuries; even
# time that grows with the square of the text would be many seconds.
COST_MAX_S = 1.0
# As they were published, for engines that backtrack; and of what their worst text is made.
SLOW_ELSEWHERE: dict[str, tuple[str, str]] = {
    "nested repetition": (r"^(a+)+$", "a"),
    "nested star": (r"^([a-zA-Z]+)*$", "a"),
    "alternatives that overlap": (r"^(a|aa)+$", "a"),
    "an optional one repeated": (r"^(a|a?)+$", "a"),
    "any, counted": (r"^(.*a){12}$", "a"),
    "words with optional space": (r"^(?:\w+\s?)*$", "a"),
    "a Java class name": (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a"),
    "an address of mail": (r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}$", "a"),
    "digits before the end": (r"^\d*[0-9](|.\d*[0-9]|)*$", "0"),
    "a date or a number": (r"^(\d+|\d+\.\d*)+:$", "1"),
    "two repetitions beside each other": (r"^\w*\w*\w*\w*=$", "a"),
    "any before a letter": (r".*.*=.*", "a"),
    "trailing space": (r"[\s,]+$", " "),
    "a chain of any": (r"x*.*.*.*.*z$", "x"),
}
TOO_LARGE = ["(((a{1,100}){1,100}){1,100}){1,100}", r"(?:\w{1000}){1000}", "a{10000000}"]


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """Each expression where a client's text meets it: in a path, in a header, in a plugin."""
    routes: list[dict[str, Any]] = [{"name": "last", "paths": ["/sentinel-"], "strip_path": False}]
    end = {"name": "request-termination", "config": {"status_code": 200}}
    for number, (pattern, _) in enumerate(SLOW_ELSEWHERE.values()):
        path = f"~/path-{number}/{pattern.removeprefix('^')}"
        header = {"paths": [f"/header-{number}"], "headers": {"x-text": [f"~*{pattern}"]}}
        bot = {"name": "bot-detection", "config": {"deny": [pattern], "allow": [pattern + "b"]}}
        origin = {"name": "cors", "config": {"origins": [pattern, "https://b.example"]}}
        routes += [
            {"name": f"path-{number}", "paths": [path], "plugins": [end]},
            {"name": f"header-{number}", "plugins": [end], **header},
            {"name": f"bot-{number}", "paths": [f"/bot-{number}"], "plugins": [bot, end]},
            {"name": f"origin-{number}", "paths": [f"/origin-{number}"], "plugins": [origin, end]},
        ]
    change = {"remove": {"json": ["a"]}, "add": {"json": ["b:1"]}}
    routes += [
        {
            "name": "up",
            "paths": ["/up"],
            "plugins": [{"name": "request-transformer", "config": {"remove": {"body": ["a"]}}}],
        },
        {"name": "down", "paths": ["/down"], "plugins": [{"name": "response-transformer", "config": change}]},
        {"name": "key", "paths": ["/key"], "plugins": [{"name": "key-auth", "config": {"key_in_body": True}}]},
    ]
    return {
        "services": [{"name": "all", "url": f"http://127.0.0.1:{upstream.port}", "routes": routes}],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    limits = {"line_bytes_max": 2 * LONG, "head_bytes_max": 4 * LONG, "h2_header_list_bytes_max": 4 * LONG}
    with serving(upstream, config(upstream), limits=limits) as found:
        yield found


def cost(gateway: Gateway, data: bytes) -> tuple[float, Answer]:
    """Processor seconds of this process, the core among it, for a request; and what came of it."""
    began = time.process_time()
    answer = ask(gateway.port, data)
    return time.process_time() - began, answer


@pytest.mark.parametrize("name", SLOW_ELSEWHERE)
def test_an_expression_takes_time_linear_in_the_text(gateway: Gateway, name: str) -> None:
    number = list(SLOW_ELSEWHERE).index(name)
    letter = SLOW_ELSEWHERE[name][1]
    text = letter * LONG + "!"
    target = (letter.replace(" ", "%20") * (LONG if letter != " " else LONG // 3)) + "!"
    for data in (
        f"GET /path-{number}/{target} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /header-{number} HTTP/1.1\r\nHost: a\r\nX-Text: !{text}\r\n\r\n",
        f"GET /bot-{number} HTTP/1.1\r\nHost: a\r\nUser-Agent: !{text}\r\n\r\n",
        f"GET /origin-{number} HTTP/1.1\r\nHost: a\r\nOrigin: !{text}\r\n\r\n",
    ):
        seconds, answer = cost(gateway, data.encode())
        # Whether it matches is another matter; it was looked at, not refused for its length.
        assert answer.status in {200, 403, 404}, data[:40]
        assert seconds <= COST_MAX_S, data[:40]


@pytest.mark.parametrize("pattern", TOO_LARGE)
def test_an_expression_that_grows_too_large_is_refused_or_stands_for_a_refusal(
    gateway: Gateway, upstream: RecordingUpstream, pattern: str
) -> None:
    began = time.process_time()
    wrong = config(upstream)
    wrong["services"][0]["routes"].append({"name": "large", "paths": [f"~/{pattern}"]})
    with pytest.raises(_dataplane.ApplyError, match="cannot be used"):
        gateway.core.apply(declared(wrong))
    guarded = {
        "name": "large",
        "paths": ["/large"],
        "plugins": [{"name": "bot-detection", "config": {"deny": [pattern]}}],
    }
    with serving(upstream, {"services": [{"name": "a", "url": "http://127.0.0.1:1", "routes": [guarded]}]}) as other:
        assert ask(other.port, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").status == 503
    assert time.process_time() - began <= 10 * COST_MAX_S


@pytest.mark.parametrize(
    ("pattern", "path", "other"),
    [
        (r"/users/\w{1,64}$", "/users/anna_9", "/users/" + "a" * 65),
        (r"/users/[\w.-]{3,255}$", "/users/a.b-c", "/users/ab"),
        (r"/orders/\d{1,20}/lines/\S{1,100}$", "/orders/7/lines/x", "/orders/x/lines/x"),
        (
            r"/(?i)files/\w{8}-\w{4}-\w{4}-\w{4}-\w{12}$",
            "/FILES/5b1b0f9e-97a8-4c1b-8d4b-6a1b8f0c2d11",
            "/files/5b1b0f9e",
        ),
    ],
)
def test_an_expression_that_counts_letters_is_an_ordinary_one(
    upstream: RecordingUpstream, pattern: str, path: str, other: str
) -> None:
    end = {"name": "request-termination", "config": {"status_code": 200}}
    routes = [{"name": "counted", "paths": [f"~{pattern}"], "plugins": [end]}]
    with serving(upstream, {"services": [{"url": "http://127.0.0.1:1", "routes": routes}]}) as gateway:
        assert ask(gateway.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 200
        assert ask(gateway.port, f"GET {other} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 404


def posted(target: str, body: bytes, kind: str = "application/json") -> bytes:
    """A request with a body."""
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


DEPTH = 200_000
BODIES: dict[str, tuple[bytes, str]] = {
    "deep arrays": (b"[" * DEPTH + b"]" * DEPTH, "application/json"),
    "deep objects": (b'{"a":' * DEPTH + b"1" + b"}" * DEPTH, "application/json"),
    "deep, never closed": (b'{"a":[' * DEPTH, "application/json"),
    "a member again and again": (b"{" + b'"a":1,' * 150_000 + b'"b":2}', "application/json"),
    "many members": (json.dumps({f"m{number}": number for number in range(60_000)}).encode(), "application/json"),
    "a number beyond numbers": (b'{"b":1e999999999}', "application/json"),
    "a number of many digits": (b'{"b":' + b"9" * 500_000 + b"}", "application/json"),
    "a text of escapes": (b'{"b":"' + rb"\u0000" * 100_000 + b'"}', "application/json"),
    "surrogates alone": (rb'{"b":"\ud800"}', "application/json"),
    "many arguments": (b"&".join(b"a%d=1" % number for number in range(60_000)), "application/x-www-form-urlencoded"),
    "an argument again and again": (b"&".join([b"a=1"] * 100_000), "application/x-www-form-urlencoded"),
    "many parts": (
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 15_000 + b"--X--\r\n",
        "multipart/form-data; boundary=X",
    ),
    "parts without end": (b"--X\r\n" * 150_000, "multipart/form-data; boundary=X"),
    "a boundary of one letter": (b"-" * 800_000, "multipart/form-data; boundary=-"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_looked_into_costs_no_more_than_its_size(gateway: Gateway, name: str) -> None:
    body, kind = BODIES[name]
    gateway.forget()
    before = memory()
    for target, statuses in (("/up", {200}), ("/key", {401})):
        seconds, answer = cost(gateway, posted(target, body, kind))
        assert answer.status in statuses
        # A million bytes may take some tenths of a second.
        assert seconds <= 5 * COST_MAX_S
    assert memory() - before <= 256 * 1024 * 1024
    (forwarded,) = gateway.settled()
    if name.startswith("deep"):
        # What nobody can read is not changed.
        assert forwarded.content == body
    assert ask(gateway.port, posted("/up", b'{"a":1,"b":2}')).status == 200
    assert [each.content for each in gateway.settled()] == [b'{"b":2}']


@pytest.mark.parametrize("name", [name for name, (_, kind) in BODIES.items() if kind.endswith("json")])
def test_an_answer_that_is_looked_into_costs_no_more_than_its_size(
    gateway: Gateway, upstream: RecordingUpstream, name: str
) -> None:
    body, kind = BODIES[name]
    upstream.reply(
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind.encode(), len(body), body)
    )
    seconds, answer = cost(gateway, b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == 200
    assert answer.is_whole
    assert seconds <= 5 * COST_MAX_S
    if name.startswith("deep"):
        assert answer.body == body


def test_a_query_of_many_arguments_costs_no_more_than_its_size(gateway: Gateway) -> None:
    """Log entries hold each argument by its name."""
    query = "&".join(f"{number:x}" for number in range(12_000))
    gateway.forget()
    asked = [cost(gateway, f"GET /bot-0?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) for _ in range(5)]
    assert [answer.status for _, answer in asked] == [200] * 5
    assert sum(seconds for seconds, _ in asked) <= COST_MAX_S
    gateway.settled()
    entry, *_ = gateway.log_entries(6)
    assert len(entry["request"]["querystring"]) == 12_000
    head = block(request(path=f"/bot-0?{query}".encode()))
    first, *more = [head[at : at + 16_000] for at in range(0, len(head), 16_000)]
    pieces = [(HEADERS, END_STREAM, first), *((CONTINUATION, 0, piece) for piece in more)]
    kind, flags, piece = pieces.pop()
    with FrameWire(gateway.h2_port) as wire:
        began = time.process_time()
        wire.send(
            b"".join(frame(*each[:2], 1, each[2]) for each in pieces) + frame(kind, flags | END_HEADERS, 1, piece)
        )
        assert wire.reply(1).status == 200
        assert time.process_time() - began <= COST_MAX_S
