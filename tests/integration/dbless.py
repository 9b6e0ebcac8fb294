"""A DB-less node as a process of its own, with its Admin API on a free port of loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.installation import Client, eventually, free_ports, run_twinplane

READY_SECONDS = 90.0


class DblessNode:
    """A node without control plane. `settings` are by the names of kong.conf."""

    def __init__(self, directory: Path, environ: dict[str, str] | None = None, **settings: object) -> None:
        self.environ = environ or {}
        """More of its environment, from the next start on."""
        proxy, status, admin = free_ports(3)
        if "admin_listen" in settings:
            admin = _first_port(settings["admin_listen"])
        if "status_listen" in settings:
            status = _first_port(settings["status_listen"])
        self.prefix = directory / "prefix"
        self.proxy, self.status, self.admin = Client(proxy), Client(status), Client(admin)
        self._conf = directory / "kong.conf"
        self._conf.touch()
        self._settings: dict[str, object] = {
            "role": "traditional",
            "database": "off",
            "prefix": self.prefix,
            "proxy_listen": f"127.0.0.1:{proxy}",
            "status_listen": f"127.0.0.1:{status}",
            "admin_listen": f"127.0.0.1:{admin}",
            "nginx_worker_processes": 1,
            **settings,
        }
        self.process = self._start()

    def restart(self, **settings: object) -> None:
        """Kill it, as a machine that loses its power would, and start it again."""
        self.kill()
        self._settings |= settings
        self.process = self._start()

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _is_up(self) -> bool:
        # The Admin API is the last to listen.
        with socket.create_connection(("127.0.0.1", self.admin.port), timeout=10):
            return self.status("GET", "/status").status == 200

    def _start(self) -> subprocess.Popen[bytes]:
        environ = {f"KONG_{name.upper()}": str(value) for name, value in self._settings.items()}
        environ |= self.environ
        process = run_twinplane("data-plane", "-c", str(self._conf), environ=environ)
        try:
            eventually(lambda: process.poll() is not None or self._is_up(), seconds=READY_SECONDS)
            assert process.poll() is None
        except AssertionError:
            process.kill()
            raise AssertionError(process.communicate()[0].decode()) from None
        return process


def _first_port(listeners: object) -> int:
    return int(str(listeners).split()[0].rstrip(",").rpartition(":")[2])


@contextmanager
def dbless_node(directory: Path, environ: dict[str, str] | None = None, **settings: object) -> Iterator[DblessNode]:
    """A node for the length of the block."""
    node = DblessNode(directory, environ, **settings)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.kill()
