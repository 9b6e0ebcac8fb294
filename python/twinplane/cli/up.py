"""`twinplane up`: a control plane and one data plane node on this machine, each a process of its own.

Joins the node as a user would: over the API, with the admin token and the installation's certificate authority.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinplane.cli.child import Child
from twinplane.cli.errors import StartError
from twinplane.cli.join import find_control_plane, join_node
from twinplane.cli.platform_client import PlatformClient
from twinplane.cli.process import lock_directory, make_directory
from twinplane.cli.signals import Stop, stop_on_signals
from twinplane.node.authority import write_whole
from twinplane.settings import ProcessSettings

if TYPE_CHECKING:
    from twinplane.cli.demo import Demo

READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_DEMO_TOLD = "a shop of nine services and ten callers; the proxy listens on loopback only"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one `up`, all chosen. `admin` is None where the Admin API is off."""

    platform: int
    proxy: int
    proxy_ssl: int
    admin: int | None
    status: int
    audit: int | None = None


def run(settings: ProcessSettings) -> int:
    """Start both processes, keep them running, stop them when asked. Returns the exit status."""
    directory = settings["data"].absolute()
    make_directory(directory)
    with lock_directory(directory, "up.lock"):
        ports = _choose_ports(settings)
        return asyncio.run(_Installation(settings, directory, ports).run())


class _Installation:
    """The two processes of one data directory."""

    def __init__(self, settings: ProcessSettings, directory: Path, ports: Ports) -> None:
        self._settings = settings
        self._directory = directory
        self._node_directory = directory / "node"
        self._ports = ports
        self._ports_file = directory / "ports.json"
        self._control_plane = Child("control-plane", self._control_plane_arguments(), directory / "control-plane.log")
        conf = self._node_directory / "kong.conf"
        self._data_plane = Child("data-plane", ["-c", str(conf)], self._node_directory / "data-plane.log")
        self._demo = _demo(settings, directory)

    async def run(self) -> int:
        stop = stop_on_signals()
        self._ports_file.unlink(missing_ok=True)
        try:
            started = asyncio.ensure_future(self._start())
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await started
                return 0
            started.result()
            self._announce()
            await self._supervise(stop)
            if self._demo is not None:
                print(self._demo.summary(), flush=True)
        finally:
            self._ports_file.unlink(missing_ok=True)
            print("stopping", flush=True)
            # The node goes first, so that its last telemetry finds the control plane.
            await self._data_plane.stop()
            await self._control_plane.stop()
            if self._demo is not None:
                await self._demo.close()
        return 0

    async def _start(self) -> None:
        await self._control_plane.start()
        client = PlatformClient("localhost", self._ports.platform, self._directory / "ca.pem")
        await self._until_ready(self._control_plane, client.is_healthy)
        make_directory(self._node_directory)
        known = client.with_token((self._directory / "admin.token").read_text().strip())
        if self._demo is not None:
            await self._demo.open()
            await asyncio.to_thread(self._pour, self._demo, known)
        await asyncio.to_thread(
            join_node,
            known,
            self._node_directory,
            domain=self._settings["domain"],
            ports=self._ports,
            address=_proxy_address(self._settings),
            plugins=self._settings["plugins"] or (),
            plugin_directory=self._settings["python-plugin-directory"],
        )
        await self._data_plane.start()
        status = PlatformClient("127.0.0.1", self._ports.status, None)
        await self._until_ready(self._data_plane, status.is_ready)
        self._write_ports()

    def _pour(self, demo: Demo, client: PlatformClient) -> None:
        try:
            demo.pour(client, find_control_plane(client, "default")["id"])
        except OSError as error:
            raise StartError(f"the demo could not be put into the control plane: {error}") from error

    async def _until_ready(self, child: Child, probe: Any) -> None:
        """Wait until `probe` answers yes; a child that ends meanwhile cannot start."""
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while not await asyncio.to_thread(probe):
            if child.has_ended:
                raise StartError(f"the {child.role} process did not start:", *child.last_lines())
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(f"the {child.role} process is not ready after {READY_SECONDS:g} s; see {child.log}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _supervise(self, stop: Stop) -> None:
        async with asyncio.TaskGroup() as tasks:
            watchers = [
                tasks.create_task(child.keep_running(self._write_ports))
                for child in (self._control_plane, self._data_plane)
            ]
            if self._demo is not None:
                watchers.append(tasks.create_task(self._demo.run(self._ports)))
            await stop.wait()
            for watcher in watchers:
                watcher.cancel()

    def _control_plane_arguments(self) -> list[str]:
        settings, ports = self._settings, self._ports
        given = {
            "data": self._directory,
            "listen": "127.0.0.1",
            "port": ports.platform,
            "domain": settings["domain"],
            "admin-port": "off" if ports.admin is None else ports.admin,
            "audit-listen": "off" if ports.audit is None else f"127.0.0.1:{ports.audit}",
            "admin-origins": ",".join(settings["admin-origins"] or ()),
            "other-domains": ",".join(settings["other-domains"] or ()),
            "bare-hosts": ",".join(settings["bare-hosts"] or ()),
            "plugins": ",".join(settings["plugins"] or ()),
            "python-plugin-directory": settings["python-plugin-directory"] or "",
            "retention-days": settings["retention-days"],
            "usage-retention-days": settings["usage-retention-days"],
            "audit-retention-days": settings["audit-retention-days"],
            "audit-records-max": settings["audit-records-max"],
            "log-level": settings["log-level"],
        }
        return [word for name, value in given.items() if value != "" for word in (f"--{name}", str(value))]

    def _write_ports(self) -> None:
        ports = self._ports
        document = {
            "port": ports.platform,
            "proxy_port": ports.proxy,
            "proxy_ssl_port": ports.proxy_ssl,
            "admin_port": ports.admin,
            "status_port": ports.status,
            "audit_port": ports.audit,
            "pids": {"up": os.getpid(), "control_plane": self._control_plane.pid, "data_plane": self._data_plane.pid},
        }
        write_whole(self._ports_file, json.dumps(document, indent=2).encode() + b"\n", 0o644)

    def _announce(self) -> None:
        """Say where everything is, and three commands that work as printed."""
        ports = self._ports
        shown = _relative(self._directory)
        ca, token = f"{shown}/ca.pem", f"{shown}/admin.token"
        admin = f"http://localhost:{ports.admin}" if ports.admin is not None else "off"
        lines = [
            "twinplane is up",
            f"  console        https://localhost:{ports.platform}  (sign in with the token)",
            f"  API            https://localhost:{ports.platform}  (https://us.api.{self._settings['domain']}:{ports.platform})",
            f"  Admin API      {admin}",
            f"  proxy          http://localhost:{ports.proxy}  https://localhost:{ports.proxy_ssl}",
            f"  node status    http://localhost:{ports.status}/status",
            f"  audit lines    {'off' if ports.audit is None else f'localhost:{ports.audit} (TCP, UDP)'}",
            f"  token          {token}",
            f"  CA certificate {ca}",
            *([f"  demo           {_DEMO_TOLD}"] if self._demo is not None else []),
            f"  logs           {_relative(self._control_plane.log)}  {_relative(self._data_plane.log)}",
            "",
            "try:",
            f'  curl --cacert {ca} -H "Authorization: Bearer $(cat {token})" '
            f"https://localhost:{ports.platform}/v2/control-planes",
        ]
        if self._demo is not None:
            lines += [
                f'  curl -i -H "apikey: $(cat {_relative(self._demo.key_path)})" http://localhost:{ports.proxy}/orders',
                f"  curl --cacert {ca} --resolve {self._demo.host}:{ports.proxy_ssl}:127.0.0.1"
                f" https://{self._demo.host}:{ports.proxy_ssl}/products/1",
            ]
        elif ports.admin is not None:
            lines += [
                f"  curl -X PUT {admin}/services/demo -d url=http://127.0.0.1:{ports.status}/status"
                f" && curl -X PUT {admin}/services/demo/routes/demo -d 'paths[]=/demo'",
                f"  curl --cacert {ca} https://localhost:{ports.proxy_ssl}/demo",
            ]
        lines += ["", "Ctrl-C stops it."]
        print("\n".join(lines), flush=True)


def _demo(settings: ProcessSettings, directory: Path) -> Demo | None:
    if not settings["demo"]:
        return None
    # What reads declarative files is loaded for a demo only.
    from twinplane.cli.demo import Demo  # noqa: PLC0415

    return Demo(directory, settings["domain"])


def _proxy_address(settings: ProcessSettings) -> str:
    """Where the node takes the traffic of its users; a demo has none but this machine."""
    return "127.0.0.1" if settings["demo"] else "0.0.0.0"  # noqa: S104


def _relative(path: Path) -> Path:
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def _choose_ports(settings: ProcessSettings) -> Ports:
    """Every port, chosen once: fixed ones must be free, and 0 becomes a free one."""
    problems: list[str] = []
    held: list[socket.socket] = []

    def choose(name: str, address: str) -> int:
        wanted: int = settings[name]
        # The sockets stay open until all are chosen, so that no free port is chosen twice.
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.append(probe)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, wanted))
            probe.listen(1)
            if name == "audit-port":
                datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(datagrams)
                datagrams.bind(probe.getsockname())
        except OSError as error:
            problems.append(f"--{name} {wanted}: the port cannot be listened on: {error.strerror}")
            return wanted
        port: int = probe.getsockname()[1]
        return port

    proxied = _proxy_address(settings)
    ports = Ports(
        platform=choose("port", "127.0.0.1"),
        proxy=choose("proxy-port", proxied),
        proxy_ssl=choose("proxy-ssl-port", proxied),
        admin=None if settings["admin-port"] is None else choose("admin-port", "127.0.0.1"),
        status=choose("status-port", "127.0.0.1"),
        audit=None if settings["audit-port"] is None else choose("audit-port", "127.0.0.1"),
    )
    for probe in held:
        probe.close()
    if problems:
        raise StartError(*problems)
    return ports
