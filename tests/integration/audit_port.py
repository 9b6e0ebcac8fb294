"""A running audit port over a control room, and lines as nodes write them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.control_room import Platform, open_platform

from twinplane.audit.desk import AuditDesk
from twinplane.audit.line import EVENT_ELEMENT, ORIGIN_ELEMENT, Draft
from twinplane.audit.receiver import AuditReceiver, AuditReceiverSettings
from twinplane.audit.signature import auth_element, sign
from twinplane.control.audit import AuditRecord
from twinplane.hybrid.audit_key import AuditKey, Sender
from twinplane.hybrid.identity import Admission, AdmissionRules, Presented, admit
from twinplane.store.sql import AuditFilter

SECONDS = 50.0


async def until(probe: Callable[[], Any]) -> Any:
    """The first true answer of `probe`."""
    deadline = time.monotonic() + SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Port:
    """A running audit port over a control room, with one pinned certificate."""

    platform: Platform
    receiver: AuditReceiver
    desk: AuditDesk
    server: Leaf
    node: Leaf
    certificate_id: str

    def records(self, prefix: str = "node.") -> list[AuditRecord]:
        """Kept records of a kind, oldest first."""
        organization = self.platform.principal.organization_id
        found = self.platform.control.audit.page(organization, AuditFilter(), size=1000)
        return [record for record in reversed(found) if record.kind.startswith(prefix)]

    def sender(self, node_id: str = "n1") -> Sender:
        plane = self.platform.default
        der = ssl.PEM_cert_to_DER_cert(self.node.certificate)
        fingerprint = Presented(der, (), "", "").fingerprint
        return Sender(plane.scope.organization_id, plane.id, node_id, self.certificate_id, fingerprint)

    def context(self, leaf: Leaf | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.server.certificate)
        context.check_hostname = False
        if leaf is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "both.pem")
                path.write_text(leaf.key + leaf.certificate)
                context.load_cert_chain(path)
        return context

    async def connect(
        self, leaf: Leaf | None = None, *, address: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection with a certificate, the pinned one or another, from an address of this machine."""
        context = self.context(leaf or self.node)
        return await asyncio.open_connection("127.0.0.1", self.receiver.port, ssl=context, local_addr=(address, 0))

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for datagram in datagrams:
                sending.sendto(datagram, ("127.0.0.1", self.receiver.port))

    async def dropped(self, reason: str, count: int = 1) -> None:
        await until(lambda: self.receiver.facts.dropped[reason] >= count)


@contextlib.asynccontextmanager
async def open_port(directory: Path, **limits: Any) -> AsyncIterator[Port]:
    with open_platform(directory) as platform:
        control = platform.control
        server, node = Leaf.self_signed("platform", names=("localhost",)), Leaf.self_signed("node")
        pinned = control.certificates.create(platform.default.scope, platform.principal.actor, node.certificate)

        async def identify(presented: Presented) -> Admission:
            return admit(
                presented,
                "cp0",
                directory=control.certificates,
                planes=control.control_planes,
                rules=AdmissionRules(control.settings.domain),
                now=time.time(),
            )

        desk = AuditDesk(control.audit.append, notes_max=limits.pop("notes_max", 1000))
        settings = replace(AuditReceiverSettings("127.0.0.1", 0, settle_s=0.1, check_interval_s=0.1), **limits)
        receiver = AuditReceiver(control, desk, settings, admit=identify)
        receiver.present((server.certificate, server.key))
        writing = asyncio.create_task(desk.run())
        await receiver.start()
        try:
            yield Port(platform, receiver, desk, server, node, pinned.id)
        finally:
            await receiver.stop()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


def line(number: int, key: AuditKey | None = None, *, kind: str = "access", boot: str = "b1", **said: str) -> bytes:
    """A line as a node writes it."""
    elements = [(ORIGIN_ELEMENT, {"boot": boot, "seq": str(number)}), (EVENT_ELEMENT, said)]
    if key is not None:
        elements.append(auth_element(key.id))
    draft = Draft(5, time.time(), "host", "twinplane", "1", kind, elements)
    return draft.encode() if key is None else sign(draft.encode(), key.id, key.secret)


async def issued(port: Port, node_id: str = "n1") -> AuditKey:
    key = await port.receiver.issue(port.sender(node_id))
    assert key is not None
    return key
