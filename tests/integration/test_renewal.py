"""Certificates replaced while everything runs: a node's towards its control plane and its clients, the front door's."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.certificates import Authority, Leaf
from tests.integration.dbless import dbless_node
from tests.integration.installation import eventually as eventually_sync
from tests.integration.link_peer import Refused, eventually
from tests.integration.ports import LEASE
from tests.integration.real_door import ACTOR, Door, identity, open_door

from twinplane.cli.front_door import FrontDoor
from twinplane.hybrid.identity import AdmissionRules, SharedMode, fingerprint
from twinplane.node import authority
from twinplane.node.edge import Edge
from twinplane.node.runner import Node
from twinplane.settings import CONTROL_PLANE, load_node_settings, load_process_settings
from twinplane.settings.network import certificate_names
from twinplane.settings.regions import read_layout

SHARED_NAME = "kong_clustering"
WITHIN = 30.0


class Joined:
    """A whole node, in this process, that dials the door."""

    def __init__(self, door: Door, directory: Path, **settings: str) -> None:
        self.door = door
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "ca.pem").write_text(door.authority.certificate)
        chosen = {
            "prefix": str(directory / "prefix"),
            "proxy_listen": "127.0.0.1:0, 127.0.0.1:0 ssl",
            "status_listen": "127.0.0.1:0",
            "nginx_worker_processes": "1",
            "cluster_mtls": "pki",
            "cluster_control_plane": f"127.0.0.1:{door.edge.port}",
            "cluster_server_name": door.name(),
            "cluster_telemetry_endpoint": f"127.0.0.1:{door.edge.port}",
            "cluster_telemetry_server_name": door.name(kind="tp0"),
            "cluster_cert": str(directory / "node.pem"),
            "cluster_cert_key": str(directory / "node.key"),
            "lua_ssl_trusted_certificate": str(directory / "ca.pem"),
            "certificate_check": "0.1",
        } | settings
        environ = {f"KONG_{name.upper()}": value for name, value in chosen.items()}
        (directory / "prefix").mkdir(exist_ok=True)
        self.settings = load_node_settings(_empty(directory), environ)
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """Once it runs."""
        assert self._node is not None
        return self._node

    def put(self, leaf: Leaf, name: str = "node") -> None:
        """Replace a pair, one file after the other."""
        (self.directory / f"{name}.pem").write_text(leaf.certificate)
        (self.directory / f"{name}.key").write_text(leaf.key)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Joined]:
        self._node = Node(self.settings, self.directory / "prefix", None)
        async with self._node.running():
            yield self

    def row(self) -> Any:
        """What the control plane knows of the node."""
        return next(iter(self.door.control.nodes.list(self.door.plane.scope)), None)

    def has_certificate(self, pinned: Any) -> Callable[[], bool]:
        """Whether the node's newest link came with that certificate."""
        return lambda: self.row() is not None and self.row().certificate_id == pinned.id

    @property
    def facts(self) -> Any:
        """What became of new certificates."""
        return self.node._certificates.facts()


def _empty(directory: Path) -> Path:
    conf = directory / "kong.conf"
    conf.write_text("")
    return conf


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as made:
        yield made


# --- a node's certificate towards its control plane ---


async def test_a_node_takes_its_new_certificate_into_use(door: Door, tmp_path: Path) -> None:
    old, new = Leaf.self_signed("old", days=2), Leaf.self_signed("new", days=9)
    pinned_old, pinned_new = door.pin(door.plane, old.certificate), door.pin(door.plane, new.certificate)
    joined = Joined(door, tmp_path / "node")
    joined.put(old)
    async with joined.running():
        await eventually(joined.has_certificate(pinned_old), WITHIN)
        await eventually(lambda: door.server.facts.connections == 2, WITHIN)
        expires_at = joined.node._certificates.expires_at
        joined.put(new)
        await eventually(joined.has_certificate(pinned_new), WITHIN)
        assert joined.facts["cluster_certificate"].renewed_total == 1
        assert (joined.node._certificates.expires_at or 0) > (expires_at or 0) + 86_400
        # Telemetry went over as well: without the old certificate both links stay.
        presented = lambda: {link.presented.fingerprint for link in door.server._links.values() if link.presented}  # noqa: E731
        await eventually(lambda: presented() == {fingerprint(new.certificate)} and len(door.server._links) == 2, WITHIN)
        door.control.certificates.delete(door.plane.scope, ACTOR, pinned_old.id)
        await asyncio.sleep(0.3)
        assert door.server.facts.connections == 2
        assert joined.node.conditions.issues() == ()


async def test_a_new_certificate_that_nobody_knows_yet_waits_behind_the_old_one(door: Door, tmp_path: Path) -> None:
    old, new = Leaf.self_signed("old"), Leaf.self_signed("new")
    pinned_old = door.pin(door.plane, old.certificate)
    joined = Joined(door, tmp_path / "node")
    joined.put(old)
    async with joined.running():
        await eventually(joined.has_certificate(pinned_old), WITHIN)
        # Replaced once more before the first one was ever taken: the old one is still the way back.
        for number, leaf in enumerate((Leaf.self_signed("passed over"), new), start=1):
            refused = door.server.facts.refused_total
            joined.put(leaf)
            await eventually(lambda: joined.facts["cluster_certificate"].renewed_total == number, WITHIN)  # noqa: B023
            await eventually(lambda: door.server.facts.refused_total > refused, WITHIN)  # noqa: B023
            await eventually(lambda: door.server.facts.connections == 2, WITHIN)
            assert joined.has_certificate(pinned_old)()
        pinned_new = door.pin(door.plane, new.certificate)
        door.control.certificates.delete(door.plane.scope, ACTOR, pinned_old.id)
        await eventually(joined.has_certificate(pinned_new), WITHIN)


def _mismatched() -> Leaf:
    return Leaf(Leaf.self_signed("new").certificate, Leaf.self_signed("other").key)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (_mismatched(), "the private key is not the certificate's"),
        (Leaf.self_signed("new", days=-1), "the certificate is valid from"),
        (Leaf("no certificate", "no key"), "PEM"),
    ],
    ids=["another key", "expired", "noise"],
)
async def test_a_bad_pair_is_refused_and_the_old_one_stays(door: Door, tmp_path: Path, bad: Leaf, reason: str) -> None:
    old, good = Leaf.self_signed("old"), Leaf.self_signed("good")
    pinned, pinned_good = door.pin(door.plane, old.certificate), door.pin(door.plane, good.certificate)
    joined = Joined(door, tmp_path / "node")
    joined.put(old)
    async with joined.running():
        await eventually(joined.has_certificate(pinned), WITHIN)
        await eventually(lambda: door.server.facts.connections == 2, WITHIN)
        links = set(door.server._links)
        joined.put(bad)
        facts = joined.facts["cluster_certificate"]
        await eventually(lambda: facts.refused_total == 1, WITHIN)
        assert reason in facts.last_error
        (condition,) = joined.node.conditions.issues()
        assert condition.code == "cluster_certificate_refused"
        # Looked at again and again, told once.
        await asyncio.sleep(0.5)
        assert (facts.refused_total, facts.renewed_total) == (1, 0)
        assert set(door.server._links) == links
        joined.put(good)
        await eventually(joined.has_certificate(pinned_good), WITHIN)
        assert joined.node.conditions.issues() == ()


async def test_a_missing_file_is_told_once(door: Door, tmp_path: Path) -> None:
    leaf = Leaf.self_signed("node")
    pinned = door.pin(door.plane, leaf.certificate)
    joined = Joined(door, tmp_path / "node")
    joined.put(leaf)
    async with joined.running():
        await eventually(joined.has_certificate(pinned), WITHIN)
        (joined.directory / "node.key").unlink()
        facts = joined.facts["cluster_certificate"]
        await eventually(lambda: facts.refused_total == 1, WITHIN)
        assert "node.key" in facts.last_error
        joined.put(leaf)
        await eventually(lambda: joined.node.conditions.issues() == (), WITHIN)
        assert facts.renewed_total == 0


@pytest.mark.parametrize("form", ["text", "base64"])
async def test_certificates_are_given_as_text_too(door: Door, tmp_path: Path, form: str) -> None:
    leaf = Leaf.self_signed("node")
    pinned = door.pin(door.plane, leaf.certificate)

    def given(pem: str) -> str:
        return pem if form == "text" else base64.b64encode(pem.encode()).decode()

    settings = {"cluster_cert": given(leaf.certificate), "cluster_cert_key": given(leaf.key)}
    ca = given(door.authority.certificate)
    joined = Joined(door, tmp_path / "node", **settings, cluster_ca_cert=ca, lua_ssl_trusted_certificate="")
    async with joined.running():
        await eventually(joined.has_certificate(pinned), WITHIN)


async def test_the_authority_of_the_control_plane_is_replaced(door: Door, tmp_path: Path) -> None:
    leaf, coming = Leaf.self_signed("node"), Authority("coming")
    door.pin(door.plane, leaf.certificate)
    joined = Joined(door, tmp_path / "node")
    joined.put(leaf)
    trusted = joined.directory / "ca.pem"
    async with joined.running():
        await eventually(lambda: door.server.facts.connections == 2, WITHIN)
        trusted.write_text(door.authority.certificate + coming.certificate)
        facts = joined.facts["cluster_certificate"]
        await eventually(lambda: facts.renewed_total == 1 and door.server.facts.connections == 2, WITHIN)
        door.authority = coming
        await asyncio.to_thread(door.edge.renew, door.leaf())
        await asyncio.sleep(0.2)
        assert door.server.facts.connections == 2
        before = set(door.server._links)
        trusted.write_text(coming.certificate)
        await eventually(lambda: facts.renewed_total == 2, WITHIN)
        await eventually(lambda: len(set(door.server._links) - before) == 2, WITHIN)
        assert facts.refused_total == 0


async def test_a_sealed_cache_follows_the_key(door: Door, tmp_path: Path) -> None:
    old, new = Leaf.self_signed("old"), Leaf.self_signed("new")
    pinned, pinned_new = door.pin(door.plane, old.certificate), door.pin(door.plane, new.certificate)
    joined = Joined(door, tmp_path / "node", cache_encryption="on")
    joined.put(old)
    cache = joined.directory / "prefix" / "config.json.gz"
    async with joined.running():
        await eventually(joined.has_certificate(pinned), WITHIN)
        await eventually(cache.exists, WITHIN)
        before = cache.read_bytes()
        joined.put(new)
        await eventually(joined.has_certificate(pinned_new), WITHIN)
        await eventually(lambda: cache.read_bytes() != before, WITHIN)
    again = Joined(door, tmp_path / "node", cache_encryption="on", cluster_control_plane="127.0.0.1:1")
    async with again.running():
        assert again.node._keeper is not None
        assert again.node._keeper.config_hash != "0" * 32


async def test_a_shared_pair_is_replaced_at_one_end_after_the_other(tmp_path: Path) -> None:
    old, new = Leaf.self_signed(SHARED_NAME), Leaf.self_signed(SHARED_NAME)
    async with open_door(tmp_path, shared=old) as door:

        def share(pair: Leaf) -> None:
            door.edge.share(identity(pair))
            door.server.gatekeeper.rules = AdmissionRules(
                door.domain, shared=SharedMode(fingerprint(pair.certificate), door.plane.id)
            )

        def linked_by(pair: Leaf) -> bool:
            found = [link.presented for link in door.server._links.values() if link.session is not None]
            return [each.fingerprint for each in found if each is not None] == [fingerprint(pair.certificate)]

        share(old)
        joined = Joined(door, tmp_path / "node", cluster_mtls="shared")
        joined.put(old)
        async with joined.running():
            await eventually(lambda: linked_by(old), WITHIN)
            joined.put(new)
            await eventually(lambda: joined.facts["cluster_certificate"].renewed_total == 1, WITHIN)
            # The control plane does not hold it yet.
            await eventually(lambda: linked_by(old), WITHIN)
            await asyncio.to_thread(share, new)
            await eventually(lambda: linked_by(new), WITHIN)


# --- a node's certificates towards its clients ---


async def shown(port: int, name: str = "localhost") -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """The fingerprint of what a listener presents, and the open connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return fingerprint(ssl.DER_cert_to_PEM_cert(certificate)), reader, writer


async def shows(port: int, leaf: Leaf, name: str = "localhost") -> None:
    """Wait until a listener presents a certificate."""
    async with asyncio.timeout(WITHIN):
        while True:
            found, _, writer = await shown(port, name)
            writer.transport.abort()
            if found == fingerprint(leaf.certificate):
                return
            await asyncio.sleep(0.05)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """The status line of an answer on an open connection."""
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(WITHIN):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-len"))
        await reader.readexactly(length)
    return head.split("\r\n")[0]


def free_port() -> int:
    return LEASE.take(1)[0]


async def test_a_listener_serves_its_new_certificate(door: Door, tmp_path: Path) -> None:
    directory = tmp_path / "node"
    paths = {"ssl_cert": str(directory / "web.pem"), "ssl_cert_key": str(directory / "web.key")}
    listen = f"127.0.0.1:0, 127.0.0.1:{free_port()} ssl"
    joined = Joined(door, directory, **paths, proxy_listen=listen)
    old, new = Leaf.self_signed("old"), Leaf.self_signed("new")
    joined.put(old, "web")
    joined.put(Leaf.self_signed("node"))
    async with joined.running():
        port = joined.settings["proxy_listen"][1].port
        found, reader, writer = await shown(port)
        assert found == fingerprint(old.certificate)
        joined.put(new, "web")
        await shows(port, new)
        assert "404" in await ask(reader, writer)
        joined.put(_mismatched(), "web")
        facts = joined.facts["ssl_certificate"]
        await eventually(lambda: facts.refused_total == 1, WITHIN)
        await shows(port, new)
        assert "404" in await ask(reader, writer)
        writer.transport.abort()


async def test_the_status_port_serves_its_new_certificate(door: Door, tmp_path: Path) -> None:
    directory, port = tmp_path / "node", free_port()
    paths = {"status_ssl_cert": str(directory / "web.pem"), "status_ssl_cert_key": str(directory / "web.key")}
    joined = Joined(door, directory, **paths, status_listen=f"127.0.0.1:{port} ssl")
    old, new = Leaf.self_signed("old"), Leaf.self_signed("new")
    joined.put(old, "web")
    joined.put(Leaf.self_signed("node"))
    async with joined.running():
        await shows(port, old)
        joined.put(new, "web")
        await shows(port, new)
        joined.put(_mismatched(), "web")
        await eventually(lambda: joined.facts["status_ssl_certificate"].refused_total == 1, WITHIN)
        await shows(port, new)


def test_renewals_of_the_admin_api_are_counted(tmp_path: Path) -> None:
    def put(leaf: Leaf) -> None:
        (tmp_path / "admin.pem").write_text(leaf.certificate)
        (tmp_path / "admin.key").write_text(leaf.key)

    def is_counted(outcome: str) -> bool:
        series = f'twinplane_certificate_renewals_total{{certificate="admin_ssl_certificate",outcome="{outcome}"}} 1'
        return series in node.status("GET", "/metrics").body.decode()

    put(Leaf.self_signed("old"))
    settings = {"admin_ssl_cert": tmp_path / "admin.pem", "admin_ssl_cert_key": tmp_path / "admin.key"}
    with dbless_node(tmp_path, admin_listen=f"127.0.0.1:{free_port()} ssl", certificate_check=0.1, **settings) as node:
        put(Leaf.self_signed("new"))
        eventually_sync(lambda: is_counted("used"), seconds=60)
        put(_mismatched())
        eventually_sync(lambda: is_counted("refused"), seconds=60)


# --- the front door ---


class Opened:
    """The control plane's own front door as `twinplane control-plane` opens it, before a link server."""

    def __init__(self, door: Door, directory: Path, **options: str) -> None:
        given = {
            "port": "0",
            "listen": "127.0.0.1",
            "certificate-check": "0.1",
            "domain": door.domain,
            "data": str(directory),
        } | options
        self.settings = load_process_settings(CONTROL_PLANE, given, {})
        self.door = door
        region = SimpleNamespace(
            control=door.control, link=door.server, audit=SimpleNamespace(receiver=None), door=door.link
        )
        regions: Any = [region]
        self.front = FrontDoor(self.settings, read_layout(self.settings.values), directory, regions)
        self.edge: Edge | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        self.edge = self.front.open()
        renewing = asyncio.create_task(self.front.keep_renewed())
        self.door.edge, kept = self.edge, self.door.edge
        try:
            yield self.edge.port
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            self.door.edge = kept
            await asyncio.to_thread(self.edge.stop, 0)


def put(directory: Path, name: str, leaf: Leaf) -> dict[str, str]:
    """Write a pair, and give the options that name it."""
    (directory / f"{name}.pem").write_text(leaf.certificate)
    (directory / f"{name}.key").write_text(leaf.key)
    prefix = "tls" if name == "tls" else "shared"
    return {f"{prefix}-certificate": str(directory / f"{name}.pem"), f"{prefix}-key": str(directory / f"{name}.key")}


async def test_the_front_door_serves_new_files_and_loses_no_link(door: Door, tmp_path: Path) -> None:
    names = ("localhost", f"*.us.cp0.{door.domain}")
    old = door.authority.leaf("old", is_client=False, names=names)
    new = door.authority.leaf("new", is_client=False, names=names)
    leaf = Leaf.self_signed("node")
    door.pin(door.plane, leaf.certificate)
    opened = Opened(door, tmp_path, **put(tmp_path, "tls", old))
    async with opened.open() as port:
        await shows(port, old)
        node = await door.joined(leaf, door.name())
        put(tmp_path, "tls", new)
        await shows(port, new)
        put(tmp_path, "tls", _mismatched())
        await asyncio.sleep(0.5)
        await shows(port, new)
        # The link that was there before still carries what is published.
        door.control.changes.create(door.plane.scope, ACTOR, "services", {"name": "s", "host": "h.example"})
        await node.configuration(WITHIN)
        await door.joined(leaf, door.name())


async def test_the_front_door_serves_what_its_own_authority_renewed(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "platform.pem"
    async with Opened(door, tmp_path).open() as port:
        first, reader, writer = await shown(port)
        # As if time had passed: the leaf that is kept has 20 days left.
        with monkeypatch.context() as patch:
            patch.setattr(authority, "LEAF_DAYS", 20)
            aged = authority.Authority(tmp_path).leaf(tmp_path / "aged.pem", certificate_names(door.domain, ("us",)))
        (tmp_path / "aged.key").replace(kept.with_suffix(".key"))
        (tmp_path / "aged.pem").replace(kept)
        await eventually(lambda: kept.read_text() != aged.certificate, WITHIN)
        fresh = kept.read_text()
        assert fingerprint(fresh) != first
        await shows(port, Leaf(fresh, ""))
        assert not reader.at_eof()
        writer.transport.abort()


async def test_the_front_door_shares_by_its_settings(door: Door, tmp_path: Path) -> None:
    old, new = Leaf.self_signed(SHARED_NAME), Leaf.self_signed(SHARED_NAME)
    opened = Opened(door, tmp_path, **put(tmp_path, "pair", old))
    async with opened.open() as port:
        node = await door.joined(old, SHARED_NAME, trusted=old.certificate)
        put(tmp_path, "pair", new)
        await shows(port, new, SHARED_NAME)
        # The pair that is shared no more lets in no more, and puts out who came by it.
        assert await node.ended(WITHIN)
        with pytest.raises(Refused):
            await door.connect(old, SHARED_NAME, trusted=new.certificate)
        await door.joined(new, SHARED_NAME, trusted=new.certificate)
        with contextlib.suppress(ssl.SSLError):
            await door.connect(new, SHARED_NAME, trusted=old.certificate)
            raise AssertionError("the old certificate is presented")


async def test_common_names_of_the_domain_of_the_front_door_are_let_in(door: Door, tmp_path: Path) -> None:
    company = Authority("company")
    plane = door.add_plane("company", auth_type="pki_client_certs")
    door.pin(plane, company.certificate)
    names = ("localhost", f"*.us.cp0.{door.domain}", "cp.nodes.example")
    served = put(tmp_path, "tls", door.authority.leaf("cp.nodes.example", is_client=False, names=names))
    async with Opened(door, tmp_path, **served, **{"pki-check-cn": "on"}).open():
        await door.joined(company.leaf("a.nodes.example"), door.name(plane))
        for name in ("a.other.example", "localhost", "nodes.example"):
            with pytest.raises(Refused):
                await door.connect(company.leaf(name), door.name(plane))
