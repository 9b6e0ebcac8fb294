"""What must not be held against a gRPC peer, what must not look whole, and settings that reach connections to it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

pytest.importorskip("grpc", reason="grpcio cannot be had here")

import grpc
from tests.certificates import Leaf
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.grpc_peer import WAIT_S, awaited, calling, refusal
from tests.integration.installation import free_ports
from tests.integration.test_http2_upstream import HEAD, LISTEN, Stream, Upstream

CALLS = 30
CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


def declared(port: int, cut_port: int) -> dict[str, Any]:
    """A peer that one failure ejects, for calls and for plain requests; and a server that breaks off."""
    checks = {"passive": {"type": "tcp", "unhealthy": {"tcp_failures": 1}}}

    def entry(name: str, kind: str, **own: Any) -> dict[str, Any]:
        route = {"name": name, "protocols": [kind], "strip_path": False, "preserve_host": True}
        route["paths"] = ["/probe.Probe"] if kind == "grpc" else [f"/{name}"]
        return {"name": name, "protocol": "grpc", "host": "pool", "port": 1, "retries": 0, **own, "routes": [route]}

    return {
        "_format_version": "3.0",
        "services": [
            entry("calls", "grpc"),
            entry("plain", "http"),
            entry("cut", "http", protocol="http", host="127.0.0.1", port=cut_port),
        ],
        "upstreams": [{"name": "pool", "healthchecks": checks, "targets": [{"target": f"127.0.0.1:{port}"}]}],
    }


def serve_cut(listener: socket.socket) -> None:
    """Answer each request with half a body."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.recv(65_536)
            peer.sendall(CUT)


@pytest.fixture(scope="module")
def node_and_upstream() -> Iterator[tuple[RunningNode, Upstream]]:
    upstream = Upstream()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_cut, args=(listener,), daemon=True).start()
        document = declared(upstream.port, listener.getsockname()[1])
        with running({"proxy_listen": LISTEN}, document) as node:
            yield node, upstream
        listener.shutdown(socket.SHUT_RDWR)
    upstream.close()


def plainly(node: RunningNode, target: bytes, host: bytes = b"a") -> bytes:
    """The status of an answer over HTTP/1."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=WAIT_S) as client:
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        received = b""
        while data := client.recv(65_536):
            received += data
    return received.split(b" ", 2)[1]


def test_a_burst_above_what_the_upstream_allows_is_served(node_and_upstream: tuple[RunningNode, Upstream]) -> None:
    node, upstream = node_and_upstream
    upstream.begin(lambda stream: None, streams_max=1)
    with calling(node.port) as stub, ThreadPoolExecutor(CALLS) as pool:
        calls = [pool.submit(stub.echo, b"x", timeout=WAIT_S) for _ in range(CALLS)]
        awaited(lambda: len(upstream.streams) == CALLS or any(call.done() for call in calls))
        for stream in list(upstream.streams):
            stream.answer()
        assert [call.result(WAIT_S) for call in calls] == [b"ok"] * CALLS
    assert all(len(connection.streams) <= 1 for connection in upstream.connections)


def test_what_http_2_cannot_say_is_the_request_s_own(node_and_upstream: tuple[RunningNode, Upstream]) -> None:
    node, upstream = node_and_upstream

    def answer(stream: Stream) -> None:
        stream.connection.state.send_headers(stream.number, HEAD, end_stream=True)

    upstream.begin(answer)
    assert plainly(node, b'/plain?x="1"<2>\xff') == b"200"
    assert upstream.streams[-1].head[":path"] == "/plain?x=%221%22%3C2%3E%FF"
    assert plainly(node, b"/plain", b"a%b") == b"400"
    assert plainly(node, b"/plain?x=1") == b"200"
    assert upstream.streams[-1].head[":path"] == "/plain?x=1"


def test_a_body_that_is_cut_does_not_end_well_without_trailers(
    node_and_upstream: tuple[RunningNode, Upstream],
) -> None:
    node, _ = node_and_upstream
    state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    state.initiate_connection()
    head = [(":method", "POST"), (":path", "/cut"), (":scheme", "http"), (":authority", "a")]
    state.send_headers(1, [*head, ("content-type", "application/grpc-web+proto")], end_stream=True)
    with socket.create_connection(("127.0.0.1", node.port), timeout=WAIT_S) as client:
        client.sendall(state.data_to_send())
        seen: list[h2.events.Event] = []
        ends = (h2.events.StreamEnded, h2.events.StreamReset)
        while not any(isinstance(event, ends) for event in seen):
            data = client.recv(65_536)
            assert data, "closed before the stream was over"
            seen += state.receive_data(data)
            client.sendall(state.data_to_send())
    assert [type(event) for event in seen if isinstance(event, ends)] == [h2.events.StreamReset]


def test_other_settings_reach_shared_connections(node_and_upstream: tuple[RunningNode, Upstream]) -> None:
    node, upstream = node_and_upstream
    upstream.begin()
    try:
        node.adopt({"proxy_listen": LISTEN, "upstream_keepalive_max_requests": "2"})
        with calling(node.port) as stub:
            for _ in range(5):
                assert stub.echo(b"x", timeout=WAIT_S) == b"ok"
        assert [len(connection.streams) for connection in upstream.connections] == [2, 2, 1]
    finally:
        node.adopt({"proxy_listen": LISTEN})


def test_another_bound_of_heads_reaches_shared_connections(node_and_upstream: tuple[RunningNode, Upstream]) -> None:
    def answer(stream: Stream) -> None:
        connection = stream.connection
        connection.state.send_headers(stream.number, [*HEAD, ("x-long", "x" * 6_000)])
        connection.state.send_data(stream.number, b"\0\0\0\0\2ok")
        connection.state.send_headers(stream.number, [("grpc-status", "0")], end_stream=True)
        connection.flush()

    _, upstream = node_and_upstream
    upstream.begin(answer)
    route = {"name": "r", "protocols": ["grpc"], "paths": ["/"], "strip_path": False}
    service = {"name": "s", "protocol": "grpc", "host": "127.0.0.1", "port": upstream.port, "routes": [route]}
    settings = {"proxy_listen": LISTEN}
    with running(settings, {"_format_version": "3.0", "services": [service]}) as node, calling(node.port) as stub:
        assert stub.echo(b"x", timeout=WAIT_S) == b"ok"
        node.adopt({**settings, "nginx_proxy_proxy_buffer_size": "4k"})
        refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
        node.adopt(settings)
        assert stub.echo(b"x", timeout=WAIT_S) == b"ok"


@pytest.mark.parametrize("status", [None, "503"])
def test_a_target_that_fails_calls_is_put_out(
    node_and_upstream: tuple[RunningNode, Upstream], status: str | None
) -> None:
    _, good = node_and_upstream
    good.begin()
    bad = Upstream() if status else None
    if bad:
        bad.begin(
            lambda stream: stream.connection.state.send_headers(stream.number, [(":status", "503")], end_stream=True)
        )
    ports = [bad.port if bad else free_ports(1)[0], good.port]
    unhealthy = {"tcp_failures": 1, "http_failures": 1, "http_statuses": [503]}
    route = {"name": "r", "protocols": ["grpc"], "paths": ["/"], "strip_path": False}
    document = {
        "_format_version": "3.0",
        "services": [{"name": "s", "protocol": "grpc", "host": "pool", "retries": 1, "routes": [route]}],
        "upstreams": [
            {
                "name": "pool",
                "healthchecks": {"passive": {"type": "grpc", "unhealthy": unhealthy}},
                "targets": [{"target": f"127.0.0.1:{port}"} for port in ports],
            }
        ],
        "plugins": [{"name": "prometheus", "config": {"upstream_health_metrics": True}}],
    }
    with running({"proxy_listen": LISTEN}, document) as node, calling(node.port) as stub:

        def states() -> set[str]:
            try:
                assert stub.echo(b"x", timeout=WAIT_S) == b"ok"
            except grpc.RpcError:
                assert bad
            own = f'target="127.0.0.1:{ports[0]}"'
            return {
                line for line in node.metrics() if own in line and 'state="unhealthy"' in line and line.endswith(" 1")
            }

        awaited(states)
        for _ in range(4):
            assert stub.echo(b"x", timeout=WAIT_S) == b"ok"
    if bad:
        bad.close()


def test_other_versions_of_tls_reach_upstreams(tmp_path: Path) -> None:
    leaf = Leaf.self_signed("localhost")
    (tmp_path / "leaf.pem").write_text(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    spoken: list[str | None] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with context.wrap_socket(peer, server_side=True) as channel:
                spoken.append(channel.version())
                channel.recv(65_536)
                channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        route = {"name": "r", "protocols": ["http"], "paths": ["/"]}
        service = {"name": "s", "protocol": "https", "host": "127.0.0.1", "port": listener.getsockname()[1]}
        document = {"_format_version": "3.0", "services": [service | {"routes": [route]}]}
        tls = {"proxy_listen": LISTEN, "ssl_cipher_suite": "custom", "ssl_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"}
        tls["ssl_protocols"] = "TLSv1.2 TLSv1.3"
        with running(tls, document) as node:
            assert plainly(node, b"/") == b"200"
            node.adopt(tls | {"ssl_protocols": "TLSv1.2"})
            assert plainly(node, b"/") == b"200"
        listener.shutdown(socket.SHUT_RDWR)
    assert spoken == ["TLSv1.3", "TLSv1.2"]
