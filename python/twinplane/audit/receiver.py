"""The audit port: lines of nodes over TLS and over UDP, checked, counted and handed to the desk.

Who a line is of comes from the peer's certificate and from the key that signs it, never from what the line says.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from OpenSSL import SSL

from twinplane.audit.cef import parse_extension
from twinplane.audit.desk import AuditDesk
from twinplane.audit.framing import FrameBroken, Framer
from twinplane.audit.keys import HeldKey, KeyRing
from twinplane.audit.line import (
    AUTH_ELEMENT,
    EVENT_ELEMENT,
    ORIGIN_ELEMENT,
    Line,
    LineInvalid,
    parse_line,
    read_number,
)
from twinplane.audit.rate import Bucket
from twinplane.audit.signature import is_signed_by
from twinplane.audit.tls import Pair, TlsRefused, TlsStream, server_context
from twinplane.control import Control
from twinplane.control.audit import AuditNote
from twinplane.control.errors import StoreError
from twinplane.hybrid.audit_key import AuditKey, Sender
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.identity import Admission, Presented

HANDSHAKE_S = 10.0
IDLE_S = 600.0
CHECK_INTERVAL_S = 20.0
SETTLE_S = 2.0
_BURST = 5
_SENDERS_MAX = 20_000
_BACKLOG = 128
# Connections of one address that have not shown yet who they are.
_STRANGERS_MAX = 32
_NAMED_KEY = re.compile(rb'\[auth@32473 key="([0-9a-z]{1,64})"')
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditReceiverSettings:
    """Where the port is, and its limits. `advertised_port` is the one that nodes are told; 0 is the listening one."""

    address: str
    port: int
    advertised_port: int = 0
    line_bytes_max: int = 8192
    connections_max: int = 4096
    certificate_connections_max: int = 1024
    lines_per_second: int = 200
    check_interval_s: float = CHECK_INTERVAL_S
    settle_s: float = SETTLE_S


@dataclass(slots=True)
class AuditFacts:
    """How the port fares. `dropped` counts lines by reason; `lost` is what never came, by the gaps it left."""

    connections: int = 0
    refused_total: int = 0
    received_total: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lost_total: int = 0


class AuditReceiver:
    """The audit port of one control plane process, and the keys of its nodes (`hybrid.audit_key.KeyOffice`)."""

    def __init__(
        self,
        control: Control,
        desk: AuditDesk,
        settings: AuditReceiverSettings,
        *,
        admit: Callable[[Presented], Awaitable[Admission]],
    ) -> None:
        """`admit` says who a peer is, or raises IdentityRefused."""
        self.facts = AuditFacts()
        self.port = settings.port
        self._control = control
        self._desk = desk
        self._settings = settings
        self._context: SSL.Context | None = None
        self._admit = admit
        self._ring = KeyRing()
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._peers: dict[asyncio.Task[None], _Peer] = {}
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def advertised_port(self) -> int:
        """The port that nodes are told."""
        return self._settings.advertised_port or self.port

    async def start(self) -> None:
        """Listen on TCP and UDP, on the same port. Raises OSError."""
        settings, loop = self._settings, asyncio.get_running_loop()
        self._server = await asyncio.start_server(
            self._accept, settings.address, settings.port, limit=65_536, backlog=_BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            self._datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._take_datagram), local_addr=(settings.address, self.port)
            )
        except OSError:
            self._server.close()
            raise
        self._tasks = [asyncio.create_task(self._settle_always()), asyncio.create_task(self._check_always())]

        def removed(control_plane_id: str, fingerprint: str) -> None:
            loop.call_soon_threadsafe(self._note_removal, control_plane_id, fingerprint)

        self._unsubscribe = self._control.certificates.on_removed(removed)
        _log.info("audit_listening address=%s port=%d", settings.address, self.port)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._server is not None:
            self._server.close()
        if self._datagrams is not None:
            self._datagrams.close()
        tasks = [*self._tasks, *self._peers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def present(self, platform: Pair, shared: Pair | None = None) -> None:
        """Show these certificates to new connections. Before the first call none is taken. Raises ValueError."""
        self._context = server_context(platform, shared)

    async def issue(self, sender: Sender) -> AuditKey | None:
        """A key for a node that has just connected. See `hybrid.audit_key.KeyOffice`."""
        try:
            known = await asyncio.to_thread(self._control.audit.last_number, sender.control_plane_id, sender.node_id)
        except StoreError as error:
            # The link does not depend on audit lines.
            _log.warning("audit_number_unknown node=%s detail=%s", sender.node_id, error)
            known = None
        return self._ring.issue(sender, self.advertised_port, time.monotonic(), known=known)

    def release(self, _sender: Sender, key: AuditKey) -> None:
        """The link of a key has ended."""
        self._ring.release(key.id, time.monotonic())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._context is None or self._is_crowded(str((writer.get_extra_info("peername") or ("",))[0])):
            self.facts.refused_total += 1
            writer.transport.abort()
            return
        peer = self._peers[task] = _Peer(writer)
        self.facts.connections = len(self._peers)
        try:
            await self._serve(TlsStream(self._context, reader, writer), peer)
        except (TlsRefused, FrameBroken, IdentityRefused, TimeoutError, OSError) as error:
            self._note_end(error, peer)
        except asyncio.CancelledError:
            # The receiver stops; the task belongs to it alone.
            pass
        except Exception:
            _log.exception("audit_connection_broken ip=%s", peer.ip)
        finally:
            self._peers.pop(task, None)
            self.facts.connections = len(self._peers)
            writer.transport.abort()

    def _is_crowded(self, ip: str) -> bool:
        """Whether there is no room for another connection, be it for those of this address alone."""
        if len(self._peers) >= self._settings.connections_max:
            return True
        strangers = sum(1 for peer in self._peers.values() if peer.admission is None and peer.ip == ip)
        return strangers >= _STRANGERS_MAX

    def _check_share(self, peer: _Peer) -> None:
        """No certificate takes the room of the others, from however many addresses. Raises TlsRefused."""
        mine = peer.presented and peer.presented.certificate
        known = (one.presented for _, one in self._known_peers())
        count = sum(1 for presented in known if presented is not None and presented.certificate == mine)
        if count > self._settings.certificate_connections_max:
            self.facts.refused_total += 1
            raise TlsRefused("too many connections with this certificate")

    async def _serve(self, stream: TlsStream, peer: _Peer) -> None:
        async with asyncio.timeout(HANDSHAKE_S):
            peer.presented = await stream.handshake()
        peer.admission = await self._admit(peer.presented)
        self._check_share(peer)
        framer = Framer(self._settings.line_bytes_max)
        while True:
            async with asyncio.timeout(IDLE_S):
                data = await stream.read()
            if not data:
                return
            before = framer.too_long_total
            try:
                lines = framer.feed(data)
            finally:
                if framer.too_long_total > before:
                    self.facts.dropped["too_long"] += framer.too_long_total - before
            for line in lines:
                await self._take_line(line, peer)

    async def _take_line(self, raw: bytes, peer: _Peer) -> None:
        """A line of a connection. One that comes too fast, or finds the desk full, waits: so does its sender."""
        self.facts.received_total += 1
        assert peer.admission is not None
        assert peer.presented is not None
        line = self._parsed(raw)
        if line is None:
            return
        plane = peer.admission.control_plane
        sender = Sender(
            plane.scope.organization_id, plane.id, "", peer.admission.certificate_id, peer.presented.fingerprint
        )
        if AUTH_ELEMENT in line.elements:
            held = self._signer(line)
            if held is None:
                return
            # The key says which node it is; its certificate may just have been renewed on one of the two ways.
            if held.sender.control_plane_id != plane.id:
                self.facts.dropped["foreign_key"] += 1
                return
            sender = held.sender
        await asyncio.sleep(self._bucket(sender).delay(time.monotonic()))
        await self._desk.room()
        self._desk.take(_note(line, sender, peer.ip, "tcp"))

    def _take_datagram(self, raw: bytes, ip: str) -> None:
        self.facts.received_total += 1
        if len(raw) > self._settings.line_bytes_max:
            self.facts.dropped["too_long"] += 1
            return
        # Whose key it names is looked up before anything is read: strangers send as much as they like.
        named = _NAMED_KEY.search(raw)
        if named is None:
            self.facts.dropped["unsigned"] += 1
            return
        if self._ring.find(named[1].decode(), time.monotonic()) is None:
            self.facts.dropped["unknown_key"] += 1
            return
        line = self._parsed(raw.rstrip(b"\r\n"))
        if line is None:
            return
        held = self._signer(line)
        if held is None:
            return
        if not self._bucket(held.sender).is_free(time.monotonic()):
            self.facts.dropped["too_fast"] += 1
        elif not self._desk.take(_note(line, held.sender, ip, "udp")):
            self.facts.dropped["queue_full"] += 1

    def _parsed(self, raw: bytes) -> Line | None:
        try:
            return parse_line(raw)
        except LineInvalid:
            self.facts.dropped["malformed"] += 1
            return None

    def _signer(self, line: Line) -> HeldKey | None:
        """Whose signature a line bears; None, and counted, where it is not to be taken."""
        now = time.monotonic()
        held = self._ring.find(line.value(AUTH_ELEMENT, "key"), now)
        if held is None:
            self.facts.dropped["unknown_key"] += 1
            return None
        if not is_signed_by(line, held.key.secret):
            self.facts.dropped["wrong_signature"] += 1
            return None
        number = read_number(line.value(ORIGIN_ELEMENT, "seq"))
        boot = line.value(ORIGIN_ELEMENT, "boot")
        if number is None or not self._ring.take(held, boot[:64], number, now):
            self.facts.dropped["replayed"] += 1
            return None
        self.facts.lost_total = self._ring.lost_total
        return held

    def _bucket(self, sender: Sender) -> Bucket:
        name = sender.control_plane_id, sender.node_id or sender.fingerprint
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= _SENDERS_MAX:
                self._buckets.clear()
            rate = self._settings.lines_per_second
            bucket = self._buckets[name] = Bucket(rate, rate * _BURST)
        return bucket

    def _note_end(self, error: Exception, peer: _Peer) -> None:
        if peer.admission is None:
            self.facts.refused_total += 1
        reason = f"{error.code}: {error.detail}" if isinstance(error, IdentityRefused) else str(error) or "timeout"
        _log.warning("audit_connection_ended reason=%.200s ip=%s", reason, peer.ip)

    def _note_removal(self, control_plane_id: str, fingerprint: str) -> None:
        self._ring.revoke(control_plane_id, fingerprint)
        for task, peer in self._known_peers():
            assert peer.presented is not None
            if peer.presented.fingerprint == fingerprint:
                task.cancel()

    def _known_peers(self) -> Iterator[tuple[asyncio.Task[None], _Peer]]:
        yield from [(task, peer) for task, peer in self._peers.items() if peer.admission is not None]

    async def _check_always(self) -> None:
        """End the connections whose certificate is no longer good."""
        while True:
            await asyncio.sleep(self._settings.check_interval_s)
            for task, peer in self._known_peers():
                assert peer.presented is not None
                try:
                    await self._admit(peer.presented)
                except IdentityRefused as error:
                    _log.warning("audit_connection_cut reason=%s ip=%s", error.code, peer.ip)
                    task.cancel()
                except Exception:
                    # A store that cannot be read now says nothing against the node.
                    _log.exception("audit_check_failed ip=%s", peer.ip)

    async def _settle_always(self) -> None:
        """Count as lost what did not come, and say it in the trail."""
        told: dict[tuple[str, str], int] = {}
        while True:
            await asyncio.sleep(self._settings.settle_s / 2)
            now = time.monotonic()
            self._ring.sweep(now)
            self._ring.settle(now, self._settings.settle_s)
            self.facts.lost_total = self._ring.lost_total
            current = self._ring.losses()
            for sender, lost in current:
                name = sender.control_plane_id, sender.node_id
                if lost > told.get(name, 0):
                    self._tell_loss(sender, lost - told.get(name, 0))
            told = {(sender.control_plane_id, sender.node_id): lost for sender, lost in current}

    def _tell_loss(self, sender: Sender, lost: int) -> None:
        _log.warning(
            "audit_lines_lost count=%d node=%s control_plane=%s", lost, sender.node_id, sender.control_plane_id
        )
        self._desk.take(
            AuditNote(
                "audit.lost",
                sender.organization_id,
                result="failure",
                control_plane_id=sender.control_plane_id,
                node_id=sender.node_id,
                certificate_id=sender.certificate_id,
                detail={"lines": lost},
            )
        )


@dataclass(slots=True)
class _Peer:
    """One connection."""

    writer: asyncio.StreamWriter
    presented: Presented | None = None
    admission: Admission | None = None

    @property
    def ip(self) -> str:
        return str((self.writer.get_extra_info("peername") or ("",))[0])


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, str], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """A datagram came."""
        self._take(data, address[0])

    def error_received(self, error: Exception) -> None:
        """What the network says of a datagram of ours: none was sent."""
        _log.debug("audit_datagram_error detail=%s", error)


def _note(line: Line, sender: Sender, ip: str, transport: str) -> AuditNote:
    """What a line says, under the identity that its transport proves."""
    said = dict(line.elements.get(EVENT_ELEMENT, {}))
    if line.message.startswith("CEF:"):
        said |= parse_extension(line.message)
    ours = line.elements.get(ORIGIN_ELEMENT)
    detail: dict[str, object] = {"transport": transport, "at": line.at, "hostname": line.hostname}
    kind, result = "node.syslog", "unknown"
    if ours is not None and line.app == "twinplane":
        kind = f"node.{line.message_id}"
        result = said.pop("result", "unknown")
        # The moment of CEF is the line's own.
        said.pop("rt", None)
        detail |= {"boot": ours.get("boot", "")[:64], "number": read_number(ours.get("seq", ""))}
    else:
        detail |= {"app": line.app, "message_id": line.message_id, "priority": line.priority}
        said = {f"{name}.{key}": value for name, values in line.elements.items() for key, value in values.items()}
        said.pop(f"{AUTH_ELEMENT}.mac", None)
    if line.message and not (ours and line.message.startswith("CEF:")):
        detail["message"] = line.message
    detail["said"] = said
    return AuditNote(
        kind,
        sender.organization_id,
        result=result,
        control_plane_id=sender.control_plane_id,
        node_id=sender.node_id or None,
        certificate_id=sender.certificate_id,
        client_ip=ip,
        detail=detail,
    )
