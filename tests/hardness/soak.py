"""Mixed traffic on one core for a while: `python -m tests.hardness.soak --seconds 180` (1800 is the full length).

Keep-alive HTTP/1.1, TLS, HTTP/2, malformed requests and slow clients, with a change of configuration each second.
Every answer is compared with what was asked; in the end memory, descriptors and counters are. Clients and upstream are
a process of their own, so that what is measured is the core's.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import ssl
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Started, counts_of, declared, one_route, started
from tests.hardness.recorded import Forwarded, RecordingUpstream
from tests.hardness.wire import Answer, Wire

_PLUGINS = (
    {"name": "correlation-id", "config": {"header_name": "X-Correlation"}},
    {"name": "cors"},
    {"name": "rate-limiting", "config": {"minute": 100_000_000, "policy": "local"}},
    {"name": "response-transformer", "config": {"add": {"headers": ["X-Added:1"]}}},
)
_GROWTH = 1.05
_GROWTH_BYTES = 16 * 1024 * 1024
_DESCRIPTORS = 5
_SETTLE_S = 20.0
_PATIENCE_S = 120.0
# A shorter run is over before every cache and pool has its size: its memory is told, not judged.
_JUDGED_S = 60.0


@dataclass(frozen=True)
class Upstream:
    """Where the upstream listens."""

    port: int


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
    lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, kind: str, status: int) -> None:
        """An answer that was as it should be."""
        with self.lock:
            self.answers[f"{kind} {status}"] += 1

    def was_wrong(self, kind: str, what: object) -> None:
        """One that was not, or none at all."""
        with self.lock:
            self.wrong.append(f"{kind}: {what}")


def echo(forwarded: Forwarded) -> bytes:
    """The target and the body's length, so that a mixed-up answer shows."""
    body = f"{forwarded.target} {len(forwarded.content)}".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def http1(ports: Ports, tally: Tally, number: int, context: ssl.SSLContext | None = None) -> None:
    """Requests one after the other on a connection."""
    kind = "https" if context else "http"
    with Wire(ports.tls if context else ports.plain, context=context) as wire:
        for each in range(50):
            target, size = f"/{kind}/{number}/{each}", each * 997 % 20_000
            head = f"POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {size}\r\n\r\n"
            wire.send(head.encode() + b"x" * size)
            judge(tally, kind, wire.read(), f"{target} {size}".encode())


def http2(ports: Ports, tally: Tally, number: int) -> None:
    """Streams beside each other on a connection."""
    with FrameWire(ports.h2) as wire:
        streams = range(1, 41, 2)
        for stream in streams:
            wire.ask(stream, request(path=f"/h2/{number}/{stream}".encode(), method=b"POST"), b"y" * stream)
        for stream in streams:
            reply = wire.reply(stream)
            judge(tally, "h2", Answer(reply.status, b"", reply.body), f"/h2/{number}/{stream} {stream}".encode())


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


def judge(tally: Tally, kind: str, answer: Answer, wanted: bytes) -> None:
    """Compare an answer with the one that was asked for."""
    if answer.status == 200 and answer.is_whole and answer.body == wanted:
        tally.saw(kind, 200)
    else:
        tally.was_wrong(kind, (answer.status, answer.body[:80], wanted))


def clients(door: Connection) -> None:
    """The other process: an upstream, and clients until it is told to stop."""
    upstream, tally, stop = RecordingUpstream(keeps_all=False), Tally(), threading.Event()
    upstream.answer = echo
    door.send(upstream.port)
    ports: Ports = door.recv()
    context = ssl.create_default_context(cadata=ports.certificate)
    kinds: list[Callable[[int], None]] = [
        lambda number: http1(ports, tally, number),
        lambda number: http1(ports, tally, number, context),
        lambda number: http2(ports, tally, number),
        lambda number: malformed(ports, tally, number),
        lambda number: slow(ports, tally, number),
    ]
    for kind in kinds:
        kind(0)
    upstream.hang_up()
    door.send(None)
    door.recv()
    threads = [threading.Thread(target=_go_on, args=(kind, stop, tally)) for kind in kinds]
    for thread in threads:
        thread.start()
    while not door.poll(1):
        upstream.seen()
        del upstream.raw[:-50]
    stop.set()
    for thread in threads:
        thread.join()
    upstream.close()
    door.send((dict(tally.answers), tally.wrong))


def resident() -> int:
    """Bytes of this process in memory: the core, and the interpreter around it."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def settled(idle: int) -> int:
    """Descriptors, once they are about as many as when idle."""
    end = time.monotonic() + _SETTLE_S
    while abs(descriptors() - idle) > _DESCRIPTORS and time.monotonic() < end:
        time.sleep(0.1)
    return descriptors()


def told(door: Connection) -> object:
    """What the other process says; it may not keep silent for ever."""
    if not door.poll(_PATIENCE_S):
        raise TimeoutError("the clients say nothing")
    return door.recv()


def changed(node: Started, tables: list[bytes], seconds: float) -> list[int]:
    """Apply one configuration after the other; the memory after each."""
    samples: list[int] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        node.core.apply(tables[len(samples) % len(tables)])
        for kind in ("logs", "records", "usage"):
            node.core.drain(kind)
        samples.append(resident())
        time.sleep(1)
    return samples


def soak(seconds: float) -> int:
    """Run, tell what was found, say by the exit code whether it was good."""
    context = multiprocessing.get_context("spawn")
    door, far = context.Pipe()
    others = context.Process(target=clients, args=(far,), daemon=True)
    others.start()
    port = told(door)
    assert isinstance(port, int)
    configs = [one_route(Upstream(port), *_PLUGINS[:count]) for count in range(len(_PLUGINS), 0, -1)]
    tables = [declared(config) for config in configs]
    with started(configs[0]) as node:
        door.send(Ports(*node.ports, node.leaf.certificate))
        told(door)
        # The upstream has hung up, so nothing is open but what always is.
        idle = settled(descriptors())
        door.send(None)
        samples = changed(node, tables, seconds)
        door.send(None)
        answers, wrong = told(door)  # type: ignore[misc]
        counts = counts_of(node.core)
        total, open_now = sum(answers.values()) + len(wrong), settled(idle)
        faults = list(wrong[:10])
        if counts["requests_total"] != total:
            faults.append(f"{counts['requests_total']} requests counted, {total} seen")
        if abs(open_now - idle) > _DESCRIPTORS:
            faults.append(f"{open_now} descriptors, {idle} when idle")
        if counts["invariant_broken"]:
            faults.append(f"{counts['invariant_broken']} invariants broken")
    others.join(_PATIENCE_S)
    # The first third is warm-up; what comes after it should stay where it is.
    third = len(samples) // 3
    warm, grown = (int(statistics.median(samples[third * at :][: third or 1])) for at in (1, 2))
    if seconds >= _JUDGED_S and grown > max(warm * _GROWTH, warm + _GROWTH_BYTES):
        faults.append(f"memory grew from {warm} to {grown} bytes")
    print(f"{total} requests in {seconds:.0f} s, {len(samples)} configurations, {answers}")
    print(f"memory {warm >> 20} -> {grown >> 20} MiB (last {samples[-1] >> 20}), descriptors {idle} -> {open_now}")
    print(f"{len(wrong)} wrong answers, faults: {faults or 'none'}")
    return 1 if faults else 0


def _go_on(kind: Callable[[int], None], stop: threading.Event, tally: Tally) -> None:
    number = 1
    while not stop.is_set():
        number += 1
        try:
            kind(number)
        except (OSError, AssertionError) as error:
            tally.was_wrong("client", repr(error))


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    with contextlib.suppress(KeyboardInterrupt):
        return soak(parser.parse_args().seconds)
    return 130


if __name__ == "__main__":
    sys.exit(main())
