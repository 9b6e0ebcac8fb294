"""Three nodes behind a balancer, and their control plane, replaced one by one while requests flow: none is lost."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Client, Upstream, eventually, run_twinplane
from tests.integration.ports import LEASE

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")

OLD, NEW = "3.8.1", "3.9.3"
CLIENTS = 4


class Fleet:
    """A control plane, three joined nodes, and a balancer that asks their readiness."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        self.data = directory / "data"
        self._directory = directory
        self._platform, self.admin_port, self.balancer_port = ports[:3]
        self._nodes = [(directory / f"node-{number}", *ports[3 + 2 * number : 5 + 2 * number]) for number in range(3)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._control_plane: subprocess.Popen[bytes] | None = None
        self._balancer: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Everything, with nodes of the old version."""
        self.start_control_plane()
        for number in range(3):
            self._join(number)
            self.start_node(number, OLD)
        backends = "\n".join(
            f"  server node{number} 127.0.0.1:{proxy} check port {status} inter 200ms fall 1 rise 1"
            for number, (_, proxy, status) in enumerate(self._nodes)
        )
        configuration = self._directory / "haproxy.cfg"
        configuration.write_text(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  retries 0\n"
            f"listen nodes\n  bind 127.0.0.1:{self.balancer_port}\n  balance roundrobin\n"
            f"  option httpchk GET /status/ready\n  http-check expect status 200\n{backends}\n"
        )
        self._balancer = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(configuration)])

    def start_control_plane(self) -> None:
        """Start it and wait until it is well."""
        self._control_plane = run_twinplane(
            "control-plane", "--data", str(self.data), "--listen", "127.0.0.1", "--port", str(self._platform),
            "--admin-port", str(self.admin_port), "--audit-listen", "off",
        )  # fmt: skip
        eventually(lambda: Client(self._platform, ca=self.data / "ca.pem")("GET", "/health").status == 200, seconds=60)

    def stop_control_plane(self) -> None:
        """Gracefully."""
        assert self._control_plane is not None
        _stop(self._control_plane)

    def start_node(self, number: int, version: str) -> None:
        """Start a node of that version and wait until it is ready and runs what it should."""
        prefix, proxy, status = self._nodes[number]
        self._running[number] = run_twinplane(
            "data-plane",
            *("-c", str(prefix / "kong.conf")),
            environ={
                "KONG_PROXY_LISTEN": f"127.0.0.1:{proxy} reuseport",
                "KONG_STATUS_LISTEN": f"127.0.0.1:{status}",
                "KONG_NODE_VERSION": version,
            },
        )
        eventually(lambda: Client(status)("GET", "/status/ready").status == 200, seconds=60)

    def replace_node(self, number: int, version: str) -> None:
        """As the page on upgrading says: drain, wait for the balancer, stop, start anew."""
        prefix, _, status = self._nodes[number]
        drain = run_twinplane(
            "drain",
            "-c",
            str(prefix / "kong.conf"),
            "--wait",
            "2",
            environ={"KONG_STATUS_LISTEN": f"127.0.0.1:{status}"},
        )
        drain.communicate(timeout=60)
        assert drain.returncode == 0
        _stop(self._running[number])
        self.start_node(number, version)

    def versions(self) -> Counter[str]:
        """Of the nodes that run the newest configuration."""
        api = Client(self._platform, ca=self.data / "ca.pem", token=(self.data / "admin.token").read_text().strip())
        found = api("GET", "/v2/control-planes?filter[name][eq]=default").json()["data"][0]["id"]
        expected = api("GET", f"/v2/control-planes/{found}/expected-config-hash").json()["expected_hash"]
        nodes = api("GET", f"/v2/control-planes/{found}/nodes").json()["items"]
        return Counter(node["version"] for node in nodes if node["config_hash"] == expected)

    def stop(self) -> None:
        """Everything, whatever became of it."""
        for process in (*self._running.values(), self._control_plane, self._balancer):
            if process is not None and process.poll() is None:
                with contextlib.suppress(AssertionError):
                    _stop(process)

    def _join(self, number: int) -> None:
        joining = run_twinplane(
            "join", "--address", f"localhost:{self._platform}", "--token-file", str(self.data / "admin.token"),
            "--ca", str(self.data / "ca.pem"), "--prefix", str(self._nodes[number][0]),
        )  # fmt: skip
        output, _ = joining.communicate(timeout=60)
        assert joining.returncode == 0, output


class Traffic:
    """Clients that ask without a pause, each on a connection of its own, and count what they are told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends = threading.Event()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._ends.is_set():
            try:
                connection.request("GET", "/flowing")
                response = connection.getresponse()
                response.read()
                self.answers[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[repr(error)] += 1
                connection.close()
            time.sleep(0.002)
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError("a process did not stop when it was asked to") from None


@pytest.fixture
def fleet(tmp_path: Path, free_ports: list[int]) -> Iterator[Fleet]:
    found = Fleet(tmp_path, free_ports)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def free_ports() -> list[int]:
    return LEASE.take(9)


def test_a_rolling_upgrade_under_load_loses_no_request(fleet: Fleet) -> None:
    with Upstream() as upstream:
        admin = Client(fleet.admin_port)
        assert admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"}).status == 200
        assert admin("PUT", "/services/s/routes/r", {"paths": ["/flowing"]}).status == 200
        balanced = Client(fleet.balancer_port)
        eventually(lambda: fleet.versions() == {OLD: 3})
        eventually(lambda: all(balanced("GET", "/flowing").status == 200 for _ in range(6)))
        with Traffic(fleet.balancer_port) as traffic:
            fleet.stop_control_plane()
            fleet.start_control_plane()
            for number in range(3):
                fleet.replace_node(number, NEW)
            assert admin("PUT", "/services/s/routes/late", {"paths": ["/late"]}).status == 200
            eventually(lambda: fleet.versions() == {NEW: 3}, seconds=40)
            eventually(lambda: balanced("GET", "/late").status == 200)
    assert traffic.answers.keys() == {"200"}, traffic.answers
    assert traffic.answers["200"] > 200
