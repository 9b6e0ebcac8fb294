"""Real forward proxies of Debian on loopback: tinyproxy and squid, with or without TLS and a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Leaf
from tests.integration.installation import eventually
from tests.integration.ports import LEASE

USER, PASSWORD = "node", "Spr0ck-et"


@dataclass
class RunningProxy:
    """A proxy that listens, and what it wrote down."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def tunnels(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def free_port() -> int:
    """A port that nobody listens on."""
    return LEASE.take(1)[0]


@contextlib.contextmanager
def tinyproxy(directory: Path, *, allows: int, with_password: bool = False) -> Iterator[RunningProxy]:
    """tinyproxy; CONNECT to the port `allows` only."""
    port, log = free_port(), directory / "tinyproxy.log"
    lines = [
        f"Port {port}",
        "Listen 127.0.0.1",
        "Timeout 600",
        "MaxClients 50",
        "Allow 127.0.0.1",
        f'LogFile "{log}"',
        "LogLevel Connect",
        f"ConnectPort {allows}",
        *([f"BasicAuth {USER} {PASSWORD}"] if with_password else []),
    ]
    (directory / "tinyproxy.conf").write_text("\n".join(lines) + "\n")
    with _process(["tinyproxy", "-d", "-c", str(directory / "tinyproxy.conf")], port) as process:
        yield RunningProxy(port, log, process)


@contextlib.contextmanager
def squid(directory: Path, *, allows: int, with_password: bool = False) -> Iterator[RunningProxy]:
    """squid; CONNECT to the port `allows` only."""
    port, log = free_port(), directory / "squid.log"
    helper = next((path for path in ("/usr/lib/squid/basic_ncsa_auth",) if Path(path).exists()), "")
    users = directory / "users"
    if with_password:
        hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True)
        users.write_text(f"{USER}:{hashed.stdout.strip()}\n")
    known = [
        f"auth_param basic program {helper} {users}",
        "auth_param basic realm twinplane",
        "acl known proxy_auth REQUIRED",
    ]
    lines = [
        f"http_port 127.0.0.1:{port}",
        f"access_log stdio:{log}",
        f"cache_log {directory}/cache.log",
        f"pid_filename {directory}/squid.pid",
        f"coredump_dir {directory}",
        "cache deny all",
        "cache_mem 8 MB",
        "shutdown_lifetime 1 seconds",
        "max_filedescriptors 1024",
        "netdb_filename none",
        "pinger_enable off",
        *(known if with_password else []),
        f"acl wanted port {allows}",
        "http_access deny CONNECT !wanted",
        "http_access allow known" if with_password else "http_access allow localhost",
        "http_access deny all",
    ]
    (directory / "squid.conf").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        # Started by root it works as its own user.
        lines = [directory, *directory.parents]
        with contextlib.suppress(KeyError):
            os.chown(directory, pwd.getpwnam("proxy").pw_uid, -1)
        for each in lines[:-1]:
            with contextlib.suppress(OSError):
                each.chmod(each.stat().st_mode | 0o011)
    with _process(["squid", "-N", "-f", str(directory / "squid.conf")], port) as process:
        yield RunningProxy(port, log, process)


def has(program: str) -> bool:
    """Whether a proxy is installed."""
    return shutil.which(program) is not None or Path("/usr/sbin", program).exists()


@contextlib.contextmanager
def _process(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ)

    def listens() -> bool:
        if process.poll() is not None:
            told = process.stderr.read() if process.stderr else b""
            raise AssertionError(f"{command[0]} ended with {process.returncode}: {told!r}")
        with socket.create_connection(("127.0.0.1", port), 1):
            return True

    try:
        eventually(listens, seconds=30)
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


class TlsFront:
    """TLS in front of a proxy: what it takes it hands on in the clear."""

    def __init__(self, directory: Path, leaf: Leaf, target: int) -> None:
        (directory / "front.pem").write_text(leaf.certificate)
        (directory / "front.key").write_text(leaf.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "front.pem", directory / "front.key")
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> TlsFront:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw, socket.create_connection(("127.0.0.1", self._target)) as server:
            raw.settimeout(20)
            with self._context.wrap_socket(raw, server_side=True) as client:
                # One thread reads and writes a TLS socket: two at once may harm its state.
                client.setblocking(False)
                server.setblocking(False)
                _join(client, server)


def _join(client: ssl.SSLSocket, server: socket.socket) -> None:
    while True:
        if not client.pending():
            select.select([client, server], [], [], 1)
        for source, sink in ((client, server), (server, client)):
            try:
                data = source.recv(65_536)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            if not data:
                return
            sink.settimeout(20)
            sink.sendall(data)
            sink.setblocking(False)
