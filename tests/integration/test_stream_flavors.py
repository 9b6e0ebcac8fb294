"""Streams through a real node in each flavour: where they go is what the node says beforehand to whoever asks."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.certificates import Leaf
from tests.integration.installation import Client
from tests.integration.stream_peers import (
    Manner,
    StreamNode,
    TcpPeer,
    UdpPeer,
    ask,
    connect,
    connect_tls,
    datagram_client,
    echo,
    exchange,
    is_closed,
    receive,
    route,
    server_context,
    service,
    stream_node,
)

CLEAR, SECURE, DATAGRAMS, NOWHERE = range(4)
LISTEN = "{0}, {1} ssl, {2} udp, {3}"
STREAM = ["tcp", "tls", "tls_passthrough", "udp"]
FLAVORS = ("traditional_compatible", "expressions", "traditional")
# What the attributes of the other flavours ask for, in the language of this one; what passes TLS on has to name `snis`.
EXPRESSIONS = {
    "wide": (1, f"net.dst.port == port#{CLEAR}"),
    "near": (10, f"net.dst.port == port#{CLEAR} && net.src.ip == 127.0.0.7"),
    "ended": (1, 'tls.sni == "ended.example"'),
    "datagrams": (1, f'net.protocol == "udp" && net.dst.port == port#{DATAGRAMS}'),
}


def saying(name: bytes) -> Manner:
    def say(connection: socket.socket) -> None:
        connection.sendall(name)
        echo(connection)

    return say


def routed(flavor: str, name: str, protocol: str, place: int, **more: Any) -> dict[str, Any]:
    if flavor != "expressions" or name not in EXPRESSIONS:
        return route(name, f"port#{place}", protocol, **more)
    priority, expression = EXPRESSIONS[name]
    return {"name": name, "protocols": [protocol], "expression": expression, "priority": priority}


@dataclass
class Flavored:
    """A node of one flavour and what stands behind it."""

    flavor: str
    node: StreamNode
    pool_port: int

    def port(self, place: int) -> int:
        return self.node.ports[place]

    def told(self, **asked: Any) -> dict[str, Any]:
        """What the running node says would become of a stream."""
        answer = Client(self.node.status)("POST", "/explain", asked)
        assert answer.status == 200, answer.body
        told: dict[str, Any] = json.loads(answer.body)
        return told


@pytest.fixture(scope="module", params=FLAVORS)
def flavored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flavored]:
    flavor: str = request.param
    directory = tmp_path_factory.mktemp(flavor)
    leaf, passed_leaf = (Leaf.self_signed(name, names=(name,)) for name in ("ended.example", "passed.example"))
    wide, near, pool = (TcpPeer(saying(name)) for name in (b"wide", b"near", b"ended"))
    passed, datagrams = TcpPeer(saying(b"passed"), server_context(directory, passed_leaf)), UdpPeer()
    document = {
        "services": [
            service("wide", wide.port, routed(flavor, "wide", "tcp", CLEAR)),
            service("near", near.port, routed(flavor, "near", "tcp", CLEAR, sources=[{"ip": "127.0.0.7"}])),
            service("ended", 1, routed(flavor, "ended", "tls", SECURE, snis=["ended.example"]), host="pool"),
            service(
                "passed",
                passed.port,
                routed(flavor, "passed", "tls_passthrough", SECURE, snis=["passed.example"]),
            ),
            service("datagrams", datagrams.port, routed(flavor, "datagrams", "udp", DATAGRAMS), protocol="udp"),
        ],
        "upstreams": [{"name": "pool", "targets": [{"target": f"127.0.0.1:{pool.port}"}]}],
        "certificates": [{"cert": leaf.certificate, "key": leaf.key, "snis": [{"name": "ended.example"}]}],
        "plugins": [
            {
                "name": "ip-restriction",
                "protocols": STREAM,
                "config": {"deny": ["127.0.0.9/32"]},
                "condition": 'net.protocol == "tls_passthrough"',
            },
            {"name": "file-log", "protocols": STREAM, "config": {"path": str(directory / "streams.log")}},
            # Not for streams.
            {"name": "cors"},
        ],
    }
    with stream_node(directory, LISTEN, document, router_flavor=flavor, status_explain="on") as node:
        yield Flavored(flavor, node, pool.port)
    for peer in (wide, near, pool, passed):
        peer.close()
    datagrams.close()


@pytest.mark.parametrize(("source", "name"), [("127.0.0.1", "wide"), ("127.0.0.7", "near")])
def test_a_stream_in_the_clear_goes_where_it_is_said(flavored: Flavored, source: str, name: str) -> None:
    destination = f"127.0.0.1:{flavored.port(CLEAR)}"
    told = flavored.told(protocol="tcp", source=f"{source}:4711", destination=destination)
    assert (told["route"]["name"], told["carried"], told["closed"]) == (name, "tcp", None)
    lacks = {lost["name"]: [each["part"] for each in lost["lacks"]] for lost in told["considered"]}
    near = "expression" if flavored.flavor == "expressions" else "source"
    assert lacks.get("near") == ([near] if name == "wide" else None)
    assert [other["name"] for other in told["would_match"]] == (["wide"] if name == "near" else [])
    with connect(flavored.port(CLEAR), source) as connection:
        assert receive(connection, 4) == name.encode()
        assert ask(connection, b"hello") == b"hello"


def test_tls_ends_where_it_is_said(flavored: Flavored) -> None:
    ended = flavored.told(url=f"tls://ended.example:{flavored.port(SECURE)}")
    assert (ended["route"]["name"], ended["carried"]) == ("ended", "tls")
    target = ended["upstream"]["target"]
    assert (target["upstream"], target["picked"]["port"]) == ("pool", flavored.pool_port)
    passed = flavored.told(protocol="tls", sni="passed.example", listener_port=flavored.port(SECURE))
    assert (passed["route"]["name"], passed["carried"]) == ("passed", "tls_passthrough")
    assert passed["upstream"]["uri"].startswith("tcp://127.0.0.1:")
    for name in ("ended", "passed"):
        with connect_tls(flavored.port(SECURE), f"{name}.example") as connection:
            assert receive(connection, len(name)) == name.encode()


def test_datagrams_go_where_it_is_said(flavored: Flavored) -> None:
    told = flavored.told(url=f"udp://127.0.0.1:{flavored.port(DATAGRAMS)}")
    assert (told["route"]["name"], told["carried"]) == ("datagrams", "udp")
    assert told["upstream"]["uri"].startswith("udp://127.0.0.1:")
    with datagram_client(flavored.port(DATAGRAMS)) as client:
        assert exchange(client, b"hello") == b"hello"


def test_what_no_route_is_for_is_closed_and_said_to_be(flavored: Flavored) -> None:
    told = flavored.told(url=f"tcp://127.0.0.1:{flavored.port(NOWHERE)}")
    assert (told["route"], told["carried"], told["upstream"], told["plugins"]) == (None, None, None, [])
    assert told["closed"] == {"status": 500, "message": "no Route found with those values"}
    assert {"wide", "near"} <= {lost["name"] for lost in told["considered"]}
    with connect(flavored.port(NOWHERE)) as connection:
        assert is_closed(connection)
    unknown = flavored.told(url=f"tls://other.example:{flavored.port(SECURE)}")
    assert unknown["route"] is None
    with pytest.raises((ssl.SSLError, OSError)):
        connect_tls(flavored.port(SECURE), "other.example")


def test_a_plugin_is_skipped_where_its_condition_says_so(flavored: Flavored) -> None:
    ends = {"source": "127.0.0.9:4711", "destination": f"127.0.0.1:{flavored.port(CLEAR)}"}
    clear = flavored.told(protocol="tcp", **ends)
    assert [(each["name"], each["scope"], each["phases"], each["skipped"]) for each in clear["plugins"]] == [
        ("ip-restriction", [], ["preread"], 'net.protocol == "tls_passthrough"'),
        ("file-log", [], ["log"], None),
    ]
    with connect(flavored.port(CLEAR), "127.0.0.9") as connection:
        assert receive(connection, 4) == b"wide"
    ends["destination"] = f"127.0.0.1:{flavored.port(SECURE)}"
    passed = flavored.told(protocol="tls_passthrough", sni="passed.example", **ends)
    assert [each["skipped"] for each in passed["plugins"]] == [None, None]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect(flavored.port(SECURE), "127.0.0.9") as connection, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(connection, server_hostname="passed.example")


def test_a_question_that_is_none_is_refused_with_all_that_is_wrong(flavored: Flavored) -> None:
    answer = Client(flavored.node.status)(
        "POST", "/explain", {"protocol": "sctp", "source": "here", "path": "/", "client_port": "x", "sni": "a.example"}
    )
    assert answer.status == 400
    assert set(json.loads(answer.body)["mistakes"]) == {
        "client_port: expected a whole number",
        "source: expected an address and a port, as in 10.0.0.1:9000 or [::1]:9000",
        "path: streams have none",
        "protocol: expected tcp, tls, tls_passthrough or udp, not sctp",
        "listener_port: expected, for routes go by it (or destination)",
    }
