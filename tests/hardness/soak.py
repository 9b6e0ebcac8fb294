"""Mixed traffic on one core for a while: `python -m tests.hardness.soak --seconds 180` (1800 is the full length).

Keep-alive HTTP/1.1, TLS, HTTP/2, malformed requests and slow clients, with a change of configuration each second.
Every answer is compared with what was asked; in the end memory, descriptors and counters are.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, declared, one_route, serving
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


def http1(gateway: Gateway, tally: Tally, number: int, context: ssl.SSLContext | None = None) -> None:
    """Requests one after the other on a connection."""
    kind = "https" if context else "http"
    with Wire(gateway.tls_port if context else gateway.port, context=context) as wire:
        for each in range(50):
            target, size = f"/{kind}/{number}/{each}", each * 997 % 20_000
            head = f"POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {size}\r\n\r\n"
            wire.send(head.encode() + b"x" * size)
            judge(tally, kind, wire.read(), f"{target} {size}".encode())


def http2(gateway: Gateway, tally: Tally, number: int) -> None:
    """Streams beside each other on a connection."""
    with FrameWire(gateway.h2_port) as wire:
        streams = range(1, 41, 2)
        for stream in streams:
            wire.ask(stream, request(path=f"/h2/{number}/{stream}".encode(), method=b"POST"), b"y" * stream)
        for stream in streams:
            reply = wire.reply(stream)
            judge(tally, "h2", Answer(reply.status, b"", reply.body), f"/h2/{number}/{stream} {stream}".encode())


def malformed(gateway: Gateway, tally: Tally, number: int) -> None:
    """What has to be refused."""
    for each in (b"GET / HTTP/1.1\r\n\r\n", b"GET /%d HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n" % number):
        with gateway.connect() as wire:
            wire.send(each)
            answer = wire.read()
            if answer.status == 400:
                tally.saw("malformed", 400)
            else:
                tally.was_wrong("malformed", answer)


def slow(gateway: Gateway, tally: Tally, number: int) -> None:
    """A head that takes its time, and is served all the same."""
    with gateway.connect() as wire:
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


def resident() -> int:
    """Bytes of this process in memory: the core, its clients and its upstream."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def soak(seconds: float) -> int:
    """Run, tell what was found, say by the exit code whether it was good."""
    upstream, tally, stop = RecordingUpstream(keeps_all=False), Tally(), threading.Event()
    upstream.answer = echo
    with serving(upstream, one_route(upstream, *_PLUGINS)) as gateway:
        context = ssl.create_default_context(cadata=gateway.leaf.certificate)
        kinds: list[Callable[[int], None]] = [
            lambda number: http1(gateway, tally, number),
            lambda number: http1(gateway, tally, number, context),
            lambda number: http2(gateway, tally, number),
            lambda number: malformed(gateway, tally, number),
            lambda number: slow(gateway, tally, number),
        ]
        for kind in kinds:
            kind(0)
        upstream.hang_up()
        idle = descriptors()
        threads = [threading.Thread(target=_go_on, args=(kind, stop, tally)) for kind in kinds]
        for thread in threads:
            thread.start()
        began, warm, changes = time.monotonic(), 0, 0
        while (elapsed := time.monotonic() - began) < seconds:
            changes += 1
            gateway.core.apply(declared(one_route(upstream, *_PLUGINS[: 1 + changes % len(_PLUGINS)])))
            for kind in ("logs", "records", "usage"):
                gateway.core.drain(kind)
            upstream.seen()
            del upstream.raw[:-50]
            if not warm and elapsed >= seconds / 3:
                warm = resident()
            stop.wait(1)
        stop.set()
        for thread in threads:
            thread.join()
        grown, counts = resident(), gateway.counts()
        upstream.hang_up()
        end = time.monotonic() + _SETTLE_S
        while descriptors() > idle + _DESCRIPTORS and time.monotonic() < end:
            time.sleep(0.1)
        faults = list(tally.wrong[:10])
        total = sum(tally.answers.values()) + len(tally.wrong)
        if counts["requests_total"] != total:
            faults.append(f"{counts['requests_total']} requests counted, {total} seen")
        if warm and grown > max(warm * _GROWTH, warm + _GROWTH_BYTES):
            faults.append(f"memory grew from {warm} to {grown} bytes")
        if abs(descriptors() - idle) > _DESCRIPTORS:
            faults.append(f"{descriptors()} descriptors, {idle} when idle")
        if counts["invariant_broken"]:
            faults.append(f"{counts['invariant_broken']} invariants broken")
    upstream.close()
    print(f"{total} requests in {seconds:.0f} s, {changes} configurations, {dict(tally.answers)}")
    print(f"memory {warm >> 20} -> {grown >> 20} MiB, {len(tally.wrong)} wrong answers, faults: {faults or 'none'}")
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
