"""The node's end of the link against a scripted control plane over TLS: the protocol's frames, delays and refusals."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority, Leaf
from tests.integration.link_peer import (
    BINARY,
    PING,
    PONG,
    ZERO_HASH,
    Arrival,
    ControlPlane,
    eventually,
    reconfigure,
    recorded,
)

from twinplane.hybrid.client import LinkClient, LinkTimes
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.forward_proxy import ForwardProxy
from twinplane.hybrid.hashing import hash_table
from twinplane.hybrid.wire import BasicInfo, Issue, NodeQuery
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import PayloadRefused

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "link" / "legacy-v1.jsonl"
NODE = "b3340b9b-aac7-4a1e-be54-3d114a697d7f"
NAME = "0123456789.us.cp0.twinplane.test"
QUICK = LinkTimes(ping_interval_s=0.2, silence_s=1.0, reconnect_min_s=0.05, reconnect_max_s=0.1)
SHARED = Leaf.self_signed("kong_clustering")
CLIENT = Leaf.self_signed("node")


class CoreStub:
    """Stands for the core: takes every table but poisoned ones, slowly if asked to."""

    def __init__(self) -> None:
        self.served: list[Any] = []
        self.hold: asyncio.Event | None = None

    def apply(self, table: bytes) -> Sequence[Issue]:
        if b"poison" in table:
            raise PayloadRefused([{"entity": "services", "id": "s", "message": "poison"}])
        self.served.append(json.loads(table))
        return [Issue("plugin_not_implemented", "no ldap-auth here", "ldap-auth")] if b"ldap" in table else []


class Running:
    """A node's link, and the control plane that it dials."""

    def __init__(self, directory: Path, plane: ControlPlane) -> None:
        self.plane = plane
        self.core = CoreStub()
        self.keeper = ConfigKeeper(
            self.core.apply,
            ConfigCache(directory),
            complete=lambda table: table,
            bytes_max=1_048_576,
            on_served=lambda _table: None,
        )
        self.task: asyncio.Task[None] | None = None
        self.client: LinkClient | None = None

    def start(
        self,
        tls: LinkTls,
        *,
        port: int | None = None,
        times: LinkTimes = QUICK,
        reports_faults: bool = False,
        proxy: ForwardProxy | None = None,
        server_name: str = NAME,
    ) -> LinkClient:
        endpoint = Endpoint("127.0.0.1", port or self.plane.port, server_name)
        self.client = LinkClient(
            Dialer(endpoint, tls, timeout_s=2, bytes_max=1_048_576, proxy=proxy),
            NodeQuery(NODE, "vm", "3.9.3"),
            self.keeper,
            basic_info=lambda: BasicInfo({"acl": "3.9.3", "own": None}, {"env": "prod"}, (), {"role": "data_plane"}),
            reports_faults=reports_faults,
            times=times,
        )
        self.task = asyncio.create_task(self.client.run())
        return self.client

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


def shared_tls() -> LinkTls:
    return LinkTls("shared", SHARED.certificate, SHARED.key)


def plane_with(directory: Path, leaf: Leaf, **options: Any) -> ControlPlane:
    (directory / "cp.pem").write_text(leaf.certificate)
    (directory / "cp.key").write_text(leaf.key)
    return ControlPlane(directory / "cp.pem", directory / "cp.key", **options)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    plane = plane_with(tmp_path, SHARED)
    await plane.start()
    made = Running(tmp_path, plane)
    yield made
    await made.stop()
    await plane.stop()


async def settled(arrival: Arrival, config_hash: str) -> None:
    """Wait for the ping that reports `config_hash`."""
    async with asyncio.timeout(5):
        while (await arrival.peer.receive_kind(PING)).data != config_hash.encode():
            pass


async def test_a_node_says_who_it_is_and_pings_at_once(running: Running) -> None:
    running.start(shared_tls())
    arrival = await running.plane.arrival()
    line = f"GET /v1/outlet?node_id={NODE}&node_hostname=vm&node_version=3.9.3 HTTP/1.1"
    assert arrival.request == line
    assert arrival.headers["host"] == f"127.0.0.1:{running.plane.port}"
    assert {"origin", "user-agent", "sec-websocket-extensions", "sec-websocket-protocol"}.isdisjoint(arrival.headers)
    assert running.plane.server_names == ["kong_clustering"]
    assert arrival.certificate == ssl.PEM_cert_to_DER_cert(SHARED.certificate)
    assert arrival.basic_info == {
        "type": "basic_info",
        "plugins": [{"name": "acl", "version": "3.9.3"}, {"name": "own"}],
        "filters": {},
        "labels": {"env": "prod"},
        "process_conf": {"role": "data_plane"},
    }
    ping = await arrival.peer.receive()
    assert (ping.opcode, ping.data, ping.masked) == (PING, ZERO_HASH.encode(), True)
    # Pings go on, and nothing but pings is ever sent to a peer that is no twinplane.
    for _ in range(3):
        assert (await arrival.peer.receive()).opcode == PING


async def test_a_configuration_is_applied_and_reported_at_once(running: Running) -> None:
    running.start(shared_tls(), times=LinkTimes(ping_interval_s=60))
    arrival = await running.plane.arrival()
    assert (await arrival.peer.receive()).data == ZERO_HASH.encode()
    table = {"_format_version": "3.0", "services": [{"id": "1"}]}
    config_hash = hash_table(table).config
    await arrival.peer.send(BINARY, reconfigure(table, config_hash))
    ping = await arrival.peer.receive()
    assert (ping.opcode, ping.data) == (PING, config_hash.encode())
    assert running.core.served == [table]
    # A control plane's PONG and PING need no answer.
    await arrival.peer.send(PONG)
    await arrival.peer.send(PING)
    await arrival.peer.receive_nothing(0.2)


@pytest.mark.skipif(not RECORDED.exists(), reason="recorded link session not present")
async def test_a_recorded_session_is_replayed(running: Running) -> None:
    """The control plane's frames of a recorded session, byte for byte: the node answers with the recorded pings."""
    running.start(shared_tls(), times=LinkTimes(ping_interval_s=60))
    arrival = await running.plane.arrival()
    expected = [ZERO_HASH]
    pings = [(await arrival.peer.receive()).data.decode()]
    for entry in recorded(RECORDED):
        if entry.get("dir") == "cp>dp" and entry.get("op") == "binary":
            await arrival.peer.send(BINARY, gzip.compress(json.dumps(entry["json"]).encode()))
            pings.append((await arrival.peer.receive_kind(PING)).data.decode())
            expected.append(entry["json"]["config_hash"])
        elif entry.get("dir") == "cp>dp" and entry.get("op") == "pong":
            await arrival.peer.send(PONG)
    assert pings == expected
    assert len(running.core.served) == len(
        [one for one, two in zip(expected[1:], expected, strict=False) if one != two]
    )


async def test_only_the_newest_of_several_configurations_is_applied(running: Running) -> None:
    gate = asyncio.Event()
    entered = asyncio.Event()
    original = running.keeper.receive

    async def slowly(frame: bytes, *, is_twin: bool) -> Any:
        entered.set()
        await gate.wait()
        return await original(frame, is_twin=is_twin)

    running.keeper.receive = slowly  # type: ignore[method-assign]
    running.start(shared_tls())
    arrival = await running.plane.arrival()
    tables = [{"services": [{"id": str(number)}]} for number in range(5)]
    await arrival.peer.send(BINARY, reconfigure(tables[0], hash_table(tables[0]).config))
    await entered.wait()
    for table in tables[1:]:
        await arrival.peer.send(BINARY, reconfigure(table, hash_table(table).config))
    await asyncio.sleep(0.1)
    gate.set()
    await settled(arrival, hash_table(tables[-1]).config)
    assert running.core.served == [tables[0], tables[-1]]


async def test_a_refused_configuration_is_not_told_to_a_peer_that_would_hang_up(running: Running) -> None:
    running.start(shared_tls(), times=LinkTimes(ping_interval_s=60))
    arrival = await running.plane.arrival()
    await arrival.peer.receive()
    await arrival.peer.send(BINARY, reconfigure({"services": [{"id": "poison"}]}, "a" * 32))
    ping = await arrival.peer.receive()
    assert (ping.opcode, ping.data) == (PING, ZERO_HASH.encode())
    assert running.keeper.last_fault is not None


async def test_a_refused_configuration_is_told_where_that_is_understood(running: Running) -> None:
    running.start(shared_tls(), reports_faults=True)
    arrival = await running.plane.arrival()
    await arrival.peer.send(BINARY, reconfigure({"services": [{"id": "poison"}]}, "a" * 32))
    frame = await arrival.peer.receive_kind(BINARY)
    error = json.loads(frame.data)["error"]
    assert error["name"] == "declarative configuration parse failure"
    assert (error["code"], error["config_hash"]) == (14, "a" * 32)
    assert error["flattened_errors"][0]["entity_type"] == "service"


async def test_a_twin_is_told_what_runs_and_what_cannot(running: Running) -> None:
    running.plane.is_twin = True
    running.start(shared_tls())
    arrival = await running.plane.arrival()
    assert arrival.headers["twinplane-link"] == "1"
    first = json.loads((await arrival.peer.receive_kind(BINARY)).data)
    assert first == {"type": "applied", "config_hash": ZERO_HASH, "revision": None, "epoch": None, "issues": []}
    table = {"plugins": [{"name": "ldap-auth"}]}
    await arrival.peer.send(BINARY, reconfigure(table, hash_table(table).config, revision=7, epoch="e1"))
    told = json.loads((await arrival.peer.receive_kind(BINARY)).data)
    assert (told["config_hash"], told["revision"], told["epoch"]) == (hash_table(table).config, 7, "e1")
    assert [issue["plugin"] for issue in told["issues"]] == ["ldap-auth"]


@pytest.mark.parametrize("frame", [b"not gzip", gzip.compress(b"not json", mtime=0), gzip.compress(bytes(300_000_000))])
async def test_a_frame_that_cannot_be_read_ends_the_link_and_the_old_one_serves(running: Running, frame: bytes) -> None:
    running.start(shared_tls())
    arrival = await running.plane.arrival()
    table = {"services": [{"id": "1"}]}
    await arrival.peer.send(BINARY, reconfigure(table, hash_table(table).config))
    await settled(arrival, hash_table(table).config)
    await arrival.peer.send(BINARY, frame)
    assert await arrival.peer.ended()
    again = await running.plane.arrival()
    assert (await again.peer.receive()).data == hash_table(table).config.encode()
    assert running.core.served == [table]


async def test_too_large_a_frame_ends_the_link(running: Running) -> None:
    running.start(shared_tls())
    arrival = await running.plane.arrival()
    arrival.peer.writer.write(b"\x82\x7f" + (2_000_000).to_bytes(8, "big") + b"x" * 100)
    assert await arrival.peer.ended()
    await running.plane.arrival()


async def test_a_silent_control_plane_is_given_up_and_dialled_again(running: Running) -> None:
    client = running.start(shared_tls(), times=LinkTimes(0.1, 0.3, 0.05, 0.1))
    arrival = await running.plane.arrival()
    await eventually(lambda: client.facts.is_connected)
    assert await arrival.peer.ended()
    await running.plane.arrival()
    assert client.facts.failures_total >= 1


async def test_a_lost_link_is_dialled_again_within_the_delays(running: Running) -> None:
    running.start(shared_tls(), times=LinkTimes(60, 45, 0.3, 0.5))
    for _ in range(2):
        arrival = await running.plane.arrival()
        arrival.peer.close()
        began = asyncio.get_running_loop().time()
        running.plane.upgrades = 0
        await eventually(lambda: running.plane.upgrades)
        assert 0.25 <= asyncio.get_running_loop().time() - began <= 2


async def test_the_first_connection_may_be_tried_sooner(tmp_path: Path) -> None:
    plane = plane_with(tmp_path, SHARED)
    await plane.start()
    port = plane.port
    await plane.stop()
    running = Running(tmp_path, plane)
    client = running.start(shared_tls(), port=port, times=LinkTimes(first_retry_s=0.05))
    await eventually(lambda: client.facts.failures_total >= 2)
    await plane.start(port)
    await plane.arrival()
    await running.stop()
    await plane.stop()


# --- whom a node believes ---


async def refusal(running: Running, tls: LinkTls, **options: Any) -> str:
    client = running.start(tls, **options)
    await eventually(lambda: client.facts.failures_total)
    assert running.plane.upgrades == 0
    await running.stop()
    return client.facts.last_error


async def test_another_certificate_than_the_shared_one_is_refused(tmp_path: Path) -> None:
    plane = plane_with(tmp_path, Leaf.self_signed("kong_clustering"))
    await plane.start()
    assert "peer_unverified" in await refusal(Running(tmp_path, plane), shared_tls())
    await plane.stop()


@pytest.mark.parametrize("is_pinned", [False, True])
async def test_authorities_and_names_are_verified(tmp_path: Path, is_pinned: bool) -> None:
    authority = Authority("platform")
    leaf = authority.leaf("cp", is_client=False, names=(f"*.{NAME.partition('.')[2]}",))
    plane = plane_with(tmp_path, leaf)
    plane.trust(CLIENT.certificate)
    await plane.start()
    trusted = leaf.certificate if is_pinned else authority.certificate
    running = Running(tmp_path, plane)
    good = LinkTls("pki", CLIENT.certificate, CLIENT.key, trusted=trusted)
    assert "peer_unverified" in await refusal(running, good, server_name="other.example")
    stranger = LinkTls("pki", CLIENT.certificate, CLIENT.key, trusted=Authority("stranger").certificate)
    assert "peer_unverified" in await refusal(running, stranger)
    nobody = LinkTls("pki", CLIENT.certificate, CLIENT.key)
    assert "peer_unverified" in await refusal(running, nobody)
    plane.server_names.clear()
    running.start(good)
    arrival = await plane.arrival()
    assert plane.server_names == [NAME]
    assert arrival.certificate is not None
    assert hashlib.sha256(arrival.certificate).digest() == _digest(CLIENT.certificate)
    await running.stop()
    await plane.stop()


async def test_a_name_in_the_subject_alone_is_taken_from_a_pinned_authority(tmp_path: Path) -> None:
    leaf = Leaf.self_signed(NAME)
    plane = plane_with(tmp_path, leaf)
    plane.trust(CLIENT.certificate)
    await plane.start()
    running = Running(tmp_path, plane)
    running.start(LinkTls("pki", CLIENT.certificate, CLIENT.key, trusted=leaf.certificate))
    await plane.arrival()
    await running.stop()
    await plane.stop()


async def test_certificates_of_version_1_are_shared(tmp_path: Path) -> None:
    """What self-managed installations share is often of X.509 version 1, without any extension."""
    pair = Leaf.version_1("kong_clustering", tmp_path)
    plane = plane_with(tmp_path, pair)
    await plane.start()
    running = Running(tmp_path, plane)
    running.start(LinkTls("shared", pair.certificate, pair.key))
    arrival = await plane.arrival()
    assert arrival.certificate == ssl.PEM_cert_to_DER_cert(pair.certificate)
    await running.stop()
    await plane.stop()


def _digest(pem: str) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()


def test_a_key_that_does_not_fit_is_told_at_the_start() -> None:
    with pytest.raises(ssl.SSLError):
        Dialer(Endpoint("h", 1, "h"), LinkTls("shared", SHARED.certificate, CLIENT.key))


# --- forward proxies ---


class TunnelProxy:
    """A small CONNECT proxy."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.status = 200
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        writer.write(f"HTTP/1.1 {self.status} x\r\n\r\n".encode())
        if self.status != 200:
            writer.close()
            return
        host, port = head.split(" ")[1].rsplit(":", 1)
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer), return_exceptions=True)
        up_writer.close()
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.transport.abort()


async def test_a_forward_proxy_opens_a_tunnel(running: Running) -> None:
    proxy = TunnelProxy()
    server = await proxy.start()
    running.start(shared_tls(), proxy=ForwardProxy("127.0.0.1", proxy.port, username="user", password="p:w"))
    arrival = await running.plane.arrival()
    assert arrival.headers["host"] == f"127.0.0.1:{running.plane.port}"
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{running.plane.port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwOnc=" in proxy.heads[0]
    table = {"services": [{"id": "1"}]}
    await arrival.peer.send(BINARY, reconfigure(table, hash_table(table).config))
    await settled(arrival, hash_table(table).config)
    await running.stop()
    server.close()


async def test_a_proxy_that_refuses_is_told(running: Running) -> None:
    proxy = TunnelProxy()
    proxy.status = 407
    server = await proxy.start()
    error = await refusal(running, shared_tls(), proxy=ForwardProxy("127.0.0.1", proxy.port))
    assert "proxy_refused" in error
    assert "407" in error
    server.close()
