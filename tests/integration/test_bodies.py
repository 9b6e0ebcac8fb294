"""Bodies on their way: what is held back, what passes at once, what is said before and behind them. Byte by byte."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.raw_peer import WAIT_S, RawUpstream, Wire, connected, listening

LISTEN = "127.0.0.1:0 http2, 127.0.0.1:0 http2 ssl"
HELD_BYTES = 131_072
KEY = "the-key-of-alice"


@dataclass
class Gateway:
    """A node before an upstream that a test speaks for."""

    node: RunningNode
    upstream: RawUpstream

    def entry(self, fields: dict[str, str]) -> Any:
        """The log entry of the request that was answered with these fields."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            for entry in self.node.log_entries(1):
                if entry["request"]["id"] == fields["x-kong-request-id"]:
                    return entry
        raise AssertionError("it was never logged")


def declared(port: int) -> dict[str, Any]:
    def entry(name: str, plugins: list[Any] | None = None, **route: Any) -> Any:
        log = {"name": "file-log", "config": {"path": "/dev/null"}}
        route |= {"name": name, "hosts": [f"{name}.example"], "plugins": [log, *(plugins or [])]}
        return {"name": name, "url": f"http://127.0.0.1:{port}", "routes": [route]}

    return {
        "_format_version": "3.0",
        "services": [
            entry("held"),
            entry("streamed", request_buffering=False, response_buffering=False),
            entry("guarded", [{"name": "key-auth"}]),
        ],
        "consumers": [{"username": "alice", "keyauth_credentials": [{"key": KEY}]}],
    }


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with listening() as upstream, running({"proxy_listen": LISTEN}, declared(upstream.port)) as node:
        yield Gateway(node, upstream)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Wire]:
    with connected(gateway.node.port) as wire:
        yield wire


def post(host: str, *fields: str, method: str = "POST") -> bytes:
    lines = [f"{method} /x HTTP/1.1", f"Host: {host}.example", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


# --- the request's body ---


def test_a_body_is_held_back_until_it_is_whole(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
    with connected(gateway.node.port) as other:
        # Nothing was sent upstream meanwhile: the next connection there is that of another request.
        other.send(post("held", "X-Is: other", method="GET"))
        upstream = gateway.upstream.accept()
        assert upstream.head()[1]["x-is"] == "other"
        upstream.send(OK)
        assert other.head()[0] == "HTTP/1.1 200 OK"
    client.send(b"3\r\ndef\r\n0\r\n\r\n")
    upstream = gateway.upstream.accept()
    _, fields = upstream.head()
    assert fields["content-length"] == "6"
    assert "transfer-encoding" not in fields
    assert upstream.exactly(6) == b"abcdef"
    upstream.send(OK)
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_no_more_than_a_bound_is_held_back(gateway: Gateway, client: Wire) -> None:
    size = HELD_BYTES + 100_000
    client.send(post("held", f"Content-Length: {size + 1}") + b"x" * size)
    upstream = gateway.upstream.accept()
    assert upstream.head()[1]["content-length"] == str(size + 1)
    assert upstream.exactly(size) == b"x" * size
    client.send(b"y")
    assert upstream.exactly(1) == b"y"
    upstream.send(OK)
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_a_body_passes_at_once_where_the_route_says_so(gateway: Gateway, client: Wire) -> None:
    client.send(post("streamed", "Transfer-Encoding: chunked"))
    upstream = gateway.upstream.accept()
    assert upstream.head()[1]["transfer-encoding"] == "chunked"
    for piece in (b"3\r\nabc\r\n", b"4\r\ndefg\r\n"):
        client.send(piece)
        assert upstream.exactly(len(piece)) == piece
    client.send(b"0\r\n\r\n")
    assert upstream.until(b"0\r\n\r\n") == b"0\r\n\r\n"
    upstream.send(OK)
    first, fields = client.head()
    assert first == "HTTP/1.1 200 OK"
    entry = gateway.entry(fields)
    assert entry["response"]["status"] == 200


def test_an_upstream_may_answer_before_the_body_has_ended(gateway: Gateway, client: Wire) -> None:
    client.send(post("streamed", "Content-Length: 1000000") + b"x" * 1000)
    upstream = gateway.upstream.accept()
    upstream.head()
    upstream.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nenuf")
    first, fields = client.head()
    assert first == "HTTP/1.1 413 Too Much"
    assert fields["content-length"] == "4"
    assert client.exactly(4) == b"enuf"
    entry = gateway.entry(fields)
    assert (entry["response"]["status"], entry["upstream_status"]) == (413, "413")


# --- 100 Continue and other interim answers ---


@pytest.mark.parametrize("host", ["held", "streamed"])
def test_a_client_that_waits_is_told_to_go_on(gateway: Gateway, client: Wire, host: str) -> None:
    client.send(post(host, "Content-Length: 3", "Expect: 100-continue"))
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    upstream = gateway.upstream.accept()
    first, fields = upstream.head()
    # The gateway has said so: the upstream is not asked again, and its own word for it is not repeated.
    assert "expect" not in fields
    assert upstream.exactly(3) == b"abc"
    upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert (first, client.head()[0]) == ("POST /x HTTP/1.1", "HTTP/1.1 200 OK")


def test_a_client_that_is_refused_is_not_told_to_go_on(gateway: Gateway, client: Wire) -> None:
    client.send(post("guarded", "Content-Length: 3", "Expect: 100-continue"))
    first, fields = client.head()
    assert first == "HTTP/1.1 401 Unauthorized"
    assert fields["connection"] == "close"
    entry = gateway.entry(fields)
    assert entry["tries"] == []
    with connected(gateway.node.port) as let_in:
        let_in.send(post("guarded", "Content-Length: 3", "Expect: 100-continue", f"apikey: {KEY}"))
        assert let_in.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        let_in.send(b"abc")
        upstream = gateway.upstream.accept()
        assert upstream.head()[1]["x-consumer-username"] == "alice"
        upstream.send(OK)
        assert let_in.head()[0] == "HTTP/1.1 200 OK"


def test_hints_pass_before_the_answer(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", method="GET"))
    upstream = gateway.upstream.accept()
    upstream.head()
    upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    first, fields = client.head()
    assert first == "HTTP/1.1 103 Early Hints"
    assert fields["link"] == "</style.css>; rel=preload"
    upstream.send(OK)
    assert client.head()[0] == "HTTP/1.1 200 OK"


# --- the response's body ---


@pytest.mark.parametrize("host", ["held", "streamed"])
def test_events_pass_as_they_come(gateway: Gateway, client: Wire, host: str) -> None:
    client.send(post(host, "Accept: text/event-stream", method="GET"))
    upstream = gateway.upstream.accept()
    upstream.head()
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    upstream.send(head)
    _, fields = client.head()
    assert fields["content-type"] == "text/event-stream"
    assert fields["transfer-encoding"] == "chunked"
    for number in range(3):
        event = f"data: {number}\n\n".encode()
        upstream.send(b"%x\r\n%s\r\n" % (len(event), event))
        assert client.until(b"\n\n\r\n") == b"%x\r\n%s\r\n" % (len(event), event)
    upstream.send(b"0\r\n\r\n")
    assert client.until(b"0\r\n\r\n") == b"0\r\n\r\n"
    entry = gateway.entry(fields)
    assert entry["response"]["status"] == 200


def test_half_of_a_chunks_size_holds_nothing_up(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", method="GET"))
    upstream = gateway.upstream.accept()
    upstream.head()
    # In one piece: what is whole goes on, and the worker, the only one, goes on to serve others.
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n1")
    client.head()
    assert client.until(b"abc\r\n") == b"3\r\nabc\r\n"
    with connected(gateway.node.port) as other:
        other.send(post("guarded", method="GET"))
        assert other.head()[0] == "HTTP/1.1 401 Unauthorized"
    upstream.send(b"0\r\n0123456789abcdef\r\n0\r\n\r\n")
    assert client.until(b"0\r\n\r\n") == b"10\r\n0123456789abcdef\r\n0\r\n\r\n"


def test_a_body_that_breaks_off_is_not_delivered_as_whole(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", method="GET"))
    upstream = gateway.upstream.accept()
    upstream.head()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.head()
    assert client.until(b"abc\r\n") == b"3\r\nabc\r\n"
    upstream.close()
    assert client.rest() == b""


# --- trailers ---

TRAILED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-Sum: 42\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\n\r\n"
)


def test_trailers_reach_a_client_that_asks_for_them(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", "TE: trailers", "Connection: TE", method="GET"))
    upstream = gateway.upstream.accept()
    assert upstream.head()[1]["te"] == "trailers"
    upstream.send(TRAILED)
    _, fields = client.head()
    assert fields["trailer"] == "X-Sum"
    assert client.until(b"\r\n\r\n") == b"3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n"
    client.send(post("held", method="GET"))
    upstream = gateway.upstream.accept()
    assert "te" not in upstream.head()[1]
    upstream.send(TRAILED)
    _, fields = client.head()
    assert "trailer" not in fields
    assert client.until(b"\r\n\r\n") == b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("host", ["held", "streamed"])
def test_trailers_of_a_request_reach_the_upstream(gateway: Gateway, client: Wire, host: str) -> None:
    client.send(post(host, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
    client.send(b"0\r\nX-Sum: 42\r\nX_Consumer-Username: eve\r\nHost: other\r\nTransfer-Encoding: gzip\r\n\r\n")
    upstream = gateway.upstream.accept()
    assert upstream.head()[1]["transfer-encoding"] == "chunked"
    assert upstream.until(b"\r\n\r\n") == b"3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n"
    upstream.send(OK)
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_trailers_pass_between_http_2_and_http_1(gateway: Gateway, client: Wire) -> None:
    with_h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    with_h2.initiate_connection()
    head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "held.example"),
        (":path", "/x"),
        ("te", "trailers"),
    ]
    with_h2.send_headers(1, head)
    with_h2.send_data(1, b"abc")
    with_h2.send_headers(1, [("x-sum", "42"), ("x-consumer-id", "eve")], end_stream=True)
    client.send(with_h2.data_to_send())
    upstream = gateway.upstream.accept()
    _, fields = upstream.head()
    assert (fields["transfer-encoding"], fields["te"]) == ("chunked", "trailers")
    assert upstream.until(b"\r\n\r\n") == b"3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n"
    upstream.send(TRAILED)
    seen: list[Any] = []
    while not any(isinstance(event, h2.events.StreamEnded) for event in seen):
        seen += with_h2.receive_data(client.exactly(1))
        client.send(with_h2.data_to_send())
    (trailers,) = [event.headers for event in seen if isinstance(event, h2.events.TrailersReceived)]
    assert trailers == [("x-sum", "42")]
    assert b"".join(event.data for event in seen if isinstance(event, h2.events.DataReceived)) == b"abc"


def test_both_versions_are_spoken_on_one_port_in_the_clear(gateway: Gateway, client: Wire) -> None:
    client.send(post("held", method="GET"))
    upstream = gateway.upstream.accept()
    upstream.head()
    upstream.send(OK)
    first, fields = client.head()
    assert first == "HTTP/1.1 200 OK"
    entry = gateway.entry(fields)
    assert entry["response"]["status"] == 200
