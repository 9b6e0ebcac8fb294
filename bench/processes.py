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
from collections.abc import Iterator
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
    """A program that proxies, with the processes that do the work."""

    name: str
    port: int
    pids: list[int]


NGINX_STATIC = """
worker_processes 1; daemon off; pid {dir}/up.pid; error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_body_temp_path {dir}/b;
  proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type text/plain; return 200 "{body}"; }} }} }}
"""
# The upstream block keeps connections; Connection must be cleared in the same place as the other headers.
NGINX_PROXY = """
worker_processes 1; daemon off; pid {dir}/proxy.pid; error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_body_temp_path {dir}/b2;
  proxy_temp_path {dir}/p2; fastcgi_temp_path {dir}/f2; uwsgi_temp_path {dir}/u2; scgi_temp_path {dir}/s2;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""


@contextmanager
def _process(
    command: list[str], directory: Path, name: str, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
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


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in tasks]


@contextmanager
def upstream(directory: Path) -> Iterator[int]:
    """A static 1 KiB answer from nginx, on the processor of the load."""
    port = free_port()
    conf = directory / "upstream.conf"
    conf.write_text(NGINX_STATIC.format(dir=directory, port=port, body="x" * 1024))
    with _process(pinned(LOAD_CPU, _nginx(), "-c", str(conf), "-p", str(directory)), directory, "upstream"):
        wait_for_port(port)
        yield port


@contextmanager
def nginx_proxy(directory: Path, upstream_port: int) -> Iterator[Proxy]:
    """nginx as a plain proxy with kept upstream connections: the peer of every comparison."""
    port = free_port()
    conf = directory / "proxy.conf"
    conf.write_text(NGINX_PROXY.format(dir=directory, port=port, upstream=upstream_port))
    command = pinned(PROXY_CPU, _nginx(), "-c", str(conf), "-p", str(directory))
    with _process(command, directory, "nginx") as process:
        wait_for_port(port)
        yield Proxy("nginx", port, _children(process.pid) or [process.pid])


@contextmanager
def node(
    directory: Path,
    configuration: dict[str, object],
    name: str = "node",
    *,
    settings: str = "",
    environ: dict[str, str] | None = None,
) -> Iterator[Proxy]:
    """A data plane node with a declarative file and one worker; `settings` are further lines of its kong.conf."""
    port, status = free_port(), free_port()
    prefix = directory / name
    prefix.mkdir()
    (prefix / "kong.json").write_text(json.dumps({"_format_version": "3.0", **configuration}))
    conf = prefix / "kong.conf"
    conf.write_text(
        f"role = traditional\ndatabase = off\nprefix = {prefix}\ndeclarative_config = {prefix}/kong.json\n"
        f"proxy_listen = 127.0.0.1:{port} reuseport\nstatus_listen = 127.0.0.1:{status}\n"
        f"nginx_worker_processes = 1\n{settings}"
    )
    command = pinned(PROXY_CPU, sys.executable, "-m", "twinplane", "data-plane", "-c", str(conf))
    with _process(command, prefix, "node", environ) as process:
        wait_ready(status)
        yield Proxy("twinplane", port, [process.pid])


def wait_ready(status_port: int, seconds: float = 120) -> None:
    """Wait until a node's status port says that it serves."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{status_port}/status/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the node is not ready")


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
    with _process(command, directory, "up"):
        deadline = time.monotonic() + 60
        while not (data / "ports.json").exists():
            if time.monotonic() > deadline:
                raise TimeoutError((directory / "up.log").read_text())
            time.sleep(0.05)
        document: dict[str, object] = json.loads((data / "ports.json").read_text())
        yield {**document, "data": str(data)}


def _nginx() -> str:
    found = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(found).exists():
        raise FileNotFoundError("nginx is needed as the peer (Debian: apt-get install nginx-light)")
    return found
