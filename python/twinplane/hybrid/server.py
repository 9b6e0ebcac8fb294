"""The control plane's end of the links: nodes in, configuration out, telemetry in, on one Unix socket behind the edge.

Not ASGI: a node's hash is the payload of a PING, which that interface does not know. Who a peer is comes from the
front door's headers alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from websockets.http11 import Request

from twinplane.control import Control
from twinplane.control.analytics import Reporter
from twinplane.hybrid.audit_key import AUDIT_HEADER, AUDIT_VERSION, KeyOffice, LinkWitness
from twinplane.hybrid.channel import Channel
from twinplane.hybrid.errors import FrameBroken, FrameInvalid, IdentityRefused, LinkError, PayloadTooLarge
from twinplane.hybrid.frames import BINARY, PING, SEND_TIMEOUT_S, FrameStream, Upgrade, taken
from twinplane.hybrid.gatekeeper import Gatekeeper
from twinplane.hybrid.guard import FRAMES_PER_SECOND, FrameBudget, RefusalLog
from twinplane.hybrid.identity import Admission, Presented, Use, read_presented
from twinplane.hybrid.link import Link, is_same_user, message_body, refusal_text, single_headers
from twinplane.hybrid.making import Workshop
from twinplane.hybrid.node_book import NodeBook
from twinplane.hybrid.ocsp import OcspSettings
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.publisher import Publisher
from twinplane.hybrid.rpc.hello import RPC_PATH, SUBPROTOCOL
from twinplane.hybrid.rpc.server import RpcSession, RpcSurroundings, SyncShelf
from twinplane.hybrid.session import ConfigSession, PushFacts, Surroundings
from twinplane.hybrid.wire import (
    CONFIG_PATH,
    FOREIGN_TELEMETRY_PATHS,
    IO_TIMEOUT_S,
    LINK_HEADER,
    LINK_VERSION,
    PAYLOAD_BYTES_MAX,
    SILENCE_S,
    TELEMETRY_PATH,
    NodeQuery,
    parse_connect_path,
)

LINK_PATHS = (CONFIG_PATH, RPC_PATH, TELEMETRY_PATH, *FOREIGN_TELEMETRY_PATHS)
"""What the front door sends here."""

PUSH_DELAY_S = 0.05
CHECK_INTERVAL_S = 20.0
LOOK_INTERVAL_S = 2.0
CONNECTIONS_MAX = 5000
CERTIFICATE_SHARE = 0.5
TOO_MANY = "too_many"
PUSHES_AT_ONCE = 64
# The largest frame that a node may send: a batch of telemetry, or a basic_info.
RECEIVED_BYTES_MAX = 4_194_304
_log = logging.getLogger(__name__)
_R = TypeVar("_R")


class TelemetrySink(Protocol):
    """Where batches of telemetry go. Called in threads."""

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        """Keep a batch; the answer is the frame to send back. Raises where the link must be cut."""


@dataclass(frozen=True, slots=True)
class LinkServerSettings:
    """Where the server listens, and its limits."""

    socket_path: Path
    payload_bytes_max: int = PAYLOAD_BYTES_MAX
    push_delay_s: float = PUSH_DELAY_S
    check_interval_s: float = CHECK_INTERVAL_S
    look_interval_s: float = LOOK_INTERVAL_S
    """Time between looks at the store for what other processes wrote."""
    connections_max: int = CONNECTIONS_MAX
    certificate_share: float = CERTIFICATE_SHARE
    """The part of all links that one certificate may have."""
    frames_per_second: float = FRAMES_PER_SECOND
    """Frames taken from one node."""
    rpc: bool = False
    """Whether version 2 of the link is answered."""
    rpc_sync: bool = False
    """Whether nodes of a version whose deltas are known are offered them."""
    ocsp: OcspSettings | None = None

    @property
    def links_of_certificate_max(self) -> int:
        """How many links one certificate may have."""
        return max(1, int(self.connections_max * self.certificate_share))


@dataclass(slots=True)
class LinkServerFacts:
    """How the links fare; read by metrics."""

    connections: int = 0
    refused_total: int = 0
    published_total: int = 0
    pushes: PushFacts = field(default_factory=PushFacts)
    refused: Mapping[str, int] = field(default_factory=dict)
    """Everything of peers that was refused, by reason."""


class LinkServer:
    """All links of one control plane process."""

    def __init__(
        self,
        control: Control,
        telemetry: TelemetrySink,
        settings: LinkServerSettings,
        *,
        key_office: KeyOffice | None = None,
        witness: LinkWitness | None = None,
    ) -> None:
        """`key_office` makes the keys of audit lines, where those are taken; `witness` is told who comes and goes."""
        self._witness = witness
        self._refusals = RefusalLog()
        self.facts = LinkServerFacts(refused=self._refusals.by_reason)
        self._control = control
        self._telemetry = telemetry
        self._settings = settings
        self._key_office = key_office
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="link")
        # Telemetry must not hold up configuration, so it has a thread of its own; the event store takes turns anyway.
        self._intake = ThreadPoolExecutor(max_workers=2, thread_name_prefix="intake")
        # What is sent takes its time to make: who comes meanwhile is let in by the others.
        self._making = ThreadPoolExecutor(max_workers=2, thread_name_prefix="making")
        self.gatekeeper = Gatekeeper(control, self._workers, settings.ocsp)
        self._removed = asyncio.Event()
        self._book = NodeBook(control, self._workers)
        self._channels: dict[str, Channel] = {}
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._links: dict[asyncio.Task[None], Link] = {}
        # Links of each certificate that was let in.
        self._held: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: list[Callable[[], None]] = []
        self._server: asyncio.Server | None = None
        self._around = Surroundings(
            self._book,
            Workshop(self._making),
            asyncio.Semaphore(PUSHES_AT_ONCE),
            settings.payload_bytes_max,
            find_delta=lambda plane, epoch, base, until: control.export.delta(plane, epoch, base, until=until),
            on_ahead=self._note_ahead,
            facts=self.facts.pushes,
        )
        self._publisher = Publisher(control)
        shelf = SyncShelf(lambda plane: control.export.payload(plane, with_disabled=True), self._workers)
        self._rpc_around = RpcSurroundings(
            self._book, self._making, shelf, settings.payload_bytes_max, settings.rpc_sync
        )

    async def start(self) -> None:
        """Listen. Raises OSError where the socket cannot be made."""
        loop = asyncio.get_running_loop()
        path = self._settings.socket_path
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, path)
        path.chmod(0o600)
        self._tasks = [
            asyncio.create_task(work) for work in (self._book.run(), self._check_always(), self._look_always())
        ]

        def changed(control_plane_id: str, _revision: int) -> None:
            loop.call_soon_threadsafe(self._note_change, control_plane_id)

        def removed(control_plane_id: str, fingerprint: str) -> None:
            loop.call_soon_threadsafe(self._note_removal, control_plane_id, fingerprint)

        self._unsubscribe = [
            self._control.versions.subscribe(changed),
            self._control.certificates.on_removed(removed),
        ]

    async def stop(self) -> None:
        """Close all links, write down what is still to be written, and stop listening."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._server is not None:
            self._server.close()
        for task in [*self._links, *(channel.task for channel in self._channels.values())]:
            task.cancel()
        await asyncio.gather(
            *self._links, *(channel.task for channel in self._channels.values()), return_exceptions=True
        )
        for task in (*self._tasks, *self._settling.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._settling.values(), return_exceptions=True)
        await asyncio.to_thread(self._workers.shutdown)
        await asyncio.to_thread(self._intake.shutdown)
        await asyncio.to_thread(self._making.shutdown)
        self._settings.socket_path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        is_ours = is_same_user(writer.get_extra_info("socket"))
        if not is_ours or len(self._links) >= self._settings.connections_max:
            self.facts.refused_total += 1
            detail = f"{len(self._links)} links are open" if is_ours else "a process of another user"
            self._refusals.note(TOO_MANY if is_ours else "foreign_user", detail, peer="unknown", who="")
            writer.transport.abort()
            return
        link = self._links[task] = Link()
        self.facts.connections = len(self._links)
        try:
            await self._serve(reader, writer, link)
        except (FrameInvalid, FrameBroken, PayloadTooLarge) as error:
            self._note_refused_frame(error, link)
        except LinkError as error:
            _log.info("link_ended code=%s detail=%s %s", error.code, error, link.who())
        except asyncio.CancelledError:
            # The server stops; the task belongs to it alone.
            pass
        except Exception:
            _log.exception("link_broken %s", link.who())
        finally:
            self._links.pop(task, None)
            self._give_back(link)
            self.facts.connections = len(self._links)
            self._leave(link)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        upgrade = Upgrade(reader, writer, bytes_max=RECEIVED_BYTES_MAX)
        request = await upgrade.read(IO_TIMEOUT_S)
        if request is None:
            return
        path, query = parse_connect_path(request.path)
        if path not in LINK_PATHS or (path == RPC_PATH and not self._settings.rpc):
            status = 200 if path == "/health" else 404
            await upgrade.refuse(status, "" if status == 200 else message_body("Not found"), "application/json")
            return
        use: Use = "cp0" if path in (CONFIG_PATH, RPC_PATH) else "tp0"
        try:
            presented = read_presented(single_headers(request))
            link.presented, link.use = presented, use
            admission = await self.gatekeeper.admit(presented, use)
        except IdentityRefused as error:
            self._note_refusal(error, request, link)
            await upgrade.refuse(401, message_body(refusal_text(error)), "application/json")
            return
        link.admission = admission
        # From here on there is no wait before it counts: two at once cannot both be the last.
        if not self._has_room(presented.fingerprint, link):
            await upgrade.refuse(429, message_body("too many links of this certificate"), "application/json")
            return
        if path == RPC_PATH:
            await self._serve_rpc(upgrade, request, presented, admission, link)
            return
        if query is None:
            self._refusals.note("query_invalid", request.path, peer=link.peer(), who=link.who(), node=link.node())
            await upgrade.refuse(400, "<html><body>400 Bad Request</body></html>", "text/html")
            return
        is_twin = request.headers.get(LINK_HEADER) == LINK_VERSION
        stream = await upgrade.accept(request, {LINK_HEADER: LINK_VERSION} if is_twin else {})
        if stream is None:
            return
        link.query, link.stream = query, stream
        if path == CONFIG_PATH:
            wants_key = is_twin and request.headers.get(AUDIT_HEADER) == AUDIT_VERSION
            office = self._key_office if wants_key else None
            await self._serve_config(stream, query, presented, admission, link, is_twin=is_twin, key_office=office)
        else:
            await self._serve_telemetry(stream, query, admission, is_decoded=path == TELEMETRY_PATH and is_twin)

    def _has_room(self, fingerprint: str, link: Link) -> bool:
        """Count one more link of a certificate, unless it has its share: the others are to have theirs."""
        limit, held = self._settings.links_of_certificate_max, self._held.get(fingerprint, 0)
        if held >= limit:
            self.facts.refused_total += 1
            detail = f"{held} links of this certificate are open"
            self._refusals.note(TOO_MANY, detail, peer=link.peer(), who=link.who())
            return False
        self._held[fingerprint] = held + 1
        link.holds = fingerprint
        return True

    def _give_back(self, link: Link) -> None:
        if link.holds is not None:
            self._held[link.holds] -= 1
            if not self._held[link.holds]:
                del self._held[link.holds]

    async def _serve_config(
        self,
        stream: FrameStream,
        query: NodeQuery,
        presented: Presented,
        admission: Admission,
        link: Link,
        *,
        is_twin: bool,
        key_office: KeyOffice | None,
    ) -> None:
        budget = FrameBudget(self._settings.frames_per_second)
        session = ConfigSession(
            stream,
            query,
            presented,
            admission,
            self._around,
            is_twin=is_twin,
            on_frame=budget.take,
            on_refused=lambda code: self._note_passed_over(code, link),
            key_office=key_office,
        )
        await session.run(lambda: self._join(session, link))

    async def _serve_rpc(
        self, upgrade: Upgrade, request: Request, presented: Presented, admission: Admission, link: Link
    ) -> None:
        offered = single_headers(request).get("Sec-Websocket-Protocol", "")
        if SUBPROTOCOL not in [name.strip() for name in offered.split(",")]:
            self._refusals.note("subprotocol_missing", offered, peer=link.peer(), who=link.who(), node=link.node())
            await upgrade.refuse(400, message_body(f"the subprotocol {SUBPROTOCOL} is needed"), "application/json")
            return
        stream = await upgrade.accept(request, {"Sec-WebSocket-Protocol": SUBPROTOCOL})
        if stream is None:
            return
        link.stream = stream
        session = RpcSession(
            stream,
            presented,
            admission,
            self._rpc_around,
            on_frame=FrameBudget(self._settings.frames_per_second).take,
            on_refused=lambda code: self._note_passed_over(code, link),
        )

        def greeted(query: NodeQuery) -> None:
            link.query = query

        await session.run(greeted, lambda: self._join(session, link))

    def _join(self, session: ConfigSession | RpcSession, link: Link) -> None:
        link.session = session
        self._channel(session.control_plane_id).join(session)
        sender = link.sender()
        if self._witness is not None and sender is not None and link.query is not None:
            self._witness.joined(sender, link.ip(), link.query.version)

    async def _serve_telemetry(
        self, stream: FrameStream, query: NodeQuery, admission: Admission, *, is_decoded: bool
    ) -> None:
        """Take batches in, one at a time, each answered. What is not ours is read and dropped."""
        reporter = Reporter(admission.control_plane.id, query.node_id, query.version[:64])
        loop = asyncio.get_running_loop()
        budget = FrameBudget(self._settings.frames_per_second)
        while True:
            message = await stream.receive(SILENCE_S)
            # Batches are as large as traffic makes them, and each waits for its answer: only frames are counted.
            budget.take(0)
            if message.opcode is PING:
                await taken(stream.send_pong(), SEND_TIMEOUT_S)
            elif message.opcode is BINARY and is_decoded:
                answer = await loop.run_in_executor(self._intake, self._telemetry.take, reporter, message.data)
                await taken(stream.send_binary(answer), SEND_TIMEOUT_S)

    async def _check_always(self) -> None:
        """Hold live links to what is true now: at intervals, and at once after a certificate was removed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.check_interval_s):
                    await self._removed.wait()
            self._removed.clear()
            await self.gatekeeper.check(list(self._links.values()))

    def _note_change(self, control_plane_id: str) -> None:
        channel = self._channels.get(control_plane_id)
        if channel is not None:
            channel.wake()

    def _note_removal(self, control_plane_id: str, fingerprint: str) -> None:
        for link in list(self._links.values()):
            is_meant = link.presented is not None and link.presented.fingerprint == fingerprint
            if is_meant and link.admission is not None and link.admission.control_plane.id == control_plane_id:
                link.cut("certificate_removed")
        # It may have been an authority.
        self._removed.set()

    def _note_refusal(self, error: IdentityRefused, request: Request, link: Link) -> None:
        self.facts.refused_total += 1
        detail = f"{error.detail} path={request.path[:200]}"
        self._refusals.note(error.code, detail, peer=link.peer(), who=link.who(), node=link.node())
        if self._witness is not None:
            shown = link.presented
            self._witness.refused(
                error.code,
                ip=link.ip(),
                server_name=shown.server_name if shown else "",
                fingerprint=shown.fingerprint if shown else "",
            )

    def _note_passed_over(self, reason: str, link: Link) -> None:
        self._refusals.note(reason, "", peer=link.peer(), who=link.who(), node=link.node())

    def _note_refused_frame(self, error: FrameInvalid | FrameBroken | PayloadTooLarge, link: Link) -> None:
        self.facts.refused_total += 1
        self._refusals.note(error.code, str(error), peer=link.peer(), who=link.who(), node=link.node())

    def _channel(self, control_plane_id: str) -> Channel:
        channel = self._channels.get(control_plane_id)
        if channel is None:
            channel = self._channels[control_plane_id] = Channel(
                control_plane_id, self._publish, self._settings.push_delay_s
            )
        return channel

    def _leave(self, link: Link) -> None:
        if link.session is None:
            return
        _log.info("node_disconnected %s", link.who())
        sender = link.sender()
        if self._witness is not None and sender is not None:
            self._witness.left(sender, link.ip())
        channel = self._channels.get(link.session.control_plane_id)
        if channel is not None and channel.leave(link.session):
            # Nobody listens: what was published needs no memory.
            channel.task.cancel()
            del self._channels[channel.control_plane_id]

    def _note_ahead(self, control_plane_id: str, epoch: str, revision: int) -> None:
        """A node has what this process did not publish: look at the store, and publish what it says."""
        if control_plane_id not in self._settling:
            self._settling[control_plane_id] = asyncio.create_task(self._settle(control_plane_id, epoch, revision))

    async def _settle(self, control_plane_id: str, epoch: str, revision: int) -> None:
        try:
            await self._in_workers(self._publisher.settle, control_plane_id, epoch, revision)
        except Exception:
            # The store cannot be asked now; the node's next ping asks again.
            _log.exception("node_ahead_unsettled control_plane=%s", control_plane_id)
        finally:
            del self._settling[control_plane_id]
        self._note_change(control_plane_id)

    async def _look_always(self) -> None:
        """Find what other processes wrote: nobody announces that here."""
        while True:
            await asyncio.sleep(self._settings.look_interval_s)
            positions = {plane: channel.position for plane, channel in self._channels.items()}
            known = {plane: position for plane, position in positions.items() if position is not None}
            try:
                behind = await self._in_workers(self._publisher.behind, known) if known else []
            except Exception:
                _log.exception("revisions_unread")
                continue
            for control_plane_id in behind:
                self._note_change(control_plane_id)

    async def _publish(self, control_plane_id: str, before: Publication | None) -> Publication:
        """The newest configuration, made ready. The one place where a publication comes from."""
        publication = await self._in_workers(self._publisher.publish, control_plane_id, before)
        self.facts.published_total += 1
        return publication

    def _in_workers(self, call: Callable[..., _R], *args: object) -> Awaitable[_R]:
        return asyncio.get_running_loop().run_in_executor(self._workers, call, *args)
