"""The other side of a soak, a process of its own: upstreams that come and go, and clients that compare every answer."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import grpc
from tests.hardness.frames import FrameWire, request
from tests.hardness.recorded import Forwarded, RecordingUpstream
from tests.hardness.wire import Answer, Wire
from tests.integration.grpc_peer import WAIT_S, Server, calling
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

CALLS_HOST = "calls.example"
# How long an upstream stays, and how long it is away.
_STAYS_S = 3.0
_AWAY_S = 0.3
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Upstream:
    """Where an upstream listens."""

    port: int


@dataclass(frozen=True)
class Upstreams:
    """Where all of them listen. Those of a pair are restarted in turn."""

    steady: Upstream
    websockets: Upstream
    requests: tuple[Upstream, ...]
    calls: tuple[Upstream, ...]


@dataclass(frozen=True)
class Ports:
    """Where the core listens, and the certificate it shows."""

    plain: int
    tls: int
    h2: int
    certificate: str


@dataclass
class Tally:
    """What the clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    restarts: int = 0
    took_s: array[float] = field(default_factory=lambda: array("d"))
    """How long each plain request took, in order."""

    def saw(self, kind: str, status: int) -> None:
        """An answer that was as it should be."""
        with _LOCK:
            self.answers[f"{kind} {status}"] += 1

    def was_wrong(self, kind: str, what: object) -> None:
        """One that was not, or none at all."""
        with _LOCK:
            self.wrong.append(f"{kind}: {what}")


def echo(forwarded: Forwarded) -> bytes:
    """The target and the body's length, so that a mixed-up answer shows."""
    body = f"{forwarded.target} {len(forwarded.content)}".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def judge(tally: Tally, kind: str, answer: Answer, wanted: bytes) -> None:
    """Compare an answer with the one that was asked for."""
    if answer.status == 200 and answer.is_whole and answer.body == wanted:
        tally.saw(kind, 200)
    else:
        tally.was_wrong(kind, (answer.status, answer.body[:80], wanted))


# --- clients ---


def http1(ports: Ports, tally: Tally, number: int, context: ssl.SSLContext | None = None) -> None:
    """Requests one after the other on a connection."""
    kind = "https" if context else "http"
    with Wire(ports.tls if context else ports.plain, context=context) as wire:
        for each in range(50):
            target, size = f"/{kind}/{number}/{each}", each * 997 % 20_000
            head = f"POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {size}\r\n\r\n"
            began = time.monotonic()
            wire.send(head.encode() + b"x" * size)
            judge(tally, kind, wire.read(), f"{target} {size}".encode())
            if context is None:
                tally.took_s.append(time.monotonic() - began)


def http2(ports: Ports, tally: Tally, number: int) -> None:
    """Streams beside each other on a connection."""
    with FrameWire(ports.h2) as wire:
        streams = range(1, 41, 2)
        for stream in streams:
            wire.ask(stream, request(path=f"/h2/{number}/{stream}".encode(), method=b"POST"), b"y" * stream)
        for stream in streams:
            reply = wire.reply(stream)
            judge(tally, "h2", Answer(reply.status, b"", reply.body), f"/h2/{number}/{stream} {stream}".encode())


def restarted(ports: Ports, tally: Tally, number: int) -> None:
    """Requests that may be sent again, to a pair of which one or the other goes away without a word."""
    with Wire(ports.plain) as wire:
        for each in range(50):
            target = f"/restarted/{number}/{each}"
            wire.send(f"GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            judge(tally, "restarted", wire.read(), f"{target} 0".encode())


def calls(ports: Ports, tally: Tally, number: int) -> None:
    """gRPC: calls of one message, and one that goes back and forth; the servers take their leave as they do."""

    def judged(call: Callable[[], object], wanted: object) -> None:
        try:
            got = call()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise
            # So a server that leaves ends calls which it has taken and not begun; no gateway may send them again.
            tally.saw("grpc, called off by a server that left", 200)
            return
        if got == wanted:
            tally.saw("grpc", 200)
        else:
            tally.was_wrong("grpc", (got, wanted))

    with calling(ports.h2, authority=CALLS_HOST) as stub:
        for each in range(20):
            message = f"{number} {each} ".encode() * (1 + each * 100)
            judged(partial(stub.echo, message, timeout=WAIT_S), message)
        messages = [f"{number} {each}".encode() for each in range(10)]
        judged(lambda: list(stub.converse(iter(messages), timeout=WAIT_S)), messages)


def chat(ports: Ports, tally: Tally, number: int) -> None:
    """A WebSocket: messages of both kinds come back as they were sent."""
    address = f"ws://127.0.0.1:{ports.plain}/chat/{number}"
    with connect(address, compression=None, proxy=None, open_timeout=WAIT_S, close_timeout=WAIT_S) as opened:
        said: list[str | bytes] = [*(f"{number} {each} " * each for each in range(1, 40)), bytes(range(256)) * 200]
        for message in said:
            opened.send(message)
        heard = [opened.recv(WAIT_S) for _ in said]
    if heard == said:
        tally.saw("websocket", 101)
    else:
        tally.was_wrong("websocket", heard[:1])


def malformed(ports: Ports, tally: Tally, number: int) -> None:
    """What has to be refused."""
    for each in (b"GET / HTTP/1.1\r\n\r\n", b"GET /%d HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n" % number):
        with Wire(ports.plain) as wire:
            wire.send(each)
            answer = wire.read()
            if answer.status == 400:
                tally.saw("malformed", 400)
            else:
                tally.was_wrong("malformed", answer)


def slow(ports: Ports, tally: Tally, number: int) -> None:
    """A head that takes its time, and is served all the same."""
    with Wire(ports.plain) as wire:
        target = f"/slow/{number}"
        for byte in f"GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode():
            wire.send(bytes([byte]))
            time.sleep(0.01)
        judge(tally, "slow", wire.read(), f"{target} 0".encode())


# --- upstreams ---


class Pair:
    """Two upstreams alike. One of them may be away, never both."""

    def __init__(self, begin: Callable[[int], Any], end: Callable[[Any], None]) -> None:
        self._begin, self._end = begin, end
        self._both = [begin(0), begin(0)]
        self.places = tuple(Upstream(each.port) for each in self._both)

    def restart(self, which: int) -> None:
        """Stop one, be away for a moment, listen where it listened."""
        self._end(self._both[which])
        time.sleep(_AWAY_S)
        self._both[which] = self._begin(self.places[which].port)

    def close(self) -> None:
        """Stop both."""
        for each in self._both:
            self._end(each)

    def forget(self) -> None:
        """Drop what they keep of requests."""
        for each in self._both:
            if isinstance(each, RecordingUpstream):
                forget(each)
            else:
                del each.calls[:-50]


def forget(upstream: RecordingUpstream) -> None:
    """Drop what it keeps of requests."""
    upstream.seen()
    del upstream.raw[:-50]


def _echoing(port: int) -> RecordingUpstream:
    return RecordingUpstream(port=port, keeps_all=False, answer=echo)


def _answering(port: int) -> Server:
    return Server(port=port)


def _leave(server: Server) -> None:
    # Calls under way are answered, new ones are told to go elsewhere.
    server.stop(WAIT_S).wait(WAIT_S)


@contextlib.contextmanager
def _chatting() -> Iterator[int]:
    def answer(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(answer, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


# --- the process ---


def clients(door: Connection) -> None:
    """Upstreams, and clients until they are told to stop."""
    steady, tally, stop = _echoing(0), Tally(), threading.Event()
    pairs = [Pair(_echoing, RecordingUpstream.close), Pair(_answering, _leave)]
    with _chatting() as chat_port:
        door.send(Upstreams(Upstream(steady.port), Upstream(chat_port), *(pair.places for pair in pairs)))
        ports: Ports = door.recv()
        context = ssl.create_default_context(cadata=ports.certificate)
        kinds: list[Callable[[int], None]] = [
            lambda number: http1(ports, tally, number),
            lambda number: http1(ports, tally, number, context),
            lambda number: http2(ports, tally, number),
            lambda number: restarted(ports, tally, number),
            lambda number: calls(ports, tally, number),
            lambda number: chat(ports, tally, number),
            lambda number: malformed(ports, tally, number),
            lambda number: slow(ports, tally, number),
        ]
        for kind in kinds:
            kind(0)
        steady.hang_up()
        for pair in pairs:
            pair.restart(0)
            pair.restart(1)
        door.send(None)
        door.recv()
        threads = [threading.Thread(target=_go_on, args=(kind, stop, tally)) for kind in kinds]
        threads.append(threading.Thread(target=_restart, args=(pairs, stop, tally)))
        for thread in threads:
            thread.start()
        while not door.poll(1):
            forget(steady)
            for pair in pairs:
                pair.forget()
        stop.set()
        for thread in threads:
            thread.join()
        steady.close()
        for pair in pairs:
            pair.close()
    door.send(tally)


def _go_on(kind: Callable[[int], None], stop: threading.Event, tally: Tally) -> None:
    number = 1
    while not stop.is_set():
        number += 1
        try:
            kind(number)
        except (OSError, AssertionError, grpc.RpcError, WebSocketException) as error:
            tally.was_wrong("client", repr(error))


def _restart(pairs: list[Pair], stop: threading.Event, tally: Tally) -> None:
    which = 0
    while not stop.wait(_STAYS_S):
        for pair in pairs:
            pair.restart(which)
            tally.restarts += 1
        which = 1 - which
