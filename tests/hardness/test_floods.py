"""Floods on one HTTP/2 connection end it within a bound, cost the upstream nothing beyond, and hold up nobody else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.hardness.cost import core_seconds, memory
from tests.hardness.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    FrameWire,
    block,
    frame,
    integer,
    request,
)
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import OK, RecordingUpstream
from tests.hardness.wire import ask

FRAMES_MAX = 1_000
BYTES_MAX = 256 * 1024
# What may be on its way when the gateway makes up its mind: the buffers of two sockets.
UNDER_WAY_BYTES = 8 * 1024 * 1024
MEMORY_MAX = 8 * 1024 * 1024
# It takes a hundredth on the machine this was written on.
SECONDS_MAX = 0.5
STREAMS_MAX = 100
_NUMBER = 100_000

HEAD = block(request())
OTHER = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"


def stream(number: int) -> int:
    """The number of a client's stream."""
    return number * 2 + 1


@dataclass(frozen=True)
class Flood:
    """What is sent again and again, after what is sent once."""

    again: Callable[[int], bytes]
    once: bytes = b""
    is_counted: bool = True


FLOODS = {
    "rapid reset": Flood(
        lambda number: (
            frame(HEADERS, END_HEADERS | END_STREAM, stream(number), HEAD)
            + frame(RST_STREAM, 0, stream(number), b"\0\0\0\x08")
        )
    ),
    "resets provoked by a window of nothing": Flood(
        lambda number: (
            frame(HEADERS, END_HEADERS | END_STREAM, stream(number), HEAD)
            + frame(WINDOW_UPDATE, 0, stream(number), b"\0\0\0\0")
        )
    ),
    "resets provoked by a dependency on itself": Flood(
        lambda number: frame(
            HEADERS, END_HEADERS | END_STREAM | 0x20, stream(number), stream(number).to_bytes(4) + b"\x10" + HEAD
        )
    ),
    "resets provoked by an overflow": Flood(
        lambda number: (
            frame(HEADERS, END_HEADERS, stream(number), HEAD)
            + frame(WINDOW_UPDATE, 0, stream(number), b"\x7f\xff\xff\xff") * 2
        )
    ),
    "settings": Flood(lambda _: frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64")),
    "empty settings": Flood(lambda _: frame(SETTINGS, 0, 0)),
    "pings": Flood(lambda _: frame(PING, 0, 0, b"12345678")),
    "answers to pings": Flood(lambda _: frame(PING, 1, 0, b"12345678")),
    "priorities": Flood(lambda number: frame(PRIORITY, 0, stream(number), b"\0\0\0\0\x10")),
    "windows": Flood(lambda _: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")),
    "unknown frames": Flood(lambda _: frame(0x42, 0, 0, b"x")),
    "empty data": Flood(lambda _: frame(DATA, 0, 1), once=frame(HEADERS, END_HEADERS, 1, HEAD)),
    "padded data of nothing": Flood(
        lambda _: frame(DATA, 0x8, 1, b"\xff" + b"\0" * 255), once=frame(HEADERS, END_HEADERS, 1, HEAD)
    ),
    "empty continuations": Flood(lambda _: frame(CONTINUATION, 0, 1), once=frame(HEADERS, 0, 1, HEAD)),
    "full continuations": Flood(
        lambda _: frame(CONTINUATION, 0, 1, block([(b"x-a", b"1" * 16_000)])), once=frame(HEADERS, 0, 1, HEAD)
    ),
    "small continuations": Flood(
        lambda number: frame(CONTINUATION, 0, 1, block([(b"x-%d" % number, b"")])), once=frame(HEADERS, 0, 1, HEAD)
    ),
    "empty header blocks": Flood(
        lambda number: frame(HEADERS, END_HEADERS | END_STREAM, stream(number), b""), is_counted=False
    ),
}


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


@contextlib.contextmanager
def costing_little(bytes_max: int = MEMORY_MAX) -> Iterator[None]:
    """What is done meanwhile costs the core next to nothing."""
    seconds, before = core_seconds(), memory()
    yield
    assert core_seconds() - seconds <= SECONDS_MAX
    assert memory() - before <= bytes_max


def flooded(wire: FrameWire, flood: Flood) -> tuple[int, int]:
    """Frames and bytes that were taken until the gateway would have no more."""
    sent, frames = 0, 0
    wire.send(flood.once)
    for number in range(_NUMBER):
        data = flood.again(number)
        if wire.is_closed.is_set() or not wire.send(data):
            break
        sent += len(data)
        frames += 1
    return frames, sent


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_ended(gateway: Gateway, name: str) -> None:
    gateway.forget()
    broken = gateway.counts()["limits_broken"]
    with costing_little(MEMORY_MAX + UNDER_WAY_BYTES), FrameWire(gateway.h2_port) as wire:
        frames, sent = flooded(wire, FLOODS[name])
        assert wire.ended()
        assert frames < _NUMBER
        assert sent <= UNDER_WAY_BYTES
    # Requests that reached the upstream: no more than the streams that may be open.
    assert len(gateway.settled()) <= STREAMS_MAX
    if FLOODS[name].is_counted:
        # A breach of the protocol itself ends the connection with a code of its own.
        assert wire.goaway not in {None, 0, 11} or gateway.wait_for("limits_broken", broken + 1) > broken
    assert gateway.counts()["invariant_broken"] == 0


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_gets_no_further_than_its_bound(gateway: Gateway, name: str) -> None:
    """Written in one go below the bound it is borne; beyond, the connection is over whatever else follows."""
    flood = FLOODS[name]
    with FrameWire(gateway.h2_port) as wire:
        wire.send(flood.once + b"".join(flood.again(number) for number in range(FRAMES_MAX + 200)))
        assert wire.ended()
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 999_999, block(request(path=b"/behind"))))
    assert "/behind" not in [each.target for each in gateway.settled()]


def test_a_table_bomb_costs_no_more_than_the_limit(gateway: Gateway) -> None:
    gateway.forget()
    large = b"\x40" + integer(3, 7) + b"x-a" + integer(3_900, 7) + b"1" * 3_900
    cookie = b"\x40" + integer(6, 7) + b"cookie" + integer(3_900, 7) + b"c" * 3_900
    for entry in (large, cookie):
        with costing_little(), FrameWire(gateway.h2_port) as wire:
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, HEAD + entry))
            wire.reply(1)
            for number in range(1, 60):
                # The newest entry of the table, again and again: 16 kB that stand for 60 MB.
                wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream(number), HEAD + b"\xbe" * 16_000))
            answers = [wire.reply(stream(number)) for number in range(1, 60)]
        assert all(reply.status in {0, 400, 431} for reply in answers)
    # Only the first of each was within the limits.
    assert len(gateway.settled()) <= 2


def test_crumbs_without_end_are_refused(gateway: Gateway) -> None:
    gateway.forget()
    crumbs = b"".join(b"\x60" + integer(1, 7) + b"a" for _ in range(4_000))
    with costing_little(), FrameWire(gateway.h2_port) as wire:
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, HEAD + crumbs))
        reply = wire.reply(1)
        assert reply.status in {0, 400, 431}
    assert gateway.settled() == []


def test_streams_beyond_the_limit_reach_nobody(upstream: RecordingUpstream) -> None:
    held = threading.Event()
    upstream.answer = lambda _: (held.wait(20) and b"") or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    try:
        with serving(upstream) as gateway, FrameWire(gateway.h2_port) as wire:
            for number in range(150):
                wire.ask(stream(number), request(path=b"/held"))
            refused = [wire.reply(stream(number)) for number in range(100, 150)]
            held.set()
            served = [wire.reply(stream(number)) for number in range(100)]
            assert [reply.status for reply in served] == [200] * 100
            assert all(reply.reset is not None for reply in refused)
            assert len([each for each in gateway.settled() if each.target == "/held"]) == 100
    finally:
        upstream.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_client_that_opens_no_window_is_let_go(upstream: RecordingUpstream) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    with serving(upstream, limits={"idle_timeout_ms": 500, "send_timeout_ms": 500}) as gateway:
        with (
            costing_little(32 * 1024 * 1024),
            FrameWire(gateway.h2_port, settings=b"\0\x04\0\0\0\0") as wire,
        ):
            upstream.reply(*[large] * 20)
            for number in range(20):
                wire.ask(stream(number), request())
            stalled = [wire.reply(stream(number)) for number in range(20)]
        assert all(reply.reset is not None or wire.goaway is not None or not reply.is_ended for reply in stalled)
        assert sum(len(reply.body) for reply in stalled) == 0
        assert gateway.counts()["requests_active"] == 0
        assert {record.status for record in gateway.records(20)} <= {200, 499}


@pytest.mark.parametrize("name", FLOODS)
def test_others_are_served_during_a_flood(gateway: Gateway, name: str) -> None:
    stop, floods = threading.Event(), []

    def go_on() -> None:
        while not stop.is_set():
            with FrameWire(gateway.h2_port) as wire:
                floods.append(flooded(wire, FLOODS[name]))

    gateway.forget()
    attacker = threading.Thread(target=go_on)
    attacker.start()
    try:
        answers = []
        with gateway.connect() as kept, FrameWire(gateway.h2_port) as other:
            for number in range(10):
                answers.append(ask(gateway.port, OTHER).status)
                kept.send(OTHER)
                answers.append(kept.read().status)
                other.ask(stream(number), request(path=b"/other"))
                answers.append(other.reply(stream(number)).status)
    finally:
        stop.set()
        attacker.join(60)
    assert answers == [200] * 30
    assert floods
    assert [each.target for each in gateway.settled()].count("/other") == 30


def test_requests_that_were_under_way_when_reset_are_called_off(upstream: RecordingUpstream) -> None:
    """A patient attacker lets each request get through before the reset: the connection ends all the same."""
    held = threading.Event()
    upstream.answer = lambda each: (each.target == "/held" and held.wait(60) and b"") or OK
    try:
        with serving(upstream) as gateway, costing_little(64 * 1024 * 1024), FrameWire(gateway.h2_port) as wire:
            reached = 0
            for number in range(FRAMES_MAX):
                wire.ask(stream(number), request(path=b"/held"))
                if wire.is_closed.is_set() or not upstream.wait_unless(wire.is_closed.is_set):
                    break
                reached += 1
                wire.send(frame(RST_STREAM, 0, stream(number), b"\0\0\0\x08"))
            assert wire.ended()
            assert reached < FRAMES_MAX
            assert gateway.wait_for("limits_broken", 1) >= 1
            assert ask(gateway.port, OTHER).status == 200
    finally:
        held.set()
        upstream.answer = lambda _: OK
