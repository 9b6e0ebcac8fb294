"""Streams while their node changes: another configuration, targets that fail, a stop."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dnslib", reason="the name server of these tests needs dnslib")

from tests import name_server
from tests.integration.installation import eventually, free_ports
from tests.integration.stream_peers import TcpPeer, ask, connect, count, receive, route, service, stream_node


def answering(word: bytes) -> TcpPeer:
    """A server that answers everything with a word of its own."""

    def manner(connection: socket.socket) -> None:
        while connection.recv(1):
            connection.sendall(word)

    return TcpPeer(manner)


def test_a_stream_keeps_the_configuration_it_began_with(tmp_path: Path) -> None:
    one, two, log = answering(b"1"), answering(b"2"), tmp_path / "log"

    def document(peer: TcpPeer) -> dict[str, Any]:
        own = service("s", peer.port, route("r", "port#0"))
        log_plugin = {"name": "file-log", "protocols": ["tcp"], "config": {"path": str(log)}}
        return {"services": [own], "plugins": [log_plugin]}

    with stream_node(tmp_path, "{0}", document(one)) as node:
        with connect(node.ports[0]) as old:
            assert ask(old, b"?") == b"1"
            text = json.dumps(document(two)).replace('"port#0"', str(node.ports[0]))
            node.reload(json.loads(text))

            def answers() -> bool:
                with connect(node.ports[0]) as new:
                    return ask(new, b"?") == b"2"

            assert eventually(answers)
            assert ask(old, b"?") == b"1"
        eventually(lambda: log.exists() and str(one.port) in log.read_text())
        # A stop lets streams end by themselves, and takes no further ones.
        last = connect(node.ports[0])
        assert ask(last, b"?") == b"2"
        assert node.process is not None
        node.stop()

        def is_taken() -> bool:
            try:
                with connect(node.ports[0]):
                    return True
            except OSError:
                return False

        eventually(lambda: not is_taken())
        assert node.process.poll() is None
        assert ask(last, b"?") == b"2"
        last.close()
        node.end()
        assert node.process.returncode == 0
    told = [json.loads(line) for line in log.read_text().splitlines()]
    served = {"received": 2, "sent": 2, "status": 200, "server_port": node.ports[0]}
    assert served in [each["session"] for each in told if each["service"]["port"] == two.port]
    one.close()
    two.close()


def test_a_target_that_refuses_connections_is_put_out(tmp_path: Path) -> None:
    peer, dead = answering(b"1"), free_ports(1)[0]
    targets = [{"target": f"127.0.0.1:{port}", "weight": 100} for port in (dead, peer.port)]
    checks = {"passive": {"type": "tcp", "unhealthy": {"tcp_failures": 1}}}
    document = {
        "services": [service("s", 1, route("r", "port#0"), host="pool", retries=1)],
        "upstreams": [{"name": "pool", "healthchecks": checks, "targets": targets}],
        "plugins": [{"name": "prometheus", "config": {"upstream_health_metrics": True}}],
    }
    with stream_node(tmp_path, "{0}", document) as node:
        for _ in range(4):
            with connect(node.ports[0]) as connection:
                assert ask(connection, b"?") == b"1"

        def is_out() -> bool:
            found = node.metrics().items()
            return any(f":{dead}" in name and 'state="unhealthy"' in name and value == 1 for name, value in found)

        assert eventually(is_out)
    peer.close()


def test_a_client_that_leaves_while_its_upstream_is_looked_up_is_noticed_at_once(tmp_path: Path) -> None:
    log, peer = tmp_path / "log", TcpPeer(count)
    patient = {"connect_timeout": 600_000}
    document = {
        "services": [
            service("silent", peer.port, route("silent", "port#0"), host="silent.test", **patient),
            service("slow", peer.port, route("slow", "port#1"), host="slow.test", **patient),
        ],
        "plugins": [{"name": "file-log", "protocols": ["tcp"], "config": {"path": str(log)}}],
    }

    def sessions(name: str) -> list[dict[str, Any]]:
        # What comes behind the last end of a line is still being written.
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        told = [json.loads(line) for line in lines]
        return [entry["session"] for entry in told if entry["route"]["name"] == name]

    with (
        name_server.running() as names,
        stream_node(tmp_path, "{0}, {1}", document, dns_resolver=names.address) as node,
    ):
        names.manner = name_server.silent
        with connect(node.ports[0]):
            eventually(lambda: names.asked)
        (session,) = eventually(lambda: sessions("silent"))
        assert session == {"received": 0, "sent": 0, "status": 200, "server_port": node.ports[0]}
        # One that has said all is waited for.
        names.manner, names.delay_s = name_server.honest, 0.5
        names.leads("slow.test", "127.0.0.1")
        with connect(node.ports[1]) as waiting:
            waiting.sendall(b"all of it")
            waiting.shutdown(socket.SHUT_WR)
            assert receive(waiting, 100) == b"9 bytes"
        (session,) = eventually(lambda: sessions("slow"))
        assert session == {"received": 9, "sent": 7, "status": 200, "server_port": node.ports[1]}
    peer.close()
