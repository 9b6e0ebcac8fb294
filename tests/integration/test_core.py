"""The core through its door: the five verbs, from Python, with real sockets."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - the door itself is what is tried

ROOT = Path(__file__).parents[2]
APPLIES = 200
ROUTES = 300
SETTLED_ROUNDS = 4
MOST_ROUNDS = 24


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    """The port of an upstream that tells what it was sent."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def _settings(**changes: Any) -> bytes:
    document = {
        "node_id": "0b1c9f0e-8d5b-4a39-9a53-6b7f3c1f9d10",
        "version": "twinplane/0.1.0",
        "workers": 2,
        "listeners": [{"address": "127.0.0.1", "port": 0}],
    }
    return json.dumps(document | changes).encode()


def _payload(port: int, *paths: str) -> bytes:
    service = {
        "id": "s",
        "name": "s",
        "protocol": "http",
        "host": "127.0.0.1",
        "port": port,
        "retries": 5,
        "connect_timeout": 5000,
        "read_timeout": 5000,
        "write_timeout": 5000,
        "enabled": True,
    }
    routes = [
        {
            "id": f"r{number}",
            "service": "s",
            "protocols": ["http", "https"],
            "https_redirect_status_code": 426,
            "strip_path": False,
            "preserve_host": False,
            "request_buffering": True,
            "response_buffering": True,
            "paths": [path],
            "path_handling": "v0",
            "regex_priority": 0,
        }
        for number, path in enumerate(paths or ("/",))
    ]
    return json.dumps({"_format_version": "3.0", "services": [service], "routes": routes}).encode()


@contextlib.contextmanager
def _core(settings: bytes, payload: bytes | None = None) -> Iterator[Core]:
    core = Core.start(settings, payload)
    try:
        yield core
    finally:
        core.stop(0)


def _get(core: Core, path: str = "/") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", core.status().listeners[0][1], timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _wait_for(is_so: Callable[[], bool]) -> None:
    """A request is counted a moment after its last byte has gone."""
    deadline = time.monotonic() + 5
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert is_so()


def test_a_request_is_proxied_and_recorded(upstream: int) -> None:
    with _core(_settings(), _payload(upstream)) as core:
        status, body = _get(core, "/a?b=c")
        assert status == 200
        assert json.loads(body)["path"] == "/a?b=c"
        _wait_for(lambda: core.status().requests_total == 1)
        (record,) = map(json.loads, core.drain("records").splitlines())
        assert record[2:4] == ["s", "r0"]
        assert record[7:10] == ["GET", "/a", None]
        assert record[12:15] == [200, 200, "upstream"]
        (usage,) = map(json.loads, core.drain("usage").splitlines())
        assert usage[1:7] == ["s", "r0", None, None, 200, 1]


def test_without_a_configuration_it_starts_and_is_not_ready() -> None:
    with _core(_settings()) as core:
        assert not core.status().snapshot_ready
        assert _get(core)[0] == 404
        applied = core.apply(b"{}")
        assert (applied.issues, applied.routes) == ([], 0)
        assert core.status().snapshot_ready


def test_every_mistake_of_the_settings_is_told_before_a_port_opens() -> None:
    with pytest.raises(StartError) as caught:
        Core.start(_settings(workers=0, trusted_ips=["nowhere"], tls_protocols=["SSLv3"]))
    (faults,) = caught.value.args
    assert [fault.partition(":")[0] for fault in faults] == ["workers", "trusted_ips", *["tls_protocols"] * 2]


def test_a_port_in_use_is_refused() -> None:
    with _core(_settings()) as core:
        port = core.status().listeners[0][1]
        with pytest.raises(StartError) as caught:
            Core.start(_settings(listeners=[{"address": "127.0.0.1", "port": port}]))
        assert caught.value.args[0] == [f"cannot listen on 127.0.0.1:{port}: the port is in use"]


def test_a_configuration_that_cannot_be_served_changes_nothing(upstream: int) -> None:
    with _core(_settings(), _payload(upstream)) as core:
        table = json.loads(_payload(upstream))
        table["routes"][0]["service"] = "nowhere"
        with pytest.raises(ApplyError) as caught:
            core.apply(json.dumps(table).encode())
        (fault,) = json.loads(caught.value.args[0])
        assert (fault["entity"], fault["id"]) == ("routes", "r0")
        assert _get(core)[0] == 200


def test_a_plugin_that_cannot_run_is_reported_and_its_route_refused(upstream: int) -> None:
    with _core(_settings(), _payload(upstream)) as core:
        table = json.loads(_payload(upstream))
        table["plugins"] = [
            {
                "id": "p",
                "name": "ldap-auth",
                "config": {},
                "enabled": True,
                "protocols": ["http", "https"],
                "route": "r0",
            }
        ]
        applied = core.apply(json.dumps(table).encode())
        (issue,) = applied.issues
        assert (issue["plugin_id"], issue["plugin"]) == ("p", "ldap-auth")
        assert issue["code"]
        assert issue["message"]
        assert _get(core)[0] == 503


def test_nothing_is_drained_under_an_unknown_name() -> None:
    with _core(_settings()) as core, pytest.raises(ValueError, match="colours"):
        core.drain("colours")  # type: ignore[arg-type]


def test_metrics_are_one_object(upstream: int) -> None:
    with _core(_settings(), _payload(upstream)) as core:
        _get(core)
        _wait_for(lambda: core.status().requests_total == 1)
        metrics = json.loads(core.drain("metrics"))
        assert metrics["connections"]["accepted"] == metrics["requests_total"] == 1
        assert metrics["snapshot"]["routes"] == 1


def test_other_threads_run_while_the_core_is_stopped(upstream: int) -> None:
    core = Core.start(_settings(), _payload(upstream))
    held = socket.create_connection(("127.0.0.1", core.status().listeners[0][1]))
    held.sendall(b"GET / HTTP/1.1\r\n")  # a head that never ends: the stop waits for its grace
    time.sleep(0.1)
    stopping = threading.Thread(target=core.stop, args=(700,))
    started = time.monotonic()
    stopping.start()
    turns = 0
    while stopping.is_alive() and turns < 20:
        time.sleep(0.02)
        turns += 1
    stopping.join()
    assert time.monotonic() - started < 5
    held.close()


def test_a_stop_is_final_and_may_be_repeated(upstream: int) -> None:
    core = Core.start(_settings(), _payload(upstream))
    port = core.status().listeners[0][1]
    core.stop(100)
    core.stop(100)
    assert core.status().workers == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_core_that_is_dropped_stops(upstream: int) -> None:
    core = Core.start(_settings(), _payload(upstream))
    port = core.status().listeners[0][1]
    del core
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() // 1024


def _start_apply_stop(port: int, results: Any) -> None:
    payload = _payload(port, *(f"/path/{number}" for number in range(ROUTES)))

    def once() -> None:
        with _core(_settings(), payload) as core:
            for _ in range(APPLIES):
                core.apply(payload)
            _get(core, "/path/1")
            core.drain("metrics")

    once()
    files, threads = _open_files(), threading.active_count()
    resident = [_resident_kib()]
    while len(resident) <= MOST_ROUNDS and not _has_settled(resident):
        once()
        resident.append(_resident_kib())
    results.put((_open_files() - files, threading.active_count() - threads, resident))


def _has_settled(resident: Sequence[int]) -> bool:
    """Whether the last rounds together grew by less than they would if each apply left 20 bytes a route behind.

    An allocator takes its time to settle, a leak never does: the last rounds count, not the distance from the first.
    """
    leaked_kib = SETTLED_ROUNDS * APPLIES * ROUTES * 20 // 1024
    return len(resident) > SETTLED_ROUNDS and resident[-1] - resident[-1 - SETTLED_ROUNDS] < leaked_kib


def test_start_apply_200_times_and_stop_leaks_nothing(upstream: int) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_start_apply_stop, args=(upstream, results))
    process.start()
    files, threads, resident = results.get(timeout=120)
    process.join()
    results.close()
    results.join_thread()
    assert (files, threads) == (0, 0)
    assert _has_settled(resident), resident


def test_accepting_pauses_without_descriptors_and_goes_on(upstream: int) -> None:
    program = textwrap.dedent(
        """
        import json, resource, socket, sys, time
        from twinplane._dataplane import Core
        core = Core.start(sys.argv[1].encode(), sys.argv[2].encode())
        port = core.status().listeners[0][1]
        print(port, flush=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        sys.stdin.readline()
        metrics = json.loads(core.drain("metrics"))["connections"]
        print(metrics["accept_pauses"], time.process_time(), flush=True)
        core.stop(0)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, _settings(workers=1).decode(), _payload(upstream).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        port = int(process.stdout.readline())
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        time.sleep(1)
        for each in held:
            each.close()
        time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.stdin.write("\n")
        process.stdin.flush()
        pauses, busy_s = process.stdout.readline().split()
    assert int(pauses) > 0
    assert float(busy_s) < 1, "no busy loop"
    assert process.returncode == 0
