"""HTTP/2 to an upstream that a test speaks for, frame by frame: what it calls off, limits, resets, holds up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import orjson
import pytest

pytest.importorskip("grpc", reason="grpcio cannot be had here")

import grpc
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.grpc_peer import WAIT_S, Stub, awaited, calling, refusal

LISTEN = "127.0.0.1:0 http2, 127.0.0.1:0 http2 ssl"
STREAM_WINDOW_BYTES = 131_072
HEAD = [(":status", "200"), ("content-type", "application/grpc")]
DONE = [("grpc-status", "0")]


def message(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4, "big") + data


@dataclass
class Stream:
    """A call as the upstream sees it."""

    connection: Connection
    number: int
    head: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)
    reset: list[int] = field(default_factory=list)

    def answer(self, data: bytes = b"ok") -> None:
        """Answer with one message."""
        with self.connection.lock:
            self.connection.state.send_headers(self.number, HEAD)
            self.connection.state.send_data(self.number, message(data))
            self.connection.state.send_headers(self.number, DONE, end_stream=True)
            self.connection.flush()

    def refuse(self, code: ErrorCodes) -> None:
        """Reset it."""
        with self.connection.lock:
            self.connection.state.reset_stream(self.number, code)
            self.connection.flush()


class Connection:
    """One connection of the node."""

    def __init__(self, peer: socket.socket, upstream: Upstream) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.state = h2.connection.H2Connection(config)
        self.lock = threading.RLock()
        self.streams: dict[int, Stream] = {}
        self._peer, self._upstream = peer, upstream
        if upstream.streams_max is not None:
            self.state.local_settings = h2.settings.Settings(
                client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: upstream.streams_max}
            )
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        self._peer.sendall(self.state.data_to_send())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._peer.sendall(data)

    def run(self) -> None:
        """Read to the end."""
        with self._peer, contextlib.suppress(OSError):
            while data := self._peer.recv(65_536):
                # What comes after it was called off is read all the same: closing over it would be a reset.
                with self.lock, contextlib.suppress(h2.exceptions.ProtocolError):
                    for event in self.state.receive_data(data):
                        self._take(event)
                    self.flush()

    def go_away(self, last: int) -> None:
        """Call it off."""
        with self.lock:
            self.state.close_connection(ErrorCodes.NO_ERROR, last_stream_id=last)
            self.flush()

    def close(self) -> None:
        """Break it off."""
        self._peer.shutdown(socket.SHUT_RDWR)

    def retire(self) -> None:
        """Call it off: what came meanwhile is not looked at."""
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError), self.lock:
            self.state.close_connection()
            self.flush()
            self._peer.shutdown(socket.SHUT_WR)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            head = {str(name): str(value) for name, value in event.headers}
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id, head)
            self._upstream.streams.append(stream)
            self._upstream.act(stream)
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].body.extend(event.data)
            if self._upstream.reads:
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].ended.set()
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].reset.append(int(event.error_code))


class Upstream:
    """Listens, and does with each call what the test says."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections: list[Connection] = []
        self.streams: list[Stream] = []
        self.begin()
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, act: Callable[[Stream], None] = Stream.answer, *, streams_max: int | None = None) -> None:
        """Call off what is open; what comes now is done with as said."""
        for connection in self.connections:
            connection.retire()
        self.connections, self.streams = [], []
        self.act, self.streams_max, self.reads = act, streams_max, True

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            connection = Connection(peer, self)
            self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def close(self) -> None:
        """Close everything."""
        self._socket.close()
        self.begin()


@dataclass
class Gateway:
    """A node before an upstream."""

    node: RunningNode
    upstream: Upstream
    stub: Stub


@pytest.fixture(scope="module")
def node_and_upstream() -> Iterator[tuple[RunningNode, Upstream]]:
    upstream = Upstream()
    route = {"name": "r", "protocols": ["grpc", "grpcs"], "paths": ["/"], "strip_path": False}
    service: dict[str, Any] = {"name": "s", "protocol": "grpc", "host": "127.0.0.1", "port": upstream.port}
    document = {"_format_version": "3.0", "services": [service | {"routes": [route], "retries": 2}]}
    settings = {"proxy_listen": LISTEN, "upstream_keepalive_max_requests": "6"}
    with running(settings, document) as node:
        yield node, upstream
    upstream.close()


@pytest.fixture
def gateway(node_and_upstream: tuple[RunningNode, Upstream]) -> Iterator[Gateway]:
    node, upstream = node_and_upstream
    upstream.begin()
    with calling(node.port) as stub:
        yield Gateway(node, upstream, stub)


def once(act: Callable[[Stream], None]) -> Callable[[Stream], None]:
    """Do so with the first call, and answer the others."""
    done: list[int] = []

    def first(stream: Stream) -> None:
        done.append(stream.number)
        (act if len(done) == 1 else Stream.answer)(stream)

    return first


def test_a_call_looks_as_servers_want_it(gateway: Gateway) -> None:
    assert gateway.stub.echo(b"hello", timeout=WAIT_S) == b"ok"
    (stream,) = gateway.upstream.streams
    assert stream.head[":method"] == "POST"
    assert stream.head[":path"] == "/probe.Probe/Echo"
    assert stream.head[":scheme"] == "http"
    assert stream.head[":authority"] == f"127.0.0.1:{gateway.upstream.port}"
    assert (stream.head["te"], stream.head["content-type"]) == ("trailers", "application/grpc")
    assert "grpc-timeout" in stream.head
    assert not {"connection", "host", "transfer-encoding", "upgrade"} & set(stream.head)
    assert stream.ended.wait(WAIT_S)
    assert bytes(stream.body) == message(b"hello")


def test_a_call_that_was_not_looked_at_is_sent_again(gateway: Gateway) -> None:
    gateway.upstream.begin(once(lambda stream: stream.refuse(ErrorCodes.REFUSED_STREAM)))
    assert gateway.stub.echo(b"x", timeout=WAIT_S) == b"ok"
    assert len(gateway.upstream.streams) == 2
    gateway.upstream.begin(once(lambda stream: stream.connection.go_away(0)))
    assert gateway.stub.echo(b"y", timeout=WAIT_S) == b"ok"
    assert len(gateway.upstream.connections) == 2
    assert bytes(gateway.upstream.streams[1].body) in {b"", message(b"y")}
    assert gateway.upstream.streams[1].ended.wait(WAIT_S)
    assert bytes(gateway.upstream.streams[1].body) == message(b"y")


def test_a_call_that_may_have_acted_is_sent_once(gateway: Gateway) -> None:
    gateway.upstream.begin(lambda stream: stream.refuse(ErrorCodes.INTERNAL_ERROR))
    error = refusal(lambda: gateway.stub.echo(b"x", timeout=WAIT_S))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert len(gateway.upstream.streams) == 1
    gateway.upstream.begin(lambda stream: stream.connection.close())
    assert refusal(lambda: gateway.stub.echo(b"x", timeout=WAIT_S)).code() is grpc.StatusCode.INTERNAL
    assert len(gateway.upstream.streams) == 1


def test_a_refusal_that_goes_on_ends(gateway: Gateway) -> None:
    gateway.upstream.begin(lambda stream: stream.refuse(ErrorCodes.REFUSED_STREAM))
    assert refusal(lambda: gateway.stub.echo(b"x", timeout=WAIT_S)).code() is grpc.StatusCode.INTERNAL
    # The first, one that is free, and the retries of the service.
    assert len(gateway.upstream.streams) == 4


def test_a_reset_during_an_answer_keeps_its_code(gateway: Gateway) -> None:
    def begin(stream: Stream) -> None:
        stream.connection.state.send_headers(stream.number, HEAD)
        stream.connection.state.send_data(stream.number, message(b"one"))

    gateway.upstream.begin(begin)
    answers = gateway.stub.produce(b"x", timeout=WAIT_S)
    assert next(answers) == b"one"
    gateway.upstream.streams[0].refuse(ErrorCodes.ENHANCE_YOUR_CALM)
    error = refusal(lambda: next(answers))
    # As gRPC reads this code.
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_connection_that_is_called_off_serves_what_runs_on_it(gateway: Gateway) -> None:
    gateway.upstream.begin(lambda stream: None)
    pending = gateway.stub.echo.future(b"x", timeout=WAIT_S)
    (stream,) = awaited(lambda: list(gateway.upstream.streams))
    with stream.connection.lock:
        # The library would take nothing further after a GOAWAY of its own: the frame is sent as it is.
        stream.connection.send(b"\0\0\x08\x07\0\0\0\0\0" + stream.number.to_bytes(4, "big") + b"\0\0\0\0")
    gateway.upstream.act = Stream.answer
    assert gateway.stub.echo(b"y", timeout=WAIT_S) == b"ok"
    assert len(gateway.upstream.connections) == 2
    stream.answer(b"late")
    assert pending.result(WAIT_S) == b"late"


def test_no_more_streams_than_the_upstream_allows(gateway: Gateway) -> None:
    gateway.upstream.begin(streams_max=2)
    # What the upstream allows is known once its settings have come.
    assert gateway.stub.echo(b"x", timeout=WAIT_S) == b"ok"
    gateway.upstream.act = lambda stream: None
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(gateway.stub.echo, b"x", timeout=WAIT_S) for _ in range(5)]
        awaited(lambda: len(gateway.upstream.streams) == 6)
        waiting = gateway.upstream.streams[1:]
        first = gateway.upstream.connections[0]
        assert sum(stream.connection is first for stream in waiting) == 2
        for stream in waiting:
            stream.answer()
        assert [call.result(WAIT_S) for call in calls] == [b"ok"] * 5


def test_a_connection_has_as_many_streams_as_the_settings_say_and_all_are_counted() -> None:
    upstream = Upstream()
    upstream.begin(lambda stream: None)
    route = {"name": "r", "protocols": ["grpc"], "paths": ["/"], "strip_path": False}
    service = {"name": "s", "protocol": "grpc", "host": "127.0.0.1", "port": upstream.port, "routes": [route]}
    document = {"_format_version": "3.0", "services": [service]}
    with (
        running({"proxy_listen": LISTEN, "upstream_http2_streams": "2"}, document) as node,
        calling(node.port) as stub,
    ):

        def gauges() -> list[int]:
            counts = orjson.loads(node.core.drain("metrics"))["upstream_http2"]
            return [counts["connections"], counts["streams"]]

        assert gauges() == [0, 0]
        pending = [stub.echo.future(b"x", timeout=WAIT_S) for _ in range(5)]
        awaited(lambda: len(upstream.streams) == 5)
        assert sorted(len(connection.streams) for connection in upstream.connections) == [1, 2, 2]
        assert gauges() == [3, 5]
        for stream in list(upstream.streams):
            stream.answer()
        assert [call.result(WAIT_S) for call in pending] == [b"ok"] * 5
        awaited(lambda: gauges() == [3, 0])
        assert "twinplane_upstream_http2_connections 3" in node.metrics()
        upstream.begin()
        awaited(lambda: gauges() == [0, 0])
    upstream.close()


def test_a_connection_is_worn_after_so_many_calls(gateway: Gateway) -> None:
    for _ in range(13):
        assert gateway.stub.echo(b"x", timeout=WAIT_S) == b"ok"
    counts = [len(connection.streams) for connection in gateway.upstream.connections]
    assert counts == [6, 6, 1]


def test_an_upstream_that_does_not_read_holds_up_its_client(gateway: Gateway) -> None:
    gateway.upstream.begin(lambda stream: None)
    gateway.upstream.reads = False
    drawn: list[int] = []

    def much() -> Iterator[bytes]:
        for number in range(400):
            drawn.append(number)
            yield bytes(50_000)

    pending = gateway.stub.consume.future(much(), timeout=WAIT_S)
    (stream,) = awaited(lambda: list(gateway.upstream.streams))
    # The window of this upstream is full, and it says nothing: no more comes until it does.
    awaited(lambda: len(stream.body) == 65_535)
    still = awaited(lambda: steady(drawn))
    assert still * 50_000 < 4_000_000
    assert len(stream.body) == 65_535
    pending.cancel()
    assert awaited(lambda: stream.reset) == [int(ErrorCodes.CANCEL)]


def steady(drawn: list[int]) -> int:
    """How many were drawn, once no more are."""
    before = len(drawn)
    threading.Event().wait(0.5)
    return before if len(drawn) == before else 0


def test_a_client_that_does_not_read_holds_up_its_upstream_and_no_other_call(gateway: Gateway) -> None:
    sent: list[int] = []

    def flood(stream: Stream) -> None:
        if stream.head[":path"] != "/probe.Probe/Produce":
            return stream.answer()
        stream.connection.state.send_headers(stream.number, HEAD)
        return threading.Thread(target=pour, args=(stream,), daemon=True).start()

    def pour(stream: Stream) -> None:
        data = message(bytes(8_000))
        while not stream.reset:
            with stream.connection.lock:
                window = stream.connection.state.local_flow_control_window(stream.number)
                if window >= len(data):
                    stream.connection.state.send_data(stream.number, data)
                    stream.connection.flush()
                    sent.append(len(data))
                    continue
            threading.Event().wait(0.01)

    gateway.upstream.begin(flood)
    answers = gateway.stub.produce(b"x", timeout=WAIT_S)
    next(answers)
    # The client's library reads ahead up to windows of its own; then the upstream's fills, and stays full.
    most = awaited(lambda: steady(sent))
    assert most * 8_005 < 16_000_000
    assert gateway.stub.echo(b"x", timeout=WAIT_S) == b"ok"
    assert len(gateway.upstream.connections) == 1
    answers.cancel()
    stream = next(one for one in gateway.upstream.streams if one.head[":path"] == "/probe.Probe/Produce")
    assert awaited(lambda: stream.reset) == [int(ErrorCodes.CANCEL)]


def test_what_speaks_no_http_2_is_an_invalid_answer(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        served = threading.Event()

        def speak() -> None:
            while not served.is_set():
                try:
                    peer, _ = other.accept()
                except OSError:
                    return
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                peer.close()

        threading.Thread(target=speak, daemon=True).start()
        route = {"name": "r", "protocols": ["grpc"], "paths": ["/"], "strip_path": False}
        service = {
            "name": "s",
            "protocol": "grpc",
            "host": "127.0.0.1",
            "port": other.getsockname()[1],
            "routes": [route],
        }
        document = {"_format_version": "3.0", "services": [service | {"retries": 0}]}
        with running({"proxy_listen": LISTEN}, document) as node, calling(node.port) as stub:
            error = refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
            assert error.details() == "An invalid response was received from the upstream server"
        served.set()
