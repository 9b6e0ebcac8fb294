"""Starts the programs that are measured, and reads their CPU time and memory from the operating system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROXY_CPU, LOAD_CPU = "0", "1"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(cpu: str, *command: str) -> list[str]:
    """The command, bound to one processor where the machine has more than one."""
    return ["taskset", "-c", cpu, *command] if (os.cpu_count() or 1) > 1 else list(command)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that the processes have used so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_SECOND


def resident_mib(pid: int) -> float:
    """Resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Wait until something accepts connections."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


@dataclass
class Proxy:
    """A program that proxies, with the processes that do the work and a port for each protocol that it speaks."""

    name: str
    ports: dict[str, int]
    pids: list[int]


@contextmanager
def started_process(
    command: list[str], directory: Path, name: str, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with its block; what it says goes to `name`.log."""
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environ or {})})
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in tasks]


@contextmanager
def node(
    directory: Path,
    configuration: dict[str, object],
    name: str = "node",
    *,
    settings: str = "",
    environ: dict[str, str] | None = None,
    wrapped: Sequence[str] = (),
) -> Iterator[Proxy]:
    """A data plane node with a declarative file and one worker; `settings` are further lines of its kong.conf,
    `wrapped` a command that it is run under."""
    ports = {protocol: free_port() for protocol in ("http", "tls", "h2c")}
    status = free_port()
    prefix = directory / name
    prefix.mkdir()
    (prefix / "kong.json").write_text(json.dumps({"_format_version": "3.0", **configuration}))
    conf = prefix / "kong.conf"
    conf.write_text(
        f"role = traditional\ndatabase = off\nprefix = {prefix}\ndeclarative_config = {prefix}/kong.json\n"
        f"proxy_listen = 127.0.0.1:{ports['http']} reuseport, 127.0.0.1:{ports['tls']} ssl http2 reuseport, "
        f"127.0.0.1:{ports['h2c']} http2 reuseport\n"
        f"status_listen = 127.0.0.1:{status}\nadmin_listen = off\nnginx_worker_processes = 1\n"
        f"nginx_http_keepalive_requests = 1000000000\nupstream_keepalive_max_requests = 0\n{settings}"
    )
    command = pinned(PROXY_CPU, *wrapped, sys.executable, "-m", "twinplane", "data-plane", "-c", str(conf))
    with started_process(command, prefix, "node", environ) as process:
        # What counts instructions makes everything slow.
        wait_ready(status, process, 600 if wrapped else 120)
        yield Proxy("twinplane", {**ports, "h2": ports["tls"], "grpc": ports["h2c"]}, [process.pid])


class NotServing(Exception):
    """A node ended, or did not come to serve in time."""


def wait_ready(status_port: int, process: subprocess.Popen[bytes] | None = None, seconds: float = 120) -> None:
    """Wait until a node's status port says that it serves."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{status_port}/status/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise NotServing("the node is not ready")


@contextmanager
def installation(directory: Path) -> Iterator[dict[str, object]]:
    """A whole `twinplane up` on free ports; yields its ports.json and where its data is."""
    data = directory / "installation"
    ports = [
        word
        for name in ("port", "proxy-port", "proxy-ssl-port", "admin-port", "status-port")
        for word in (f"--{name}", "0")
    ]
    command = [sys.executable, "-m", "twinplane", "up", "--data", str(data), *ports]
    with started_process(command, directory, "up"):
        deadline = time.monotonic() + 60
        while not (data / "ports.json").exists():
            if time.monotonic() > deadline:
                raise TimeoutError((directory / "up.log").read_text())
            time.sleep(0.05)
        document: dict[str, object] = json.loads((data / "ports.json").read_text())
        yield {**document, "data": str(data)}


def nginx() -> str:
    """Where nginx lies."""
    found = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(found).exists():
        raise FileNotFoundError("nginx is needed as the peer (Debian: apt-get install nginx-light)")
    return found


def nginx_user() -> str:
    """Workers of an nginx that root starts stay root, or they could not read what the bench has written."""
    return "user root;" if os.geteuid() == 0 else ""
