"""Calls through a node: a gRPC server behind it, a gRPC client before it, real connections between them."""

from __future__ import annotations

import queue
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("grpc", reason="grpcio cannot be had here")

import grpc
import orjson
import yaml
from tests.certificates import Authority, Leaf
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.grpc_peer import (
    ECHO_INITIAL,
    ECHO_TRAILING,
    WAIT_S,
    Server,
    Stub,
    awaited,
    calling,
    refusal,
    serving,
)

from twinplane.node.explain import core_question

LISTEN = "127.0.0.1:0 http2, 127.0.0.1:0 http2 ssl"
LARGE = 1_500_000
KEY = "the-key-of-alice"


def declared(port: int, *, protocol: str = "grpc", **service: Any) -> dict[str, Any]:
    """A file with services for a server at `port`, each with its own host."""

    def entry(
        name: str, plugins: list[Any] | None = None, *, protocols: tuple[str, ...] = ("grpc", "grpcs"), **own: Any
    ) -> Any:
        route = {"name": name, "protocols": list(protocols), "hosts": [f"{name}.example"], "paths": ["/"]}
        route |= {"strip_path": False, "plugins": plugins or []}
        host = {"protocol": protocol, "host": "127.0.0.1", "port": port, **service, **own}
        return {"name": name, **host, "routes": [route]}

    limit = {"minute": 2, "policy": "local", "limit_by": "service"}
    return {
        "_format_version": "3.0",
        "services": [
            entry("grpc", [{"name": "file-log", "config": {"path": "/dev/null"}}]),
            entry("guarded", [{"name": "key-auth"}]),
            entry("limited", [{"name": "rate-limiting", "config": limit}]),
            entry("changed", [{"name": "response-transformer", "config": {"add": {"headers": ["x-added:yes"]}}}]),
            entry(
                "ended",
                [{"name": "request-termination", "config": {"status_code": 503, "message": "closed for today"}}],
            ),
            entry("secure", protocols=("grpcs",)),
            entry("impatient", read_timeout=1_500, retries=0),
            entry("absent", port=1, retries=0),
        ],
        "consumers": [{"username": "alice", "keyauth_credentials": [{"key": KEY}]}],
    }


@dataclass
class Gateway:
    """A node before a server."""

    node: RunningNode
    server: Server
    stub: Stub


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with (
        serving() as server,
        running({"proxy_listen": LISTEN}, declared(server.port)) as node,
        calling(node.port) as stub,
    ):
        assert node.applied.issues == []
        yield Gateway(node, server, stub)


def at(gateway: Gateway, host: str) -> Any:
    return calling(gateway.node.port, authority=host)


def test_a_call_is_answered_and_the_server_sees_who_asked(gateway: Gateway) -> None:
    message, call = gateway.stub.echo.with_call(b"hello", metadata=(("x-own", "1"),), timeout=WAIT_S)
    assert message == b"hello"
    assert call.code() is grpc.StatusCode.OK
    seen = gateway.server.call("Echo").metadata
    assert seen["x-own"] == "1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "grpc.example"
    assert seen["x-real-ip"] == "127.0.0.1"
    assert "x-kong-request-id" in seen
    own = seen["x-kong-request-id"]
    entry = awaited(lambda: next((one for one in gateway.node.log_entries(1) if one["request"]["id"] == own), None))
    assert entry["request"]["uri"] == "/probe.Probe/Echo"
    assert (entry["response"]["status"], entry["upstream_status"]) == (200, "200")
    assert entry["service"]["protocol"] == "grpc"
    assert [one["port"] for one in entry["tries"]] == [gateway.server.port]


def test_an_empty_call(gateway: Gateway) -> None:
    assert gateway.stub.echo(b"", timeout=WAIT_S) == b""


def test_messages_larger_than_any_window(gateway: Gateway) -> None:
    message = bytes(range(256)) * (LARGE // 256)
    assert gateway.stub.echo(message, timeout=WAIT_S) == message


def test_a_stream_from_the_server(gateway: Gateway) -> None:
    sizes = [len(message) for message in gateway.stub.produce(b"40 50000", timeout=WAIT_S)]
    assert sizes == [50_000] * 40
    assert list(gateway.stub.produce(b"0 0", timeout=WAIT_S)) == []


def test_a_stream_from_the_client(gateway: Gateway) -> None:
    sizes = [27_182, 8, 1_828, 45_904, 0, 300_000]
    assert gateway.stub.consume(iter(bytes(size) for size in sizes), timeout=WAIT_S) == str(sum(sizes)).encode()
    assert gateway.server.call("Consume").received == sizes


def test_a_conversation_in_which_each_waits_for_the_other(gateway: Gateway) -> None:
    to_say: queue.Queue[bytes | None] = queue.Queue()
    answers = gateway.stub.converse(iter(to_say.get, None), timeout=WAIT_S)
    for size in (31_415, 9, 2_653, 58_979):
        to_say.put(bytes(size))
        assert len(next(answers)) == size
    to_say.put(None)
    assert list(answers) == []
    assert list(gateway.stub.converse(iter(()), timeout=WAIT_S)) == []


def test_metadata_passes_both_ways_binary_too(gateway: Gateway) -> None:
    given = ((ECHO_INITIAL, "test_initial"), (ECHO_TRAILING, b"\x0a\x0b\x0a\x0b\xff\x00"))
    _, call = gateway.stub.echo.with_call(b"x", metadata=given, timeout=WAIT_S)
    assert dict(call.initial_metadata())[ECHO_INITIAL] == "test_initial"
    assert dict(call.trailing_metadata())[ECHO_TRAILING] == b"\x0a\x0b\x0a\x0b\xff\x00"
    answers = gateway.stub.converse(iter((b"x",)), metadata=given, timeout=WAIT_S)
    assert list(answers) == [b"x"]
    assert dict(answers.trailing_metadata())[ECHO_TRAILING] == b"\x0a\x0b\x0a\x0b\xff\x00"


@pytest.mark.parametrize(
    "details", ["no", "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"]
)
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"])
def test_a_status_of_the_server_reaches_the_client(gateway: Gateway, code: str, details: str) -> None:
    error = refusal(lambda: gateway.stub.fail(f"{code} {details}".encode(), timeout=WAIT_S))
    assert error.code() is getattr(grpc.StatusCode, code)
    assert error.details() == details


def test_a_method_that_is_not_there(gateway: Gateway) -> None:
    for method in ("/probe.Probe/Nothing", "/unknown.Service/Nothing"):
        error = refusal(lambda method=method: gateway.stub.channel.unary_unary(method)(b"", timeout=WAIT_S))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_the_client_gives_up_ends_at_the_server(gateway: Gateway) -> None:
    silence = threading.Event()

    def nothing() -> Iterator[bytes]:
        silence.wait(WAIT_S)
        yield from ()

    answers = gateway.stub.hang(nothing(), timeout=WAIT_S)
    assert next(answers) == b"begun"
    call = gateway.server.call("Hang")
    assert not call.ended.is_set()
    answers.cancel()
    assert answers.code() is grpc.StatusCode.CANCELLED
    assert call.cancelled.wait(WAIT_S)
    silence.set()


def test_a_call_that_is_given_up_before_an_answer_ends_at_the_server(gateway: Gateway) -> None:
    pending = gateway.stub.sleep.future(b"x", timeout=WAIT_S)
    call = gateway.server.call("Sleep")
    gateway.node.core.drain("records")
    pending.cancel()
    assert call.cancelled.wait(WAIT_S)
    record = awaited(lambda: gateway.node.core.drain("records")).decode()
    assert '"client_closed"' in record
    assert ",499," in record


def test_a_deadline_reaches_the_server(gateway: Gateway) -> None:
    error = refusal(lambda: gateway.stub.sleep(b"x", timeout=1.0))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert gateway.server.call("Sleep").cancelled.wait(WAIT_S)


def test_an_answer_may_end_before_the_question(gateway: Gateway) -> None:
    said = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"first"
        said.wait(WAIT_S)

    answers = gateway.stub.hasty(endless(), timeout=WAIT_S)
    assert list(answers) == [b"enough"]
    assert answers.code() is grpc.StatusCode.OK
    said.set()


def test_many_calls_at_once_share_connections(gateway: Gateway) -> None:
    def call(number: int) -> bool:
        message = number.to_bytes(2, "big") * (1 + number * 150)
        return gateway.stub.echo(message, timeout=WAIT_S) == message

    with ThreadPoolExecutor(24) as pool:
        before = len(gateway.server.calls)
        assert all(pool.map(call, range(300)))
    # One worker, fewer calls at once than one connection has streams.
    assert len({call.peer for call in gateway.server.calls[before:]}) == 1


# --- the gateway's own answers ---


def test_plugins_answer_calls_with_a_status(gateway: Gateway) -> None:
    with at(gateway, "guarded.example") as stub:
        error = refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert stub.echo(b"x", metadata=(("apikey", KEY),), timeout=WAIT_S) == b"x"
        assert gateway.server.call("Echo").metadata["x-consumer-username"] == "alice"
    with at(gateway, "limited.example") as stub:
        for _ in range(2):
            _, call = stub.echo.with_call(b"x", timeout=WAIT_S)
            assert dict(call.initial_metadata())["ratelimit-limit"] == "2"
        error = refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with at(gateway, "ended.example") as stub:
        error = refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "closed for today")
    with at(gateway, "changed.example") as stub:
        _, call = stub.echo.with_call(b"x", timeout=WAIT_S)
        assert dict(call.initial_metadata())["x-added"] == "yes"


def test_what_the_gateway_refuses_has_a_status(gateway: Gateway) -> None:
    wanted = {
        "nowhere.example": (grpc.StatusCode.NOT_FOUND, "NotFound"),
        "secure.example": (grpc.StatusCode.CANCELLED, "gRPC request matched gRPCs route"),
        "absent.example": (grpc.StatusCode.INTERNAL, "An invalid response was received from the upstream server"),
    }
    for host, (code, details) in wanted.items():
        with at(gateway, host) as stub:
            error = refusal(lambda stub=stub: stub.echo(b"x", timeout=WAIT_S))
            assert (error.code(), error.details()) == (code, details), host


def test_a_server_that_takes_too_long(gateway: Gateway) -> None:
    with at(gateway, "impatient.example") as stub:
        error = refusal(lambda: stub.sleep(b"x", timeout=WAIT_S))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "The upstream server is timing out",
        )
        assert gateway.server.call("Sleep").cancelled.wait(WAIT_S)
        # After the answer has begun the status goes in the trailers.
        answers = stub.hang(iter(()), timeout=WAIT_S)
        assert next(answers) == b"begun"
        error = refusal(lambda: next(answers))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "The upstream server is timing out",
        )
        assert gateway.server.call("Hang").cancelled.wait(WAIT_S)


# --- servers that come and go ---


def test_a_server_that_is_restarted_in_mid_traffic() -> None:
    with (
        serving() as first,
        running({"proxy_listen": LISTEN}, declared(first.port)) as node,
        calling(node.port) as stub,
    ):
        assert stub.echo(b"a", timeout=WAIT_S) == b"a"
        to_say: queue.Queue[bytes | None] = queue.Queue()
        answers = stub.converse(iter(to_say.get, None), timeout=WAIT_S)
        to_say.put(b"x")
        assert next(answers) == b"x"
        # What runs goes on while the server takes nothing new.
        stopped = first.stop(grace_s=WAIT_S)
        to_say.put(b"y")
        assert next(answers) == b"y"
        to_say.put(None)
        assert list(answers) == []
        assert answers.code() is grpc.StatusCode.OK
        assert stopped.wait(WAIT_S)
        with serving(port=first.port) as second:
            assert stub.echo(b"b", timeout=WAIT_S) == b"b"
            assert len(second.calls) == 1


def test_a_server_that_dies_during_a_call() -> None:
    with (
        serving() as server,
        running({"proxy_listen": LISTEN}, declared(server.port)) as node,
        calling(node.port) as stub,
    ):
        answers = stub.hang(iter(()), timeout=WAIT_S)
        assert next(answers) == b"begun"
        server.stop()
        error = refusal(lambda: next(answers))
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert refusal(lambda: stub.echo(b"x", timeout=WAIT_S)).code() is grpc.StatusCode.INTERNAL


def test_explain_knows_calls(gateway: Gateway) -> None:
    def explained(host: str, **asked: Any) -> dict[str, Any]:
        question = {"url": f"http://{host}.example/probe.Probe/Echo", "method": "POST", "http2": True, **asked}
        question.setdefault("headers", {"content-type": "application/grpc"})
        told: dict[str, Any] = orjson.loads(gateway.node.core.explain(core_question(question)))
        return told

    told = explained("grpc")
    assert told["answered"] is None
    assert told["upstream"]["uri"] == f"grpc://127.0.0.1:{gateway.server.port}/probe.Probe/Echo"
    assert explained("grpc", http2=False)["answered"]["status"] == 426
    assert explained("grpc", headers={})["answered"]["status"] == 415
    assert explained("secure")["answered"]["grpc_status"] == 1
    assert explained("nowhere")["answered"]["grpc_status"] == 5


# --- TLS on either side ---


def secured(port: int, client: Leaf | None = None) -> dict[str, Any]:
    """The same services over TLS, behind an upstream that may show a certificate."""
    document = declared(port, protocol="grpcs", host="pool.example")
    pool: dict[str, Any] = {"name": "pool.example", "host_header": "localhost"}
    pool["targets"] = [{"target": f"127.0.0.1:{port}"}]
    if client is not None:
        certificate = str(uuid4())
        pool["client_certificate"] = certificate
        document["certificates"] = [{"id": certificate, "cert": client.certificate, "key": client.key}]
    return document | {"upstreams": [pool]}


def test_calls_over_tls_are_verified_and_show_a_certificate(tmp_path: Path) -> None:
    ours, theirs = Authority("ours"), Authority("theirs")
    leaf = ours.leaf("localhost", is_client=False, names=("localhost",))
    verifying = {"proxy_listen": LISTEN, "grpcs_tls_verify": "on"}
    for authority in (ours, theirs):
        (tmp_path / authority.name).write_text(authority.certificate)
    trusting = verifying | {"lua_ssl_trusted_certificate": str(tmp_path / "ours")}
    shown = theirs.leaf("the node")
    invalid = (grpc.StatusCode.INTERNAL, "An invalid response was received from the upstream server")
    with serving(leaf=leaf, client_authority=theirs.certificate) as server:
        with running(trusting, secured(server.port, shown)) as node, calling(node.port) as stub:
            assert stub.echo(b"x", timeout=WAIT_S) == b"x"
            assert server.call("Echo").identities == ["the node"]
        for settings, certificate in (
            (verifying | {"lua_ssl_trusted_certificate": str(tmp_path / "theirs")}, shown),
            (trusting, None),
            (trusting, ours.leaf("somebody")),
        ):
            with running(settings, secured(server.port, certificate)) as node, calling(node.port) as stub:
                error = refusal(lambda stub=stub: stub.echo(b"x", timeout=WAIT_S))
                assert (error.code(), error.details()) == invalid
        with running({"proxy_listen": LISTEN}, secured(server.port, shown)) as node, calling(node.port) as stub:
            assert stub.echo(b"y", timeout=WAIT_S) == b"y"
        assert len(server.calls) == 2


def test_clients_over_tls(gateway: Gateway) -> None:
    root = ssl.get_server_certificate(("127.0.0.1", gateway.node.tls_port))
    with calling(gateway.node.tls_port, authority="secure.example", root=root) as stub:
        assert stub.echo(b"x", timeout=WAIT_S) == b"x"
        assert gateway.server.call("Echo").metadata["x-forwarded-proto"] == "https"
        assert list(stub.converse(iter((b"a", b"b")), timeout=WAIT_S)) == [b"a", b"b"]


# --- what is no call ---


def curl(port: int, *words: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    command = [
        "curl",
        "-s",
        "-i",
        "--max-time",
        "30",
        "-H",
        "Host: grpc.example",
        *words,
        f"http://127.0.0.1:{port}/probe",
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    head, _, body = told.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    return (
        int(first.split()[1]),
        {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)},
        body,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_is_no_call_is_told_so(gateway: Gateway) -> None:
    seen = len(gateway.server.calls)
    status, headers, body = curl(gateway.node.port, "-X", "POST", "-H", "Content-Type: application/grpc")
    assert (status, headers["upgrade"]) == (426, "HTTP/2")
    assert "Please use HTTP2 protocol" in body
    for protocol in ("--http1.1", "--http2-prior-knowledge"):
        for words in ([], ["-X", "POST", "-H", "Content-Type: application/json"]):
            status, headers, body = curl(gateway.node.port, protocol, *words)
            assert status == 415
            assert "Non-gRPC request matched gRPC route" in body
    assert len(gateway.server.calls) == seen


def test_the_example_of_the_guide() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "grpc.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    with serving() as server:
        document = yaml.safe_load(example)
        document["services"][0]["port"] = server.port
        with running({"proxy_listen": LISTEN}, document) as node, calling(node.port) as stub:
            assert node.applied.issues == []
            assert stub.echo(b"x", metadata=(("apikey", "alices-key"),), timeout=WAIT_S) == b"x"
            error = refusal(lambda: stub.echo(b"x", timeout=WAIT_S))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
