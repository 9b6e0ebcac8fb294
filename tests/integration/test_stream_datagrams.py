"""Datagrams through a real node: sessions by client, their boundaries, their bounds."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.installation import eventually, free_ports
from tests.integration.stream_peers import StreamNode, UdpPeer, datagram_client, exchange, route, service, stream_node

ECHO, IDLE, RESTRICTED, DEAD, POOL = range(5)
SESSIONS_MAX = 8
IDLE_MS = 300


@dataclass
class Datagrams:
    """A node and what stands behind it."""

    node: StreamNode
    peers: tuple[UdpPeer, UdpPeer]
    log: Path

    def entries(self, name: str) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [entry for entry in told if entry["route"]["name"] == name]


@pytest.fixture(scope="module")
def datagrams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datagrams]:
    directory = tmp_path_factory.mktemp("datagrams")
    peers, log = (UdpPeer(), UdpPeer()), directory / "datagrams.log"
    gone = UdpPeer()
    gone.close()
    times = {"read_timeout": IDLE_MS, "write_timeout": IDLE_MS}
    kept_out = {"name": "ip-restriction", "protocols": ["udp"], "config": {"deny": ["127.0.0.9"]}}

    def udp(name: str, place: int, **more: Any) -> dict[str, Any]:
        return route(name, f"port#{place}", "udp", **more)

    document = {
        "services": [
            service("echo", peers[0].port, udp("echo", ECHO), protocol="udp", read_timeout=2000, write_timeout=1),
            service("idle", peers[0].port, udp("idle", IDLE), protocol="udp", **times),
            service(
                "kept",
                peers[0].port,
                udp("kept", RESTRICTED, plugins=[kept_out]),
                protocol="udp",
                **times,
            ),
            service("dead", gone.port, udp("dead", DEAD), protocol="udp", **times),
            service("pool", 1, udp("pool", POOL), host="pool", protocol="udp", **times),
        ],
        "upstreams": [
            {"name": "pool", "targets": [{"target": f"127.0.0.1:{peer.port}", "weight": 100} for peer in peers]}
        ],
        "plugins": [{"name": "file-log", "protocols": ["udp"], "config": {"path": str(log)}}],
    }
    listen = "{0} udp reuseport, {1} udp, {2} udp, {3} udp, {4} udp"
    with stream_node(directory, listen, document, stream_udp_sessions_max=SESSIONS_MAX) as node:
        yield Datagrams(node, peers, log)
    for peer in peers:
        peer.close()


def test_each_datagram_arrives_as_it_was_sent(datagrams: Datagrams) -> None:
    with datagram_client(datagrams.node.ports[IDLE]) as client:
        for data in (b"a", b"bc", b"x" * 1_400, b"y" * 20_000):
            assert exchange(client, data) == data


def test_one_datagram_may_have_many_answers(datagrams: Datagrams) -> None:
    with datagram_client(datagrams.node.ports[IDLE]) as client:
        assert exchange(client, b"3:abc") == b"a"
        client.settimeout(10)
        assert {client.recv(100), client.recv(100)} == {b"b", b"c"}


def test_clients_have_sessions_of_their_own(datagrams: Datagrams) -> None:
    before = set(datagrams.peers[0].clients)
    with datagram_client(datagrams.node.ports[IDLE]) as one, datagram_client(datagrams.node.ports[IDLE]) as two:
        assert exchange(one, b"one") == b"one"
        assert exchange(two, b"two") == b"two"
        assert exchange(one, b"again") == b"again"
    assert len(datagrams.peers[0].clients - before) >= 2


def test_silence_ends_a_session_and_leaves_one_entry(datagrams: Datagrams) -> None:
    with datagram_client(datagrams.node.ports[IDLE], source="127.0.0.7") as client:
        assert exchange(client, b"abc") == b"abc"
    of_client = lambda: [entry for entry in datagrams.entries("idle") if entry["client_ip"] == "127.0.0.7"]  # noqa: E731
    (entry,) = eventually(of_client)
    assert entry["session"]["status"] == 200
    assert entry["session"]["received"] == entry["upstream"]["sent"] >= 3
    assert entry["session"]["server_port"] == datagrams.node.ports[IDLE]


def test_clients_that_are_kept_out_reach_nobody(datagrams: Datagrams) -> None:
    with datagram_client(datagrams.node.ports[RESTRICTED]) as client:
        assert exchange(client, b"let in") == b"let in"
    with datagram_client(datagrams.node.ports[RESTRICTED], source="127.0.0.9") as client:
        client.send(b"kept out")
        entry = eventually(lambda: [each for each in datagrams.entries("kept") if each["session"]["status"] == 403])
    assert entry[0]["client_ip"] == "127.0.0.9"
    assert b"kept out" not in datagrams.peers[0].seen


def test_an_upstream_where_nobody_listens_is_told(datagrams: Datagrams) -> None:
    with datagram_client(datagrams.node.ports[DEAD]) as client:
        client.send(b"hello")
        (entry, *_) = eventually(lambda: datagrams.entries("dead"))
    assert entry["session"]["status"] == 502


def test_sessions_are_spread_over_targets(datagrams: Datagrams) -> None:
    for _ in range(4):
        with datagram_client(datagrams.node.ports[POOL]) as client:
            assert exchange(client, b"spread") == b"spread"
    ports = lambda: {each["tries"][-1]["port"] for each in datagrams.entries("pool")}  # noqa: E731
    assert eventually(lambda: len(ports()) == 2)


def test_a_datagram_that_is_too_long_for_the_way_is_not_held_against_the_target(tmp_path: Path) -> None:
    try:
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        client.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    peer = UdpPeer()
    checks = {"passive": {"type": "tcp", "unhealthy": {"tcp_failures": 1}}}
    targets = [{"target": f"127.0.0.1:{peer.port}"}]
    document = {
        "services": [service("s", 1, route("r", "port#0", "udp"), host="pool", protocol="udp")],
        "upstreams": [{"name": "pool", "healthchecks": checks, "targets": targets}],
    }
    (port,) = free_ports(1)
    text = json.dumps(document).replace('"port#0"', str(port))
    with client, stream_node(tmp_path, f"[::1]:{port} udp", json.loads(text)) as node:
        client.connect(("::1", port))
        assert exchange(client, b"before") == b"before"
        # As long as one over IPv6 can be, and too long for IPv4.
        client.send(b"x" * 65_520)
        eventually(lambda: node.metrics()["twinplane_datagrams_lost_total"] >= 1)
        assert exchange(client, b"after") == b"after"
        # One that comes anew finds the target as healthy as before.
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
            other.connect(("::1", port))
            assert exchange(other, b"other") == b"other"
    assert max(map(len, peer.seen)) < 100
    peer.close()


def test_sessions_are_bounded_and_those_that_find_no_room_are_counted(datagrams: Datagrams) -> None:
    eventually(lambda: active(datagrams) == 0)
    clients = [datagram_client(datagrams.node.ports[ECHO]) for _ in range(SESSIONS_MAX + 4)]
    try:
        for client in clients:
            client.send(b"hello")
        assert eventually(lambda: datagrams.node.metrics()["twinplane_streams_refused_total"] >= 1)
        assert active(datagrams) <= SESSIONS_MAX
        assert datagrams.node.metrics()["twinplane_datagrams_lost_total"] >= 1
    finally:
        for client in clients:
            client.close()
    # There is room again once they have fallen silent.
    eventually(lambda: active(datagrams) == 0)
    with datagram_client(datagrams.node.ports[ECHO]) as client:
        assert exchange(client, b"room") == b"room"


def active(datagrams: Datagrams) -> float:
    found = datagrams.node.metrics().items()
    return sum(value for name, value in found if 'subsystem="stream"' in name and 'state="active"' in name)
