"""The two planes as processes of their own on fixed ports, each to be killed and started again by a test."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.installation import Client, eventually, free_ports, run_twinplane

from twinplane.cli.join import join_node
from twinplane.cli.platform_client import PlatformClient
from twinplane.cli.up import Ports

DOMAIN = "twinplane.localhost"


class Planes:
    """A control plane and a node on fixed ports; each can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.node_directory = self.data / "node"
        numbers = free_ports(5)
        self.ports = Ports(*numbers)
        self.control_plane: subprocess.Popen[bytes] | None = None
        self.node: subprocess.Popen[bytes] | None = None
        self.control_plane_environ: dict[str, str] = {}
        self.node_environ: dict[str, str] = {}
        self.before_node: list[str] = []

    def start_control_plane(self, *, seconds: float = 60) -> None:
        ports = self.ports
        self.control_plane = run_twinplane(
            "control-plane", "--data", str(self.data), "--listen", "127.0.0.1", "--port", str(ports.platform),
            "--admin-port", str(ports.admin),
            environ=self.control_plane_environ,
        )  # fmt: skip
        eventually(
            lambda: Client(ports.platform, ca=self.data / "ca.pem")("GET", "/health").status == 200, seconds=seconds
        )

    def join(self) -> None:
        self.node_directory.mkdir(exist_ok=True)
        client = PlatformClient("localhost", self.ports.platform, self.data / "ca.pem", self.token)
        join_node(client, self.node_directory, domain=DOMAIN, ports=self.ports)

    def start_node(self, **settings: object) -> None:
        """Settings are by the names of kong.conf, and win over what is in it."""
        given = {f"KONG_{name.upper()}": str(value) for name, value in settings.items()}
        environ = self.node_environ | given
        conf = str(self.node_directory / "kong.conf")
        self.node = run_twinplane("data-plane", "-c", conf, environ=environ, before=self.before_node)
        eventually(lambda: self.status("GET", "/status").status == 200, seconds=60)

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        assert process is not None
        process.kill()
        process.communicate()

    def stop(self) -> None:
        for process in (self.node, self.control_plane):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=30)
                process.kill()
                process.communicate()

    @property
    def token(self) -> str:
        return (self.data / "admin.token").read_text().strip()

    @property
    def api(self) -> Client:
        return Client(self.ports.platform, ca=self.data / "ca.pem", token=self.token)

    @property
    def admin(self) -> Client:
        assert self.ports.admin is not None
        return Client(self.ports.admin)

    @property
    def control_plane_id(self) -> str:
        found: str = self.api("GET", "/v2/control-planes?filter[name][eq]=default").json()["data"][0]["id"]
        return found

    @property
    def proxy(self) -> Client:
        return Client(self.ports.proxy)

    @property
    def status(self) -> Client:
        return Client(self.ports.status)

    def conditions(self) -> list[str]:
        """Codes of what is not as it should be in the node."""
        return [one["code"] for one in self.status("GET", "/status").json()["conditions"]]

    def issues(self) -> list[str]:
        """Codes of what the control plane was told of the node."""
        found = self.control_plane_id
        nodes = self.api("GET", f"/v2/control-planes/{found}/nodes").json()["items"]
        return [issue["code"] for node in nodes for issue in node["compatibility_status"].get("issues") or ()]

    def in_sync(self) -> bool:
        found = self.control_plane_id
        expected = self.api("GET", f"/v2/control-planes/{found}/expected-config-hash").json()["expected_hash"]
        nodes = self.api("GET", f"/v2/control-planes/{found}/nodes").json()["items"]
        return [node["config_hash"] for node in nodes] == [expected]

    def recorded(self) -> list[dict[str, Any]]:
        body = {"size": 1000, "time_range": {"type": "relative", "time_range": "15M"}}
        results: list[dict[str, Any]] = self.api("POST", "/v2/api-requests", body).json()["results"]
        return results
