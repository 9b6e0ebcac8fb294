"""A gRPC server and its clients, for tests of what lies between them. Messages are plain bytes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from tests.certificates import Leaf

SERVICE = "/probe.Probe/"
WAIT_S = 30.0
T = TypeVar("T")
ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"


@dataclass
class Call:
    """What the server saw of one call."""

    method: str
    metadata: dict[str, str | bytes]
    peer: str
    identities: list[str]
    received: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)


class Server:
    """Serves `probe.Probe` on a free port, or on one that is given."""

    def __init__(self, *, port: int = 0, leaf: Leaf | None = None, client_authority: str | None = None) -> None:
        self.calls: list[Call] = []
        self.release = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=64)
        # Another server of this process may have had the port a moment ago.
        self._server = grpc.server(
            self._pool, options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        unary, streaming = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        handlers = {
            "Echo": unary(self._echo),
            "Fail": unary(self._fail),
            "Sleep": unary(self._sleep),
            "Produce": grpc.unary_stream_rpc_method_handler(self._produce),
            "Consume": grpc.stream_unary_rpc_method_handler(self._consume),
            "Converse": streaming(self._converse),
            "Hang": streaming(self._hang),
            "Hasty": streaming(self._hasty),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("probe.Probe", handlers),))
        address = f"127.0.0.1:{port}"
        if leaf is None:
            self.port = self._server.add_insecure_port(address)
        else:
            pair = (leaf.key.encode(), leaf.certificate.encode())
            authority = client_authority.encode() if client_authority else None
            credentials = grpc.ssl_server_credentials(
                [pair], root_certificates=authority, require_client_auth=authority is not None
            )
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self, grace_s: float | None = None) -> threading.Event:
        """Calls off its connections, and ends what runs after the time of grace."""
        if grace_s is None:
            self.release.set()
        stopped: threading.Event = self._server.stop(grace_s)
        return stopped

    def call(self, method: str) -> Call:
        """The last call of a method, once there is one."""
        return awaited(lambda: next((call for call in reversed(self.calls) if call.method == method), None))

    def _open(self, method: str, context: grpc.ServicerContext) -> Call:
        names = context.auth_context().get("x509_common_name", ())
        identities = [name.decode() for name in names]
        call = Call(method, dict(context.invocation_metadata() or ()), context.peer(), identities)
        context.add_callback(call.ended.set)
        self.calls.append(call)
        if ECHO_INITIAL in call.metadata:
            context.send_initial_metadata(((ECHO_INITIAL, call.metadata[ECHO_INITIAL]),))
        if ECHO_TRAILING in call.metadata:
            context.set_trailing_metadata(((ECHO_TRAILING, call.metadata[ECHO_TRAILING]),))
        return call

    def _echo(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self._open("Echo", context).received.append(len(message))
        return message

    def _fail(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self._open("Fail", context)
        code, _, details = message.decode().partition(" ")
        context.abort(getattr(grpc.StatusCode, code), details)
        return b""

    def _sleep(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        call = self._open("Sleep", context)
        while context.is_active() and not self.release.wait(0.01):
            pass
        if not context.is_active():
            call.cancelled.set()
        return message

    def _produce(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._open("Produce", context)
        count, size = map(int, message.decode().split())
        for number in range(count):
            yield bytes([number % 256]) * size

    def _consume(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        call = self._open("Consume", context)
        call.received.extend(len(message) for message in messages)
        return str(sum(call.received)).encode()

    def _converse(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        call = self._open("Converse", context)
        for message in messages:
            call.received.append(len(message))
            yield message

    def _hang(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        call = self._open("Hang", context)
        context.add_callback(call.cancelled.set)
        yield b"begun"
        for message in messages:
            call.received.append(len(message))
        call.cancelled.wait(WAIT_S)

    def _hasty(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._open("Hasty", context)
        yield b"enough"


@contextlib.contextmanager
def serving(*, port: int = 0, leaf: Leaf | None = None, client_authority: str | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server(port=port, leaf=leaf, client_authority=client_authority)
    try:
        yield server
    finally:
        server.stop().wait(WAIT_S)


class Stub:
    """The methods of `probe.Probe` over one connection of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.echo = channel.unary_unary(f"{SERVICE}Echo")
        self.fail = channel.unary_unary(f"{SERVICE}Fail")
        self.sleep = channel.unary_unary(f"{SERVICE}Sleep")
        self.produce = channel.unary_stream(f"{SERVICE}Produce")
        self.consume = channel.stream_unary(f"{SERVICE}Consume")
        self.converse = channel.stream_stream(f"{SERVICE}Converse")
        self.hang = channel.stream_stream(f"{SERVICE}Hang")
        self.hasty = channel.stream_stream(f"{SERVICE}Hasty")


@contextlib.contextmanager
def calling(port: int, *, authority: str = "grpc.example", root: str | None = None) -> Iterator[Stub]:
    """A client of a port: in the clear, or over TLS where it is told whom to trust."""
    options = [
        ("grpc.default_authority", authority),
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    address = f"127.0.0.1:{port}"
    if root is None:
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(root.encode()), options)
    try:
        yield Stub(channel)
    finally:
        channel.close()


def refusal(call: Callable[[], object]) -> grpc.RpcError:
    """The error with which a call ends."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was served")


def awaited(probe: Callable[[], T | None]) -> T:
    """The first true answer; fails where none comes in time."""
    end = time.monotonic() + WAIT_S
    while not (found := probe()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)
    return found
