"""A real Redis of a test, on a port of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.certificates import Leaf
from tests.integration.ports import LEASE

_START_S = 30.0
_ANSWER_S = 20.0


class RedisServer:
    """One server; what it holds is gone when it stops."""

    def __init__(self, directory: Path, *, password: str | None = None, leaf: Leaf | None = None) -> None:
        self.port = LEASE.take(1)[0]
        self._directory = directory
        self._password = password
        self._is_tls = leaf is not None
        self._process: subprocess.Popen[bytes] | None = None
        self._options = ["--requirepass", password] if password else []
        if leaf is not None:
            (directory / "leaf.pem").write_text(leaf.certificate)
            (directory / "leaf.key").write_text(leaf.key)
            self._options += ["--tls-port", str(self.port), "--port", "0", "--tls-auth-clients", "no"]
            self._options += [
                "--tls-cert-file",
                "leaf.pem",
                "--tls-key-file",
                "leaf.key",
                "--tls-ca-cert-file",
                "leaf.pem",
            ]
        else:
            self._options += ["--port", str(self.port)]

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        base = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._process = subprocess.Popen(
            [*base, *self._options], cwd=self._directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + _START_S
        while True:
            try:
                assert self.ask("PING") == "+PONG"
                return
            except OSError:
                if self._process.poll() is not None:
                    assert self._process.stdout is not None
                    told = self._process.stdout.read().decode()
                    if self._is_tls and "tls" in told.lower():
                        pytest.skip("this redis-server is built without TLS")
                    raise AssertionError(told) from None
                assert time.monotonic() < end, "redis-server does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def ask(self, *words: str, database: int = 0) -> str:
        """What it answers to a command: the reply as it is on the wire, lines joined by spaces."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=_ANSWER_S) as plain,
            contextlib.ExitStack() as stack,
        ):
            connection: socket.socket = plain
            if self._is_tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = stack.enter_context(context.wrap_socket(plain))
            before = [["AUTH", self._password]] if self._password else []
            commands = [*before, ["SELECT", str(database)], list(words), ["QUIT"]]
            for command in commands:
                parts = [word.encode() for word in command]
                head = b"*%d\r\n" % len(parts)
                connection.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            told = b""
            while not told.endswith(b"+OK\r\n") or told.count(b"+OK\r\n") < len(commands) - 1:
                piece = connection.recv(65_536)
                if not piece:
                    break
                told += piece
        lines = told.decode().split("\r\n")
        return " ".join(lines[len(before) + 1 : -2])

    def names(self, database: int = 0) -> list[str]:
        """The names of what it holds."""
        return [word for word in self.ask("KEYS", "*", database=database).split() if word.startswith("twinplane:")]

    def value(self, key: str, database: int = 0) -> int:
        """A counter."""
        return int(self.ask("GET", key, database=database).split()[-1])


@contextlib.contextmanager
def redis_server(
    *, password: str | None = None, leaf: Leaf | None = None, starts: bool = True
) -> Iterator[RedisServer]:
    """A server for as long as the block runs."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with TemporaryDirectory(prefix="redis-") as directory:
        server = RedisServer(Path(directory), password=password, leaf=leaf)
        if starts:
            server.start()
        try:
            yield server
        finally:
            server.stop()
