"""What stands behind and in front of streams in tests: small servers of bytes and of datagrams, a node, its clients."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.integration.installation import Client, eventually, free_ports, run_twinplane

WAIT_S = 30.0
Manner = Callable[[socket.socket], None]


def echo(connection: socket.socket) -> None:
    """Sends back what comes, and closes when the other end does."""
    while data := connection.recv(65_536):
        connection.sendall(data)


def count(connection: socket.socket) -> None:
    """Says how much came once the other end has closed its half."""
    total = 0
    while data := connection.recv(65_536):
        total += len(data)
    connection.sendall(b"%d bytes" % total)


class TcpPeer:
    """A server that treats every connection in one manner; over TLS where a context is given."""

    def __init__(self, manner: Manner = echo, context: ssl.SSLContext | None = None) -> None:
        self._manner, self._context = manner, context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.taken = 0
        self.shown: list[bytes | None] = []
        self.names: list[str | None] = []
        if context is not None:
            context.sni_callback = lambda _, name, __: self.names.append(name)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(2 * WAIT_S)
        with contextlib.suppress(OSError), connection:
            if self._context is None:
                self._manner(connection)
                return
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self.shown.append(secure.getpeercert(binary_form=True))
                self._manner(secure)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def server_context(directory: Path, leaf: Leaf, *, asks: str = "") -> ssl.SSLContext:
    """TLS of a server; `asks` are the certificates of which a client's may be."""
    certificate, key = directory / f"{id(leaf)}.pem", directory / f"{id(leaf)}.key"
    certificate.write_text(leaf.certificate)
    key.write_text(leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=asks)
    return context


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A connection to the node."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S, source_address=(source, 0))


def connect_tls(port: int, name: str | None) -> ssl.SSLSocket:
    """A connection with TLS, asking for a name; any certificate will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connect(port), server_hostname=name)


def ask(connection: socket.socket, data: bytes) -> bytes:
    """What an echo answers."""
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or those before the end."""
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            break
        found += part
    return found


def is_closed(connection: socket.socket) -> bool:
    """Whether the node closes it without a word: an end or a reset."""
    try:
        return connection.recv(1) == b""
    except (ConnectionResetError, ssl.SSLError):
        return True


@dataclass
class StreamNode:
    """A node with a declarative file whose streams are found by port."""

    directory: Path
    listen: str
    document: dict[str, Any]
    ports: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    proxy: int = 0
    status: int = 0
    is_stopping: bool = False

    def start(self) -> None:
        """Returns when it is ready."""
        self.proxy, self.status = free_ports(2)
        self.declare(self.document)
        settings = {
            "role": "traditional",
            "database": "off",
            "prefix": self.directory / "prefix",
            "declarative_config": self.directory / "kong.json",
            "proxy_listen": f"127.0.0.1:{self.proxy}",
            "status_listen": f"127.0.0.1:{self.status}",
            "stream_listen": self.listen,
            "admin_listen": "off",
            "nginx_worker_processes": 2,
            **self.settings,
        }
        conf = self.directory / "kong.conf"
        conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.process = run_twinplane("data-plane", "-c", str(conf))
        try:
            eventually(lambda: Client(self.status)("GET", "/status/ready").status == 200, seconds=60)
        except AssertionError:
            raise AssertionError(self.end()) from None

    def declare(self, document: dict[str, Any]) -> None:
        (self.directory / "kong.json").write_text(json.dumps({"_format_version": "3.0", **document}))

    def reload(self, document: dict[str, Any]) -> None:
        assert self.process is not None
        self.declare(document)
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Asks it to stop."""
        assert self.process is not None
        self.is_stopping = True
        self.process.terminate()

    def end(self) -> str:
        """Stops it, and waits; what it has said."""
        assert self.process is not None
        if self.process.poll() is None and not self.is_stopping:
            self.stop()
        try:
            return self.process.communicate(timeout=60)[0].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.communicate()[0].decode()

    def metrics(self) -> dict[str, float]:
        """Each series of the scrape with its value."""
        text = Client(self.status)("GET", "/metrics").body.decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


@contextlib.contextmanager
def stream_node(directory: Path, listen: str, document: dict[str, Any], **settings: Any) -> Iterator[StreamNode]:
    """`{0}`, `{1}` in the listeners and `port#0`, `port#1` in the document are free ports."""
    ports = tuple(free_ports(listen.count("{") or 1))
    text = json.dumps(document)
    for number, port in enumerate(ports):
        text = text.replace(f'"port#{number}"', str(port))
        listen = listen.replace(f"{{{number}}}", f"127.0.0.1:{port}")
    text = re.sub(r"port#(\d+)", lambda found: str(ports[int(found[1])]), text)
    node = StreamNode(directory, listen, json.loads(text), ports, settings)
    node.start()
    try:
        yield node
    finally:
        node.end()


def service(name: str, port: int, *routes: dict[str, Any], protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    """A service on loopback with its routes."""
    host = more.pop("host", "127.0.0.1")
    return {"name": name, "protocol": protocol, "host": host, "port": port, "routes": list(routes), **more}


def route(name: str, port: int | str | None = None, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    """A route by the port of the listener (a number, or its place as in `port#0`)."""
    place: dict[str, Any] = {} if port is None else {"destinations": [{"port": port}]}
    return {"name": name, "protocols": [protocol], **place, **more}


class UdpPeer:
    """A server of datagrams: sends each back, or each letter of as many as it names (`3:abc`)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.seen: list[bytes] = []
        self.clients: set[tuple[str, int]] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, client = self._socket.recvfrom(65_536)
            except OSError:
                return
            if data == b"end":
                return
            self.seen.append(data)
            self.clients.add(client)
            head, colon, rest = data.partition(b":")
            parts = [rest[at : at + 1] for at in range(int(head))] if colon else [data]
            for part in parts:
                self._socket.sendto(part, client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", ("127.0.0.1", self.port))
        self._socket.close()


def datagram_client(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A client of datagrams of the node."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    client.settimeout(WAIT_S)
    return client


def exchange(client: socket.socket, data: bytes) -> bytes:
    """The first answer; asks again where one was lost on the way."""
    client.settimeout(2)
    for _ in range(int(WAIT_S / 2)):
        client.send(data)
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            return client.recv(65_536)
    raise AssertionError("no answer")
