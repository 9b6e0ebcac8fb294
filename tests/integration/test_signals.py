"""Each program under each signal, as a real process: how it ends, what it lets finish, what it reads again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.installation import Client, Upstream, eventually, free_ports, installation, run_twinplane

STOPS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGQUIT": signal.SIGQUIT}


class SlowUpstream:
    """Takes one connection at a time and answers when it is told."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                self.asked.set()
                self.may_answer.wait(30)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self) -> None:
        self.may_answer.set()
        self._listener.close()


class DeclaredNode:
    """A node with a declarative file."""

    def __init__(self, directory: Path, upstream_port: int) -> None:
        self.directory = directory
        self.file = directory / "kong.json"
        self.conf = directory / "kong.conf"
        self.upstream_port = upstream_port
        proxy, status = free_ports(2)
        self.proxy, self.status = Client(proxy), Client(status)
        self.settings = {
            "role": "traditional",
            "database": "off",
            "prefix": directory / "prefix",
            "declarative_config": self.file,
            "proxy_listen": f"127.0.0.1:{proxy}",
            "status_listen": f"127.0.0.1:{status}",
            "admin_listen": "off",
            "nginx_worker_processes": 1,
        }
        self.declare("/one")
        self.write_conf()
        self.process = run_twinplane("data-plane", "-c", str(self.conf))
        try:
            eventually(lambda: self.status("GET", "/status/ready").status == 200, seconds=60)
        except AssertionError:
            self.process.kill()
            raise AssertionError(self.process.communicate()[0].decode()) from None

    def declare(self, path: str) -> None:
        route = {"name": "r", "paths": [path], "strip_path": False}
        service = {"name": "s", "url": f"http://127.0.0.1:{self.upstream_port}", "routes": [route]}
        self.file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))

    def write_conf(self, **changed: object) -> None:
        self.settings |= changed
        self.conf.write_text("".join(f"{name} = {value}\n" for name, value in self.settings.items()))

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def ended(self) -> tuple[int, str]:
        """Its exit status and all it has said."""
        output = self.process.communicate(timeout=60)[0]
        return self.process.returncode, output.decode()


@contextmanager
def declared_node(directory: Path, upstream_port: int) -> Iterator[DeclaredNode]:
    directory.mkdir(exist_ok=True)
    node = DeclaredNode(directory, upstream_port)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.process.kill()
        node.process.communicate()


@pytest.mark.parametrize("name", STOPS)
def test_a_node_finishes_what_is_under_way_and_ends_with_0(tmp_path: Path, name: str) -> None:
    upstream = SlowUpstream()
    with declared_node(tmp_path, upstream.port) as node:
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(node.proxy("GET", "/one").status))
        asking.start()
        assert upstream.asked.wait(20)
        node.send(STOPS[name])
        time.sleep(0.3)
        assert node.process.poll() is None
        upstream.may_answer.set()
        asking.join(20)
        assert answers == [200]
        status, output = node.ended()
        assert status == 0
        assert f"stop_asked signal={name}" in output
        assert "node_stopping" in output
    upstream.close()


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_a_node_at_once(tmp_path: Path, second: str) -> None:
    upstream = SlowUpstream()
    with declared_node(tmp_path, upstream.port) as node:
        asking = threading.Thread(target=_ask_in_vain, args=(node.proxy,))
        asking.start()
        assert upstream.asked.wait(20)
        node.send(signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
        node.send(STOPS[second])
        status, output = node.ended()
        assert status == 128 + STOPS[second]
        assert time.monotonic() - began < 9
        assert "process_ended_at_once" in output
        upstream.close()
        asking.join(20)


def _ask_in_vain(proxy: Client) -> None:
    try:
        proxy("GET", "/one")
    except Exception:
        return


def test_a_hangup_reloads_the_declarative_file_without_losing_a_request(tmp_path: Path) -> None:
    with Upstream() as upstream, declared_node(tmp_path, upstream.port) as node:
        failures: list[int] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                status = node.proxy("GET", "/one").status
                if status != 200:
                    failures.append(status)

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        for number in range(5):
            # The route in use stays; what is beside it changes.
            route = {"name": "r", "paths": ["/one", f"/more-{number}"], "strip_path": False}
            service = {"name": "s", "url": f"http://127.0.0.1:{upstream.port}", "routes": [route]}
            node.file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
            node.send(signal.SIGHUP)
            eventually(lambda number=number: node.proxy("GET", f"/more-{number}").status == 200)
        done.set()
        for thread in asking:
            thread.join(20)
        assert failures == []

        node.file.write_text("{}")
        node.send(signal.SIGHUP)
        eventually(lambda: node.status("GET", "/status").json()["conditions"])
        assert node.status("GET", "/status").json()["conditions"][0]["code"] == "declarative_config_refused"
        assert node.proxy("GET", "/one").status == 200
        node.declare("/two")
        node.send(signal.SIGHUP)
        eventually(lambda: node.proxy("GET", "/two").status == 200)
        assert node.status("GET", "/status").json()["conditions"] == []

        node.write_conf(log_level="debug", nginx_worker_processes=2)
        node.send(signal.SIGHUP)
        node.send(signal.SIGUSR1)
        time.sleep(0.5)
        node.conf.write_text("proxy_listen = nowhere\n")
        node.send(signal.SIGHUP)
        time.sleep(0.5)
        node.send(signal.SIGTERM)
        status, output = node.ended()
        assert status == 0
        assert "setting_needs_restart name=nginx_worker_processes" in output
        assert "setting_needs_restart name=log_level" not in output
        assert "settings_refused" in output
        assert "signal_without_effect name=SIGUSR1" in output


def test_a_node_serves_without_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "prefix").write_text("a file where the directory should be")
    with Upstream() as upstream, declared_node(tmp_path, upstream.port) as node:
        assert node.proxy("GET", "/one").status == 200
        node.send(signal.SIGTERM)
        status, output = node.ended()
        assert status == 0
        assert output.count("prefix_unusable") == 1


def test_two_nodes_on_one_prefix_are_refused(tmp_path: Path) -> None:
    with Upstream() as upstream, declared_node(tmp_path, upstream.port) as node:
        second = run_twinplane("data-plane", "-c", str(node.conf))
        output = second.communicate(timeout=60)[0].decode()
        assert second.returncode == 1
        assert "another process works in this directory" in output


def test_wrong_settings_end_with_2_and_an_unreadable_file_with_1(tmp_path: Path) -> None:
    environ = {"KONG_ROLE": "traditional", "KONG_PREFIX": str(tmp_path), "KONG_DECLARATIVE_CONFIG": "/nowhere.yaml"}
    for extra, expected in (({"KONG_PROXY_LISTEN": "nowhere"}, 2), ({}, 1)):
        process = run_twinplane("data-plane", environ={**environ, **extra})
        process.communicate(timeout=60)
        assert process.returncode == expected


@pytest.mark.parametrize("name", STOPS)
def test_a_control_plane_ends_with_0(tmp_path: Path, name: str) -> None:
    process, port = _control_plane(tmp_path)
    try:
        for signum in (signal.SIGHUP, signal.SIGUSR1):
            process.send_signal(signum)
        time.sleep(0.3)
        assert Client(port, ca=tmp_path / "ca.pem")("GET", "/health").status == 200
        process.send_signal(STOPS[name])
        output = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 0, output
        assert "control_plane_stopping" in output
    finally:
        process.kill()
        process.communicate()


def test_a_second_signal_ends_a_control_plane_at_once(tmp_path: Path) -> None:
    process, port = _control_plane(tmp_path)
    try:
        # A request that is under way holds the first stop for up to its grace.
        holding = socket.create_connection(("127.0.0.1", port))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        # Where the first one was done before the second came, there was nothing to cut.
        assert process.returncode in (0, 130, 143)
        holding.close()
    finally:
        process.kill()
        process.communicate()


def _control_plane(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    (port,) = free_ports(1)
    process = run_twinplane(
        "control-plane", "--data", str(directory), "--listen", "127.0.0.1", "--port", str(port), "--admin-port", "off"
    )
    eventually(lambda: Client(port, ca=directory / "ca.pem")("GET", "/health").status == 200, seconds=60)
    return process, port


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT"])
def test_up_stops_both_planes_and_ends_with_0(tmp_path: Path, name: str) -> None:
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # These tests run under nohup: what they start inherits that, and would rightly live on.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with installation(tmp_path) as up:
        up.process.send_signal(getattr(signal, name))
        assert up.process.wait(60) == 0
        for pid in up.ports["pids"].values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
