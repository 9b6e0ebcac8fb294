"""Streams through a real node, over real sockets: what is passed on, what is ended here, what is refused."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.certificates import Authority, Leaf
from tests.integration.installation import eventually, free_ports
from tests.integration.stream_peers import (
    StreamNode,
    TcpPeer,
    ask,
    connect,
    connect_tls,
    count,
    echo,
    is_closed,
    receive,
    route,
    server_context,
    service,
    stream_node,
)

LISTEN = "{0}, {1}, {2} reuseport, {3}, {4} proxy_protocol, {5} ssl backlog=64, {6}, {7}, {8}"
ECHO, COUNT, RETRY, NOWHERE, BEHIND, SECURE, RESTRICTED, DEAD, IDLE = range(9)
IDLE_MS = 400
STREAM = ["tcp", "tls", "tls_passthrough", "udp"]


@dataclass
class Streams:
    """A node, what stands behind it, and what its log plugin has written."""

    node: StreamNode
    echo: TcpPeer
    passed: TcpPeer
    asking: TcpPeer
    log: Path
    ended: dict[str, Leaf]
    client: Leaf

    def port(self, place: int) -> int:
        return self.node.ports[place]

    def entries(self, name: str) -> list[dict[str, Any]]:
        """What was logged of the streams of a route."""
        if not self.log.exists():
            return []
        told = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [entry for entry in told if entry.get("route", {}).get("name") == name]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streams]:
    directory = tmp_path_factory.mktemp("streams")
    authority, stranger = Authority("upstreams"), Authority("strangers")
    client, trusted = authority.leaf("client"), authority.leaf("up", is_client=False, names=("localhost",))
    ended = {name: Leaf.self_signed(name, names=(name,)) for name in ("one.example", "two.example")}
    passed_leaf = Leaf.self_signed("passed.example", names=("passed.example",))
    with_echo, with_count = TcpPeer(), TcpPeer(count)
    passed = TcpPeer(echo, server_context(directory, passed_leaf))
    asking = TcpPeer(echo, server_context(directory, trusted, asks=authority.certificate))
    strange = TcpPeer(echo, server_context(directory, stranger.leaf("up", is_client=False, names=("localhost",))))
    dead = free_ports(1)[0]
    log = directory / "streams.log"
    client_id, authority_id = "6b7f0f5c-0000-4000-8000-000000000001", "6b7f0f5c-0000-4000-8000-000000000002"

    def tls(name: str, sni: str, protocol: str = "tls") -> dict[str, Any]:
        return route(name, f"port#{SECURE}", protocol, snis=[sni])

    verified = {"host": "localhost", "tls_verify": True, "ca_certificates": [authority_id]}
    restricted = {"name": "ip-restriction", "config": {"deny": ["127.0.0.9/32", "192.0.2.0/24"]}}
    behind = route("behind", f"port#{BEHIND}", plugins=[restricted])
    document = {
        "services": [
            service(
                "echo",
                with_echo.port,
                route("echo", f"port#{ECHO}"),
                behind,
                route("restricted", f"port#{RESTRICTED}", plugins=[restricted]),
                tls("one", "one.example"),
                tls("two", "two.example"),
            ),
            service("count", with_count.port, route("count", f"port#{COUNT}")),
            service("idle", with_echo.port, route("idle", f"port#{IDLE}"), read_timeout=IDLE_MS, write_timeout=IDLE_MS),
            service("dead", dead, route("dead", f"port#{DEAD}"), retries=0),
            service("pool", 1, route("retry", f"port#{RETRY}"), host="pool"),
            service("passed", passed.port, tls("passed", "passed.example", "tls_passthrough")),
            service(
                "asking",
                asking.port,
                tls("asking", "asking.example"),
                protocol="tls",
                client_certificate={"id": client_id},
                **verified,
            ),
            service("unshown", asking.port, tls("unshown", "unshown.example"), protocol="tls", retries=0, **verified),
            service("strange", strange.port, tls("strange", "strange.example"), protocol="tls", retries=0, **verified),
        ],
        "upstreams": [
            {
                "name": "pool",
                "targets": [
                    {"target": f"127.0.0.1:{dead}", "weight": 100},
                    {"target": f"127.0.0.1:{with_echo.port}", "weight": 100},
                ],
            }
        ],
        "certificates": [
            {"id": client_id, "cert": client.certificate, "key": client.key},
            *({"cert": leaf.certificate, "key": leaf.key, "snis": [{"name": name}]} for name, leaf in ended.items()),
        ],
        "ca_certificates": [{"id": authority_id, "cert": authority.certificate}],
        "plugins": [
            {"name": "file-log", "protocols": STREAM, "config": {"path": str(log)}},
            {
                "name": "prometheus",
                "protocols": STREAM,
                "config": {"status_code_metrics": True, "bandwidth_metrics": True},
            },
            # Not for streams: it takes no part in them.
            {"name": "key-auth"},
        ],
    }
    with stream_node(directory, LISTEN, document, trusted_ips="127.0.0.0/24") as node:
        yield Streams(node, with_echo, passed, asking, log, ended, client)
    for peer in (with_echo, with_count, passed, asking, strange):
        peer.close()


def pem(der: bytes | None) -> str:
    assert der is not None
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def test_bytes_pass_both_ways_whole_and_in_order(streams: Streams) -> None:
    data = bytes(range(256)) * 16_384
    with connect(streams.port(ECHO)) as connection:
        assert ask(connection, b"hello") == b"hello"
        sending = threading.Thread(target=connection.sendall, args=(data,))
        sending.start()
        assert receive(connection, len(data)) == data
        sending.join()


def test_a_half_that_is_closed_leaves_the_other_open(streams: Streams) -> None:
    with connect(streams.port(COUNT)) as connection:
        connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 100) == b"100000 bytes"
        assert is_closed(connection)


def test_one_that_takes_nothing_stops_one_that_sends(streams: Streams) -> None:
    with connect(streams.port(ECHO)) as connection:
        connection.settimeout(2)
        # Nobody reads the echo: once all buffers on the way are full, no more is taken.
        with pytest.raises(TimeoutError):
            connection.sendall(b"x" * 256 * 1_048_576)


def test_streams_without_a_route_are_closed(streams: Streams) -> None:
    with connect(streams.port(NOWHERE)) as connection:
        assert is_closed(connection)


def test_an_upstream_that_is_not_there_closes_the_stream_and_is_told(streams: Streams) -> None:
    with connect(streams.port(DEAD)) as connection:
        assert is_closed(connection)
    entry = eventually(lambda: streams.entries("dead"))[0]
    assert entry["session"]["status"] == 502
    assert [(each["state"], each["code"]) for each in entry["tries"]] == [("failed", 502)]


def test_another_target_is_tried_where_one_cannot_be_reached(streams: Streams) -> None:
    for _ in range(4):
        with connect(streams.port(RETRY)) as connection:
            assert ask(connection, b"hello") == b"hello"
    tries = eventually(lambda: len(found := streams.entries("retry")) == 4 and [len(each["tries"]) for each in found])
    assert set(tries) <= {1, 2}
    assert 2 in tries


def test_silence_ends_a_stream(streams: Streams) -> None:
    with connect(streams.port(IDLE)) as connection:
        assert ask(connection, b"hello") == b"hello"
        assert is_closed(connection)


@pytest.mark.parametrize("name", ["one.example", "two.example"])
def test_tls_is_ended_with_the_certificate_of_its_name(streams: Streams, name: str) -> None:
    with connect_tls(streams.port(SECURE), name) as connection:
        assert pem(connection.getpeercert(binary_form=True)) == streams.ended[name].certificate
        assert ask(connection, b"hello") == b"hello"


def test_tls_is_passed_on_unread_where_the_route_says_so(streams: Streams) -> None:
    before = len(streams.passed.names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Whatever they agree on is between the two ends.
    context.set_alpn_protocols(["made-up"])
    with context.wrap_socket(connect(streams.port(SECURE)), server_hostname="passed.example") as connection:
        shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
        assert shown.subject.rfc4514_string() == "CN=passed.example"
        assert ask(connection, b"hello") == b"hello"
    assert streams.passed.names[before:] == ["passed.example"]


def test_a_protocol_nobody_knows_is_no_hindrance_where_tls_ends_here(streams: Streams) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["mqtt"])
    with context.wrap_socket(connect(streams.port(SECURE)), server_hostname="one.example") as connection:
        assert ask(connection, b"hello") == b"hello"


def test_tls_of_an_unknown_name_is_closed_before_the_handshake(streams: Streams) -> None:
    with pytest.raises((ssl.SSLError, OSError)):
        connect_tls(streams.port(SECURE), "other.example")


def test_an_upstream_is_shown_the_certificate_of_the_service(streams: Streams) -> None:
    before = len(streams.asking.shown)
    with connect_tls(streams.port(SECURE), "asking.example") as connection:
        assert ask(connection, b"hello") == b"hello"
    assert [pem(shown) for shown in streams.asking.shown[before:]] == [streams.client.certificate]
    assert streams.asking.names[-1] == "localhost"


@pytest.mark.parametrize("name", ["unshown", "strange"])
def test_an_upstream_that_does_not_agree_on_tls_ends_the_stream(streams: Streams, name: str) -> None:
    with connect_tls(streams.port(SECURE), f"{name}.example") as connection:
        assert is_closed(connection)
    # One that wants a certificate may say so only after its own part of the handshake, on a stream that is open then.
    status = eventually(lambda: streams.entries(name))[0]["session"]["status"]
    assert status in ((200, 502) if name == "unshown" else (502,))


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x05\x02aaaa",
        b"\x16\x03\x01\x3f\xff" * 4000,
    ],
    ids=["http", "empty", "no-hello", "endless"],
)
def test_what_is_no_hello_is_closed(streams: Streams, beginning: bytes) -> None:
    with connect(streams.port(SECURE)) as connection:
        try:
            connection.sendall(beginning)
        except OSError:
            return
        assert is_closed(connection)


def test_a_hello_may_come_in_pieces(streams: Streams) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = context.wrap_bio(incoming, outgoing, server_hostname="one.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    with connect(streams.port(SECURE)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(hello), 50):
            connection.sendall(hello[at : at + 50])
        assert connection.recv(1) == b"\x16"


def test_a_client_that_says_nothing_is_closed_in_time(streams: Streams) -> None:
    with connect(streams.port(SECURE)) as connection:
        assert is_closed(connection)


def proxied(address: str, version: int) -> bytes:
    if version == 1:
        return f"PROXY TCP4 {address} 127.0.0.1 4711 1\r\n".encode()
    ends = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4711, 1)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(ends)) + ends


@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_header_of_a_trusted_peer_tells_the_client(streams: Streams, version: int) -> None:
    with connect(streams.port(BEHIND)) as connection:
        connection.sendall(proxied(f"198.51.100.{version}", version) + b"hello")
        assert receive(connection, 5) == b"hello"
    addresses = lambda: [entry["client_ip"] for entry in streams.entries("behind")]  # noqa: E731
    assert eventually(lambda: f"198.51.100.{version}" in addresses())
    with connect(streams.port(BEHIND)) as connection:
        connection.sendall(proxied("192.0.2.7", version) + b"hello")
        assert is_closed(connection)


def test_what_is_no_proxy_header_is_closed(streams: Streams) -> None:
    with connect(streams.port(BEHIND)) as connection:
        connection.sendall(b"hello, I am nobody\r\n")
        assert is_closed(connection)


def test_addresses_that_are_kept_out_are_closed(streams: Streams) -> None:
    with connect(streams.port(RESTRICTED)) as connection:
        assert ask(connection, b"hello") == b"hello"
    before = streams.echo.taken
    with connect(streams.port(RESTRICTED), source="127.0.0.9") as connection:
        assert is_closed(connection)
    assert streams.echo.taken == before
    refused = eventually(lambda: [each for each in streams.entries("restricted") if each["client_ip"] == "127.0.0.9"])
    assert refused[0]["session"] == {"received": 0, "sent": 0, "status": 403, "server_port": streams.port(RESTRICTED)}
    assert refused[0]["tries"] == []


def test_a_stream_leaves_one_entry_in_the_form_of_a_real_node(streams: Streams) -> None:
    def entries() -> list[dict[str, Any]]:
        return [entry for entry in streams.entries("two") if entry["session"]["received"] == 3]

    with connect_tls(streams.port(SECURE), "two.example") as connection:
        assert ask(connection, b"abc") == b"abc"
    (entry,) = eventually(entries)
    tls = entry["session"].pop("tls")
    assert tls["version"] in ("TLSv1.2", "TLSv1.3")
    assert tls["client_verify"] == "NONE"
    assert entry["session"] == {"received": 3, "sent": 3, "status": 200, "server_port": streams.port(SECURE)}
    assert entry["upstream"] == {"received": 3, "sent": 3}
    assert entry["latencies"]["session"] >= entry["latencies"]["kong"] >= 0
    assert [each["port"] for each in entry["tries"]] == [streams.echo.port]
    assert entry["client_ip"] == "127.0.0.1"
    assert entry["service"]["name"] == "echo"
    assert {"started_at", "route"} < set(entry)
    assert not {"request", "response", "upstream_uri"} & set(entry)


def test_streams_are_counted_by_route_and_subsystem(streams: Streams) -> None:
    with connect(streams.port(ECHO)) as connection:
        assert ask(connection, b"hello") == b"hello"
        metrics = streams.node.metrics()
        active = [value for name, value in metrics.items() if 'subsystem="stream"' in name and 'state="active"' in name]
        assert active == [pytest.approx(active[0])]
        assert active[0] >= 1

    def counted() -> bool:
        found = streams.node.metrics()
        own = [name for name in found if name.startswith("kong_stream_sessions_total") and 'route="echo"' in name]
        bytes_in = [name for name in found if 'route="echo"' in name and 'direction="ingress"' in name]
        return bool(own and bytes_in) and all('code="200"' in name for name in own)

    assert eventually(counted)
