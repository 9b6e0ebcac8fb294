"""How much memory does an idle connection of a client take, with and without TLS?"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.peers import peers
from bench.upstream import upstream

REQUEST = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n"
ANSWER_BYTES_LEAST = 1024


def run(directory: Path, effort: Effort) -> list[str]:
    """Each connection has had one answer of 1 KiB and waits. What the process has more than before is divided by them;
    *still open* shows that none was given up to save room."""
    rows = ["| connections | of | KiB each | still open |", "|---|---|---|---|"]
    asked = (("http", "HTTP/1.1", effort.idle_connections), ("tls", "TLS", effort.idle_tls_connections))
    for protocol, shown, count in asked:
        # Started anew, as what one kind of connection has left free would be taken by the next.
        home = directory / protocol
        home.mkdir()
        with (
            upstream(home) as up,
            peers(home, up) as others,
            processes.node(home, configurations.plain(up.http)) as ours,
        ):
            for name, proxy in [*others.items(), ("twinplane", ours)]:
                if proxy is None:
                    rows.append(f"| {shown} | {name} | not installed | |")
                    continue
                each, still_open = _measure(proxy, protocol, count)
                rows.append(f"| {count} {shown} | {name} | {each:.1f} | {still_open} |")
    return rows


def _measure(proxy: processes.Proxy, protocol: str, count: int) -> tuple[float, int]:
    # What is loaded and grown by the first requests is not counted for connections.
    _close(_open(proxy, protocol, 20))
    before = sum(map(processes.resident_mib, proxy.pids))
    connections = _open(proxy, protocol, count)
    grown = sum(map(processes.resident_mib, proxy.pids)) - before
    poller = select.poll()
    for connection in connections:
        poller.register(connection, select.POLLIN)
    # An end of the stream shows as something to read; so do tickets of TLS 1.3, which were read with the answer.
    ended = len(poller.poll(0))
    _close(connections)
    return grown * 1024 / count, count - ended


def _open(proxy: processes.Proxy, protocol: str, count: int) -> list[socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connections: list[socket.socket] = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", proxy.ports[protocol]), 30)
        if protocol == "tls":
            connection = context.wrap_socket(connection)
        connection.sendall(REQUEST)
        received = 0
        while received < ANSWER_BYTES_LEAST:
            data = connection.recv(8192)
            if not data:
                raise ConnectionError(f"{proxy.name} closed a connection after {len(connections)}")
            received += len(data)
        connections.append(connection)
    return connections


def _close(connections: Sequence[socket.socket]) -> None:
    for connection in connections:
        connection.close()
