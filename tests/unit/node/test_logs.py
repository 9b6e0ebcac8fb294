"""Log entries reach their sink in batches, again after failures, and are dropped, never waited for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from twinplane.node.log_queue import LogQueue, QueueFacts, QueueLimits
from twinplane.node.log_sinks import Surroundings
from twinplane.node.logs import LogDelivery

PLUGIN = "77777777-7777-4777-8777-777777777777"


class Sink(ThreadingHTTPServer):
    """A real HTTP server that answers with the next of `statuses`, then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], Any]] = []
        self.statuses: list[int] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are part of these tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.command, self.path, dict(self.headers), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = answer  # noqa: N815
    do_PUT = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def sink() -> Iterator[Sink]:
    server = Sink()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Core:
    """Stands for the core: hands out lines once."""

    def __init__(self) -> None:
        self.lines = b""

    def log(self, *entries: dict[str, Any], plugin_id: str = PLUGIN) -> None:
        for entry in entries:
            text = json.dumps(entry, separators=(",", ":"))
            self.lines += f'{{"plugin_id":"{plugin_id}","plugin":"http-log","entry":{text}}}\n'.encode()

    def drain(self, kind: str) -> bytes:
        assert kind == "logs"
        lines, self.lines = self.lines, b""
        return lines


def table(sink: Sink, path: str = "/logs", userinfo: str = "", **config: Any) -> bytes:
    endpoint = f"http://{userinfo}127.0.0.1:{sink.server_address[1]}{path}"
    plugin = {"id": PLUGIN, "name": "http-log", "enabled": True, "config": {"http_endpoint": endpoint, **config}}
    return json.dumps({"plugins": [plugin, {"id": "x", "name": "cors", "config": {}}]}).encode()


def eventually(test: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not test():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def http_facts(delivery: LogDelivery) -> QueueFacts:
    return delivery.facts().plugins.get("http-log", QueueFacts())


class Sender:
    """Takes batches; holds them up while told to, fails while told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[bytes]] = []
        self.go_on = threading.Event()
        self.failures = 0
        self.under_way = 0
        self.closed = 0
        self._guard = threading.Lock()
        if not held:
            self.go_on.set()

    def __call__(self, batch: list[bytes]) -> int:
        with self._guard:
            self.under_way += 1
        self.go_on.wait(30)
        with self._guard:
            self.under_way -= 1
            if self.failures:
                self.failures -= 1
                raise OSError("the sink is away")
            self.batches.append(batch)
        return sum(b"poison" not in entry for entry in batch)

    def close(self) -> None:
        with self._guard:
            self.closed += 1


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def delivery(core: Core) -> Iterator[LogDelivery]:
    made = LogDelivery(core.drain, Surroundings())
    yield made
    made.close(1)


def test_an_entry_is_posted_as_it_was_rendered(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    delivery.configure(table(sink, "/in?x=1", "user:p%40ss@", headers={"X-Key": "k"}, method="PUT"))
    core.log({"request": {"uri": "/é"}, "entry": 1})
    delivery.flush()
    eventually(lambda: len(sink.got) == 1)
    method, path, headers, body = sink.got[0]
    assert (method, path, body) == ("PUT", "/in?x=1", {"request": {"uri": "/é"}, "entry": 1})
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Key"] == "k"
    assert headers["Authorization"] == "Basic dXNlcjpwQHNz"
    eventually(lambda: http_facts(delivery).delivered_total == 1)


def test_batches_are_arrays(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    delivery.configure(table(sink, queue={"max_batch_size": 3, "max_coalescing_delay": 0.2}))
    core.log(*({"n": number} for number in range(7)))
    delivery.flush()
    eventually(lambda: http_facts(delivery).delivered_total == 7)
    assert [len(body) for *_, body in sink.got] == [3, 3, 1]
    assert [entry["n"] for *_, body in sink.got for entry in body] == list(range(7))


def test_connections_are_kept(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    delivery.configure(table(sink))
    for number in range(5):
        core.log({"n": number})
    delivery.flush()
    eventually(lambda: http_facts(delivery).delivered_total == 5)
    assert sink.connections == 1


def test_an_idle_connection_is_kept_no_longer_than_keepalive(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    delivery.configure(table(sink, keepalive=0))
    for number in range(2):
        core.log({"n": number})
        delivery.flush()
        eventually(lambda wanted=number + 1: http_facts(delivery).delivered_total == wanted)  # type: ignore[misc]
    assert sink.connections == 2


def test_failures_are_tried_again(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    sink.statuses = [500, 0, 302]
    delivery.configure(table(sink, queue={"initial_retry_delay": 0.001}))
    core.log({"n": 1})
    delivery.flush()
    eventually(lambda: http_facts(delivery).delivered_total == 1)
    assert len(sink.got) >= 4


def test_a_sink_that_stays_away_is_given_up(core: Core, delivery: LogDelivery, sink: Sink) -> None:
    sink.statuses = [500] * 1000
    delivery.configure(table(sink, queue={"max_retry_time": 1.0, "initial_retry_delay": 0.01}))
    core.log({"n": 1})
    delivery.flush()
    eventually(lambda: http_facts(delivery).failed_total == 1)
    assert http_facts(delivery).retries_total >= 1


def test_the_oldest_entries_are_dropped_and_counted() -> None:
    sender = Sender(held=True)
    queue = LogQueue("x", QueueLimits(max_entries=5, max_coalescing_delay_s=0), sender)
    queue.put(b"first")
    eventually(lambda: len(queue) == 0)
    for number in range(20):
        queue.put(b"%d" % number)
    assert (len(queue), queue.facts.dropped_total) == (5, 15)
    sender.go_on.set()
    queue.close(5)
    assert sender.batches == [[b"first"], [b"15"], [b"16"], [b"17"], [b"18"], [b"19"]]
    assert queue.facts.delivered_total == 6


def test_bytes_are_bounded_too() -> None:
    queue = LogQueue("x", QueueLimits(max_batch_size=100, max_coalescing_delay_s=60, max_bytes=100), Sender())
    for _ in range(10):
        queue.put(b"x" * 30)
    assert (len(queue), queue.facts.dropped_total) == (3, 7)
    # One that never fits pushes no other out.
    queue.put(b"x" * 101)
    assert (len(queue), queue.facts.dropped_total) == (3, 8)
    queue.close(5)


def test_entries_wait_for_others_no_longer_than_the_coalescing_delay() -> None:
    sender = Sender()
    queue = LogQueue("x", QueueLimits(max_batch_size=100, max_coalescing_delay_s=0.2), sender)
    queue.put(b"1")
    queue.put(b"2")
    eventually(lambda: sender.batches != [])
    queue.close(5)
    assert sender.batches == [[b"1", b"2"]]


def test_pauses_between_tries_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    sender, pauses = Sender(), []
    sender.failures = 6
    limits = QueueLimits(initial_retry_delay_s=0.001, max_retry_delay_s=0.004, max_retry_time_s=60)
    queue = LogQueue("x", limits, sender)
    monkeypatch.setattr(queue._is_stopped, "wait", lambda delay: bool(pauses.append(delay)))
    queue.put(b"entry")
    eventually(lambda: queue.facts.delivered_total == 1)
    queue.close(5)
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004, 0.004]
    assert queue.facts.retries_total == 6


def test_a_negative_retry_time_gives_up_at_once() -> None:
    sender = Sender()
    sender.failures = 1
    queue = LogQueue("x", QueueLimits(max_retry_time_s=-1), sender)
    queue.put(b"entry")
    eventually(lambda: queue.facts.failed_total == 1)
    queue.close(5)
    assert (queue.facts.retries_total, sender.batches) == (0, [])


@pytest.mark.parametrize(("threads", "under_way"), [(1, 1), (4, 4)])
def test_so_many_batches_are_under_way_at_a_time(threads: int, under_way: int) -> None:
    sender = Sender(held=True)
    queue = LogQueue("x", QueueLimits(threads=threads, max_coalescing_delay_s=0), sender)
    for number in range(10):
        queue.put(b"%d" % number)
    eventually(lambda: sender.under_way == under_way and len(queue) == 10 - under_way)
    sender.go_on.set()
    queue.close(10)
    assert queue.facts.delivered_total == 10
    assert sender.closed == threads


def test_what_can_never_be_sent_is_counted_as_failed() -> None:
    sender = Sender()
    queue = LogQueue("x", QueueLimits(max_batch_size=2, max_coalescing_delay_s=60), sender)
    queue.put(b"good")
    queue.put(b"poison")
    eventually(lambda: queue.facts.delivered_total == 1)
    queue.close(5)
    assert queue.facts.failed_total == 1


def test_the_node_bounds_what_a_plugin_may_queue() -> None:
    around = Surroundings(bytes_max=1000, threads_max=3)
    assert around.queue_limits({"max_bytes": 5000, "concurrency_limit": -1}) == QueueLimits(max_bytes=1000, threads=3)
    assert around.queue_limits({"max_bytes": 10, "concurrency_limit": 1}) == QueueLimits(max_bytes=10, threads=1)


def test_a_new_configuration_keeps_what_is_unchanged(sink: Sink, core: Core, delivery: LogDelivery) -> None:
    delivery.configure(table(sink, queue={"max_batch_size": 100, "max_coalescing_delay": 3600}))
    core.log({"n": 1})
    delivery.flush()
    delivery.configure(table(sink, queue={"max_batch_size": 100, "max_coalescing_delay": 3600}))
    assert delivery.facts().waiting == 1
    # Another endpoint: what waits goes to the old one, what comes to the new one.
    delivery.configure(table(sink, "/other"))
    core.log({"n": 2})
    delivery.flush()
    eventually(lambda: http_facts(delivery).delivered_total == 2)
    assert {path for _, path, *_ in sink.got} == {"/logs", "/other"}


def test_entries_of_no_plugin_are_counted(core: Core, delivery: LogDelivery) -> None:
    core.log({"n": 1}, plugin_id="88888888-8888-4888-8888-888888888888")
    core.lines += b"not json\n"
    delivery.flush()
    assert delivery.facts().unknown_total == 2


def test_a_configuration_without_sinks_is_not_decoded(delivery: LogDelivery) -> None:
    delivery.configure(b"this is no JSON, and nobody looks")


def test_closing_delivers_what_waits(sink: Sink, core: Core) -> None:
    delivery = LogDelivery(core.drain, Surroundings())
    delivery.configure(table(sink, queue={"max_batch_size": 100, "max_coalescing_delay": 3600}))
    core.log({"n": 1}, {"n": 2})
    delivery.close(5)
    assert [entry["n"] for *_, body in sink.got for entry in body] == [1, 2]
