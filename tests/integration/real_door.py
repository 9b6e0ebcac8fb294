"""The control plane's link server behind the real front door, and nodes that dial it over real TLS."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.certificates import Authority, Leaf
from tests.control_room import Platform, open_platform
from tests.integration.link_peer import Node, connect_node

from twinplane.control import Actor, ControlPlane, ControlSettings
from twinplane.control.analytics import Reporter
from twinplane.hybrid.server import LINK_PATHS, LinkServer, LinkServerSettings
from twinplane.node.authority import Identity
from twinplane.node.edge import Edge, EdgeSettings, LinkDoor
from twinplane.settings.network import LOOPBACK_NAMES, certificate_names, client_certificate_patterns

ACTOR = Actor("user", "u", "tester")


class Intake:
    """Stands for telemetry: keeps what comes."""

    def __init__(self) -> None:
        self.taken: list[tuple[Reporter, bytes]] = []

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        """Keep a batch."""
        self.taken.append((reporter, frame))
        return b'{"type":"ack"}'


class Door:
    """An open front door, its control planes, and the authority behind its certificate."""

    def __init__(self, platform: Platform, directory: Path, *, shared: Leaf | None = None, **options: Any) -> None:
        """`options` are settings of the link server."""
        self.control = platform.control
        self.plane = platform.default
        self.domain = platform.control.settings.domain
        self.authority = Authority("platform")
        self.intake = Intake()
        self.nodes: list[Node] = []
        self.socket = directory / "link.sock"
        settings = LinkServerSettings(self.socket, **{"check_interval_s": 0.1} | options)
        self.server = LinkServer(self.control, self.intake, settings)
        self.link = LinkDoor("link", self.socket)
        self.edge = Edge(
            EdgeSettings(
                address="127.0.0.1",
                port=0,
                workers=1,
                certificate=self.leaf(),
                shared=None if shared is None else identity(shared),
                client_certificate_hosts=client_certificate_patterns(self.domain, ("us",)),
                body_bytes_max=1_048_576,
                application_socket=directory / "api.sock",
                links=[self.link],
                link_paths=LINK_PATHS,
            )
        )

    def leaf(self) -> Identity:
        """A certificate for the door's own names."""
        names = tuple(name for name in certificate_names(self.domain, ("us",)) if name not in LOOPBACK_NAMES[1:])
        return identity(self.authority.leaf("localhost", is_client=False, names=names))

    def add_plane(self, name: str, **fields: Any) -> ControlPlane:
        """One more control plane."""
        made = {"name": name} | fields
        return self.control.control_planes.create(self.plane.organization_id, "us", ACTOR, made)

    def pin(self, plane: ControlPlane, pem: str) -> Any:
        """Let a certificate, or an authority, into a control plane."""
        return self.control.certificates.create(plane.scope, ACTOR, pem, title="test")

    def name(self, plane: ControlPlane | None = None, kind: str = "cp0") -> str:
        """A server name of a control plane."""
        of = plane or self.plane
        return f"{of.prefix}.{of.region}.{kind}.{self.domain}"

    async def connect(
        self, leaf: Leaf | None, name: str, *, chain: Iterable[str] = (), trusted: str = "", **options: Any
    ) -> Node:
        """A link as a node opens it: TLS with its certificate, then the upgrade. Raises Refused, ssl.SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A common name alone, as in certificates of this mode, is no name to this verifier.
        context.check_hostname = not trusted
        context.load_verify_locations(cadata=trusted or self.authority.certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if leaf is not None:
            _load(context, leaf, chain)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.port, ssl=context, server_hostname=name)
        try:
            node, _ = await connect_node(reader, writer, **{"node_id": str(uuid.uuid4())} | options)
        except BaseException:
            writer.transport.abort()
            raise
        self.nodes.append(node)
        return node

    async def joined(self, leaf: Leaf | None, name: str, **options: Any) -> Node:
        """A node that has got its first configuration."""
        node = await self.connect(leaf, name, **options)
        await node.hello()
        await node.configuration(20)
        return node


def _load(context: ssl.SSLContext, leaf: Leaf, chain: Iterable[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "c"), Path(folder, "k")
        certificate.write_text("".join([leaf.certificate, *chain]))
        key.write_text(leaf.key)
        context.load_cert_chain(certificate, key)


def identity(leaf: Leaf) -> Identity:
    """The same pair as the product holds it."""
    return Identity(leaf.certificate, leaf.key)


@asynccontextmanager
async def open_door(directory: Path, *, settings: ControlSettings | None = None, **options: Any) -> AsyncIterator[Door]:
    """A door over a new platform; all is closed in the end."""
    with open_platform(directory / "data", settings) as platform:
        door = Door(platform, directory, **options)
        await door.server.start()
        try:
            yield door
        finally:
            for node in door.nodes:
                node.close()
            await door.server.stop()
            await asyncio.to_thread(door.edge.stop, 0)
