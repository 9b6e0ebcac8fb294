"""The control plane's end of the link against a scripted node, over the real socket and the real store."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.certificates import Authority, Leaf, self_signed
from tests.control_room import Platform, open_platform
from tests.integration.link_peer import BINARY, CLOSE, PING, PONG, TEXT, Node, Refused, connect_node, eventually

from twinplane.control import Actor, ControlPlane, Export, ExportRow
from twinplane.control.analytics import Reporter
from twinplane.hybrid import server as server_module
from twinplane.hybrid import session as session_module
from twinplane.hybrid.frames import FrameStream
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.server import LinkServer, LinkServerSettings

ACTOR = Actor("user", "u", "tester")
NODE = "7bd5e9b4-1111-4222-8333-444455556666"


class Intake:
    """Stands for telemetry: keeps what comes."""

    def __init__(self) -> None:
        self.taken: list[tuple[Reporter, bytes]] = []

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        if frame == b"broken":
            raise RuntimeError("the store is full")
        self.taken.append((reporter, frame))
        return b'{"type":"ack"}'


class Running:
    """A link server over a new platform, with one pinned certificate."""

    def __init__(self, platform: Platform, directory: Path) -> None:
        self.control = platform.control
        self.plane = platform.default
        self.leaf = self_signed("kong_clustering")
        self.pinned = self.pin(self.plane, self.leaf)
        self.intake = Intake()
        self.path = directory / "link.sock"
        settings = LinkServerSettings(self.path, check_interval_s=0.1)
        self.server = LinkServer(self.control, self.intake, settings)
        self.nodes: list[Node] = []

    def pin(self, plane: ControlPlane, pem: str) -> Any:
        return self.control.certificates.create(plane.scope, ACTOR, pem, title="test")

    def sni(self, kind: str = "cp0", plane: ControlPlane | None = None) -> str:
        of = plane or self.plane
        return f"{of.prefix}.{of.region}.{kind}.{self.control.settings.domain}"

    def headers(self, pem: str | None = None, sni: str | None = None, chain: str = "") -> dict[str, str]:
        """What the front door says of a peer."""
        found = {"Twinplane-Sni": self.sni() if sni is None else sni, "Twinplane-Peer": "10.1.2.3:4567"}
        found["Client-Cert"] = item(self.leaf if pem is None else pem)
        if chain:
            found["Client-Cert-Chain"] = item(chain)
        return found

    async def connect(self, headers: dict[str, str] | None = None, **options: Any) -> Node:
        node, _ = await self.upgrade(headers, **options)
        return node

    async def upgrade(self, headers: dict[str, str] | None = None, **options: Any) -> tuple[Node, dict[str, str]]:
        reader, writer = await asyncio.open_unix_connection(self.path)
        options = {"node_id": NODE, "headers": self.headers() if headers is None else headers} | options
        try:
            node, answered = await connect_node(reader, writer, **options)
        except BaseException:
            writer.close()
            raise
        self.nodes.append(node)
        return node, answered

    async def joined(self, **options: Any) -> tuple[Node, dict[str, Any]]:
        """A node that has got its first configuration."""
        node = await self.connect(**options)
        await node.hello()
        await node.ping()
        return node, await node.configuration()

    def row(self) -> Any:
        return next((node for node in self.control.nodes.list(self.plane.scope) if node.id == NODE), None)

    def publish(self, revision: int, **collections: list[dict[str, Any]]) -> None:
        """Have the control plane export these rows as a new revision, beyond those that the store is at."""
        revision += 100
        base = self.control.export.payload(self.plane.id)
        rows = dict(base.rows) | {
            name: [ExportRow(str(row["id"]), revision, orjson.dumps(row)) for row in given]
            for name, given in collections.items()
        }
        made = Export(self.plane.id, revision, base.epoch, rows)
        self.control.export.payload = lambda _id, **_options: made  # type: ignore[method-assign]
        self.control.export.delta = lambda *_arguments, **_options: None  # type: ignore[method-assign]
        self.control.versions.announce(self.plane.id, revision)


def item(pem: str) -> str:
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    return f":{base64.b64encode(der).decode()}:"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    with open_platform(tmp_path / "data") as platform:
        made = Running(platform, tmp_path)
        await made.server.start()
        yield made
        for node in made.nodes:
            node.close()
        await made.server.stop()


async def test_a_node_gets_the_configuration_and_its_pings_are_kept(running: Running) -> None:
    node, answered = await running.upgrade()
    assert "twinplane-link" not in answered
    await node.hello(labels={"env": "prod", "bad label": "x"})
    await node.ping()
    pong = await node.receive_kind(PONG)
    assert pong.data == b""
    message = await node.configuration()
    assert set(message) == {"type", "timestamp", "config_hash", "hashes", "config_table"}
    assert message["config_table"]["parameters"][0]["key"] == "cluster_id"
    assert message["config_table"]["_transform"] is False
    assert message["hashes"]["config"] == message["config_hash"]
    await node.ping(message["config_hash"])
    row = await eventually(
        lambda: (
            (row := running.row()) and (row.config_hash, row.sync_status) == (message["config_hash"], "normal") and row
        )
    )
    assert (row.hostname, row.version, row.ip, row.labels) == ("dp-1", "3.9.3", "10.1.2.3", {"env": "prod"})
    assert row.certificate_id == running.pinned.id
    assert row.certificate_expires_at > row.last_ping
    assert running.control.nodes.expected_hash(running.plane.scope).hash == message["config_hash"]


async def test_a_licence_reaches_those_that_know_of_licences(running: Running) -> None:
    """An oss node would refuse the whole payload for it."""
    licence = json.dumps({"license": {"version": 1, "payload": {"license_expiration_date": "2027-01-01"}}})
    running.control.changes.create(running.plane.scope, ACTOR, "licenses", {"payload": licence})
    tables = {}
    for version in ("3.9.3", "3.9.0.1"):
        node = await running.connect(node_id=str(uuid.uuid4()), version=version)
        await node.hello()
        tables[version] = (await node.configuration())["config_table"]
    assert "licenses" not in tables["3.9.3"]
    assert [row["payload"] for row in tables["3.9.0.1"]["licenses"]] == [licence]
    twin = await running.connect(running.headers() | {"Twinplane-Link": "1"}, node_id=str(uuid.uuid4()))
    await twin.hello()
    table = (await twin.configuration())["config_table"]
    assert list(table)[-1] == "licenses"


async def test_two_twinplanes_say_revision_and_epoch(running: Running) -> None:
    node, answered = await running.upgrade(running.headers() | {"Twinplane-Link": "1"})
    assert answered["twinplane-link"] == "1"
    await node.hello(plugins={})
    message = await node.configuration()
    revision = running.control.export.payload(running.plane.id).revision
    assert message["revision"] == revision
    assert message["epoch"] == running.control.epoch
    report = {
        "type": "applied",
        "config_hash": message["config_hash"],
        "revision": revision,
        "epoch": message["epoch"],
        "issues": [{"code": "plugin_not_implemented", "message": "no ldap-auth here", "plugin": "ldap-auth"}],
    }
    await node.send(BINARY, json.dumps(report).encode())
    await node.ping(message["config_hash"])
    row = await eventually(lambda: (row := running.row()) and row.revision == revision and row.issues and row)
    assert row.epoch == message["epoch"]
    assert [issue.code for issue in row.issues] == ["plugin_not_implemented"]


async def test_changes_are_gathered_and_only_the_newest_is_sent(running: Running) -> None:
    node, first = await running.joined()
    for revision in range(1, 6):
        running.publish(revision, services=[{"id": f"s{revision}", "name": "orders"}])
    message = await node.configuration()
    assert [row["id"] for row in message["config_table"]["services"]] == ["s5"]
    assert message["config_hash"] != first["config_hash"]
    await node.receive_nothing(0.3)
    assert running.server.facts.published_total == 2


async def test_one_publication_serves_all_nodes(running: Running) -> None:
    joined = await asyncio.gather(*(running.joined(node_id=str(uuid.uuid4())) for _ in range(20)))
    assert len({message["config_hash"] for _, message in joined}) == 1
    assert running.server.facts.published_total == 1
    running.publish(1, services=[{"id": "s1"}])
    messages = await asyncio.gather(*(node.configuration() for node, _ in joined))
    assert {row["id"] for message in messages for row in message["config_table"]["services"]} == {"s1"}
    assert running.server.facts.published_total == 2


async def test_a_stale_node_is_sent_its_configuration_again_a_few_times(running: Running) -> None:
    node, message = await running.joined()
    for _ in range(session_module.PUSHES_AGAIN_MAX):
        await node.ping()
        await node.ping()
        again = await node.configuration()
        assert again["config_hash"] == message["config_hash"]
    for _ in range(4):
        await node.ping()
        assert (await node.receive()).opcode == PONG
    await node.receive_nothing(0.2)
    await node.ping(message["config_hash"])
    assert (await node.receive()).opcode == PONG


async def test_a_refused_configuration_is_an_issue_and_is_not_sent_again(running: Running) -> None:
    node, message = await running.joined()
    fault = {
        "type": "error",
        "error": {
            "name": "declarative configuration parse failure",
            "source": "kong.db.declarative.parse_table",
            "code": 14,
            "config_hash": message["config_hash"],
            "message": "declarative config is invalid: {}",
            "flattened_errors": [],
        },
    }
    await node.send(BINARY, json.dumps(fault).encode())
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    assert row.issues[0].code == "config_refused"
    for _ in range(4):
        await node.ping()
        assert (await node.receive()).opcode == PONG
    await node.receive_nothing(0.2)


@pytest.mark.parametrize(
    ("plugins", "status"),
    [
        ({"key-auth": "3.9.3"}, "plugin_set_incompatible"),
        ({"key-auth": "3.9.3", "rate-limiting": "3.99.0"}, "plugin_version_incompatible"),
        ({"key-auth": "3.9.3", "rate-limiting": "4.0.0"}, "plugin_version_incompatible"),
    ],
)
async def test_a_push_is_withheld_from_a_node_that_lacks_a_plugin(
    running: Running, plugins: dict[str, str], status: str
) -> None:
    running.publish(1, plugins=[{"id": "p", "name": "rate-limiting", "config": {}}])
    node = await running.connect()
    await node.hello(plugins=plugins)  # type: ignore[arg-type]
    await node.ping()
    assert (await node.receive()).opcode == PONG
    await eventually(lambda: (row := running.row()) and row.sync_status == status)
    await node.receive_nothing(0.2)
    # The link stays; the next configuration is tried again.
    running.publish(2, plugins=[])
    assert "plugins" not in (await node.configuration())["config_table"]
    await eventually(lambda: running.row().sync_status == "normal")


async def test_older_nodes_get_what_they_know_and_lose_the_rest_visibly(running: Running) -> None:
    plugin = {"id": "p1", "name": "cors", "config": {"origins": ["*"], "private_network": True}}
    plain = {"id": "p2", "name": "cors", "config": {"origins": ["*"], "private_network": False}}
    running.publish(1, plugins=[plugin, plain])
    node = await running.connect(version="3.4.2")
    await node.hello(plugins={"cors": "3.4.2"})
    message = await node.configuration()
    assert [row["config"] for row in message["config_table"]["plugins"]] == [{"origins": ["*"]}] * 2
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    assert [resource["id"] for issue in row.issues for resource in issue.affected_resources] == ["p1"]
    # The hash is that of the whole configuration, so that the node can be seen to be in sync.
    other = await running.connect(version="3.9.3", node_id=str(uuid.uuid4()))
    await other.hello(plugins={"cors": "3.9.3"})
    assert (await other.configuration())["config_hash"] == message["config_hash"]


@pytest.mark.parametrize("version", ["2.8.1", "4.0.0", "3.16.0", "3.16.0.1-enterprise"])
async def test_an_incompatible_version_is_closed_after_its_row_is_written(running: Running, version: str) -> None:
    node = await running.connect(version=version)
    await node.hello()
    close = await node.receive()
    assert (close.opcode, close.data) == (CLOSE, b"")
    await eventually(lambda: (row := running.row()) and row.sync_status == "kong_version_incompatible")


async def test_an_unreadable_version_is_closed_without_a_row(running: Running) -> None:
    node = await running.connect(version="banana")
    await node.hello()
    assert (await node.receive()).opcode == CLOSE
    await asyncio.sleep(0.15)
    assert running.row() is None


@pytest.mark.parametrize("version", ["3.0.0", "3.9.3", "3.9.1.2", "3.15.9", "3.10.0-rc.1"])
async def test_versions_up_to_the_control_planes_are_served(running: Running, version: str) -> None:
    node = await running.connect(version=version)
    await node.hello()
    assert await node.configuration()


@pytest.mark.parametrize(
    "frames",
    [
        [(TEXT, b'{"type":"basic_info","plugins":[]}', True)],
        [(BINARY, b'{"type":"basic_info","plugins":[]}', False)],
        [(BINARY, b'{"type":"basic_info"}', True)],
        [(BINARY, b'{"type":"basic_info","plugins":[{"version":"1"}]}', True)],
        [(BINARY, b"not json", True)],
        [(BINARY, b"x" * 2_000_000, True)],
        [(PING, b"0" * 32, True)],
    ],
)
async def test_a_first_frame_that_is_no_basic_info_ends_the_link(
    running: Running, frames: list[tuple[int, bytes, bool]]
) -> None:
    node = await running.connect()
    for opcode, data, fin in frames:
        await node.send(opcode, data, fin=fin)
    assert await node.ended()
    assert running.row() is None


@pytest.mark.parametrize(
    ("opcode", "data", "fin"),
    [(PING, b"short", True), (PING, b"\xff" * 32, True), (TEXT, b"hi", True), (BINARY, b"x", False)],
)
async def test_a_broken_frame_ends_the_link(running: Running, opcode: int, data: bytes, fin: bool) -> None:
    node, _ = await running.joined()
    await node.send(opcode, data, fin=fin)
    assert await node.ended()


async def test_too_large_a_frame_ends_the_link(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "RECEIVED_BYTES_MAX", 100_000)
    node, _ = await running.joined()
    await node.send(BINARY, b"x" * 100_001)
    assert await node.ended()


async def test_a_node_that_says_nothing_is_dropped(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IO_TIMEOUT_S", 0.1)
    monkeypatch.setattr(session_module, "SILENCE_S", 0.2)
    assert await (await running.connect()).ended()
    node, _ = await running.joined(node_id=str(uuid.uuid4()))
    assert await node.ended()


async def test_a_node_that_does_not_take_its_configuration_is_dropped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "PUSH_TIMEOUT_S", 0.3)
    node, _ = await running.joined()
    other, _ = await running.joined(node_id=str(uuid.uuid4()))
    node.reader._transport.pause_reading()  # type: ignore[attr-defined]
    rows = [{"id": f"s{number}", "name": uuid.uuid4().hex * 4} for number in range(20_000)]
    running.publish(1, services=rows)
    assert len((await other.configuration())["config_table"]["services"]) == 20_000
    await eventually(lambda: running.server.facts.connections == 1)


async def test_unknown_reports_are_passed_over(running: Running) -> None:
    node, _ = await running.joined()
    await node.send(BINARY, b'{"type":"weather","is":"fine"}')
    await node.ping()
    await node.receive_kind(PONG)


# --- who a node is ---


async def refused(running: Running, headers: dict[str, str], **options: Any) -> Refused:
    with pytest.raises(Refused) as error:
        await running.connect(headers, **options)
    return error.value


async def test_without_a_certificate_nobody_gets_in(running: Running) -> None:
    error = await refused(running, {"Twinplane-Sni": running.sni()})
    assert error.status == 401
    assert json.loads(error.body) == {"message": "no client certificate provided in request"}


@pytest.mark.parametrize("value", ["no-colons", ":not base64!:", ":AAAA:", ":AA==:,:AA==:"])
async def test_a_malformed_certificate_header_is_refused(running: Running, value: str) -> None:
    error = await refused(running, running.headers() | {"Client-Cert": value})
    assert (error.status, json.loads(error.body)["message"]) == (401, "client certificate authentication failed")


async def test_an_unknown_certificate_is_refused(running: Running) -> None:
    error = await refused(running, running.headers(self_signed("kong_clustering")))
    assert error.status == 401


async def test_a_certificate_of_one_control_plane_opens_no_other(running: Running) -> None:
    organization = running.plane.organization_id
    other = running.control.control_planes.create(organization, "us", ACTOR, {"name": "other"})
    theirs = self_signed("theirs")
    running.pin(other, theirs)
    assert (await refused(running, running.headers(theirs))).status == 401
    assert (await refused(running, running.headers(sni=running.sni(plane=other)))).status == 401
    await (await running.connect(running.headers(theirs, running.sni(plane=other)))).hello()


@pytest.mark.parametrize("form", ["{id}.us.cp0.{domain}", "localhost", "", "{prefix}.us.cp0.other.example"])
async def test_names_that_agree_or_say_nothing_are_served(running: Running, form: str) -> None:
    domain = running.control.settings.domain
    name = form.format(id=running.plane.id, prefix=running.plane.prefix, domain=domain)
    node = await running.connect(running.headers(sni=name))
    await node.hello()
    assert await node.configuration()


@pytest.mark.parametrize("form", ["{prefix}.us.tp0.{domain}", "{prefix}.eu.cp0.{domain}", "0123456789.us.cp0.{domain}"])
async def test_names_that_disagree_are_refused(running: Running, form: str) -> None:
    name = form.format(prefix=running.plane.prefix, domain=running.control.settings.domain)
    assert (await refused(running, running.headers(sni=name))).status == 401


async def test_an_expired_certificate_is_refused(running: Running) -> None:
    old = Leaf.self_signed("old", days=-1).certificate
    running.pin(running.plane, old)
    assert (await refused(running, running.headers(old))).status == 401


async def test_authorities_let_their_leaves_in(running: Running) -> None:
    organization = running.plane.organization_id
    plane = running.control.control_planes.create(
        organization, "us", ACTOR, {"name": "pki", "auth_type": "pki_client_certs"}
    )
    authority, stranger = Authority("company"), Authority("stranger")
    running.pin(plane, authority.certificate)
    between = authority.intermediate("department")
    name = running.sni(plane=plane)
    node = await running.connect(running.headers(authority.leaf("node").certificate, name))
    await node.hello()
    assert await node.configuration()
    chained = between.leaf("node")
    await running.connect(running.headers(chained.certificate, name, between.certificate), node_id=str(uuid.uuid4()))
    assert (await refused(running, running.headers(chained.certificate, name))).status == 401
    assert (await refused(running, running.headers(stranger.leaf("node").certificate, name))).status == 401
    assert (await refused(running, running.headers(authority.leaf("old", days=-1).certificate, name))).status == 401
    serving = authority.leaf("web", is_client=False).certificate
    assert (await refused(running, running.headers(serving, name))).status == 401
    # A chain says nothing without a name.
    assert (await refused(running, running.headers(authority.leaf("node").certificate, "localhost"))).status == 401


async def test_a_removed_certificate_ends_its_live_sessions(running: Running) -> None:
    other_leaf = self_signed("other")
    running.pin(running.plane, other_leaf)
    node, _ = await running.joined()
    other = await running.connect(running.headers(other_leaf), node_id=str(uuid.uuid4()))
    await other.hello()
    running.control.certificates.delete(running.plane.scope, ACTOR, running.pinned.id)
    assert await node.ended()
    await other.configuration()
    assert (await refused(running, running.headers())).status == 401


async def test_a_certificate_that_expires_ends_its_live_sessions(running: Running) -> None:
    short = Leaf.self_signed("short", seconds=1.5).certificate
    running.pin(running.plane, short)
    node = await running.connect(running.headers(short))
    await node.hello()
    await node.configuration()
    assert await node.ended()


# --- HTTP ---


async def test_other_requests_are_answered_in_http(running: Running) -> None:
    assert (await refused(running, running.headers(), path="/v2/outlet")).status == 404
    assert (await refused(running, running.headers(), target="/health")).status == 200
    for target in ("/v1/outlet", "/v1/outlet?node_id=x&node_version=3.9.3", f"/v1/outlet?node_id={NODE}"):
        error = await refused(running, running.headers(), target=target)
        assert error.status == 400
        assert "text/html" in error.head


async def test_too_many_connections_are_refused(tmp_path: Path) -> None:
    with open_platform(tmp_path / "data") as platform:
        running = Running(platform, tmp_path)
        running.server = LinkServer(
            running.control, running.intake, LinkServerSettings(running.path, connections_max=1)
        )
        await running.server.start()
        first, _ = await running.joined()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await running.connect(node_id=str(uuid.uuid4()))
        first.close()
        await running.server.stop()


async def test_one_certificate_has_no_more_than_its_share_of_the_links(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_platform(tmp_path / "data") as platform:
        running = Running(platform, tmp_path)
        settings = LinkServerSettings(running.path, connections_max=8, certificate_share=0.25)
        running.server = LinkServer(running.control, running.intake, settings)
        other = self_signed("other")
        running.pin(running.plane, other)
        await running.server.start()
        first, _ = await running.joined()
        await running.joined(node_id=str(uuid.uuid4()))
        for _ in range(5):
            with pytest.raises(Refused) as refused:
                await running.connect(node_id=str(uuid.uuid4()))
            assert refused.value.status == 429
        assert running.server.facts.refused["too_many"] == 5
        assert len([each for each in caplog.records if "reason=too_many" in each.getMessage()]) == 1
        # Another certificate has room, and this one has it again when a link of it goes.
        await running.joined(headers=running.headers(other), node_id=str(uuid.uuid4()))
        first.close()
        await eventually(lambda: running.server.facts.connections == 2)
        await running.joined(node_id=str(uuid.uuid4()))
        for node in running.nodes:
            node.close()
        await running.server.stop()


async def test_links_beyond_all_are_counted_and_logged_in_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_platform(tmp_path / "data") as platform:
        running = Running(platform, tmp_path)
        settings = LinkServerSettings(running.path, connections_max=1)
        running.server = LinkServer(running.control, running.intake, settings)
        await running.server.start()
        node, _ = await running.joined()
        for _ in range(20):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await running.connect(node_id=str(uuid.uuid4()))
        assert running.server.facts.refused["too_many"] == 20
        assert len([each for each in caplog.records if "too_many" in each.getMessage()]) == 1
        node.close()
        await running.server.stop()


async def test_who_waits_for_a_configuration_keeps_nobody_out(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []
    go_on = threading.Event()
    make = Publication._make

    def slow(self: Publication, version: Any) -> Any:
        begun.append(version)
        go_on.wait(30)
        return make(self, version)

    monkeypatch.setattr(Publication, "_make", slow)
    try:
        waiting = [await running.connect(node_id=str(uuid.uuid4())) for _ in range(12)]
        for node in waiting:
            await node.hello()
        await eventually(lambda: bool(begun))
        # Until all of them are at it.
        await eventually(lambda: running.server._around.pushing._value == server_module.PUSHES_AT_ONCE - 12)
        async with asyncio.timeout(10):
            late = await running.connect(node_id=str(uuid.uuid4()))
        late.close()
    finally:
        go_on.set()
    for node in waiting:
        await node.configuration(10)
    assert len(begun) == 1


async def test_a_node_that_does_not_take_its_pongs_is_cut(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_stream: FrameStream) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(session_module, "PUSH_TIMEOUT_S", 0.3)
    node, _ = await running.joined()
    monkeypatch.setattr(FrameStream, "send_pong", never)
    await node.ping()
    assert await node.ended(10)


# --- telemetry ---


async def test_a_node_that_does_not_take_answers_is_cut(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SEND_TIMEOUT_S", 0.3)
    monkeypatch.setattr(running.intake, "take", lambda *_batch: b"x" * 50_000_000)
    headers = running.headers(sni=running.sni("tp0")) | {"Twinplane-Link": "1"}
    node = await running.connect(headers, path="/v1/analytics/batches")
    await node.send(BINARY, b"batch")
    await eventually(lambda: running.server.facts.connections == 1)
    await eventually(lambda: running.server.facts.connections == 0)


async def test_batches_are_handed_on_with_who_sent_them(running: Running) -> None:
    headers = running.headers(sni=running.sni("tp0")) | {"Twinplane-Link": "1"}
    node = await running.connect(headers, path="/v1/analytics/batches")
    await node.send(BINARY, b"batch one")
    assert (await node.receive()).data == b'{"type":"ack"}'
    await node.send(PING, b"")
    assert (await node.receive()).opcode == PONG
    assert running.intake.taken == [(Reporter(running.plane.id, NODE, "3.9.3"), b"batch one")]
    await node.send(BINARY, b"broken")
    assert await node.ended()


async def test_telemetry_of_other_makers_is_drained(running: Running) -> None:
    headers = running.headers(sni=running.sni("tp0"))
    for path in ("/v1/analytics/reqlog", "/v1/ingest"):
        node = await running.connect(headers, path=path)
        await node.send(BINARY, b"\x00\x01")
        await node.send(PING, b"")
        assert (await node.receive()).opcode == PONG
    assert running.intake.taken == []
    assert (await refused(running, running.headers(), path="/v1/ingest")).status == 401
