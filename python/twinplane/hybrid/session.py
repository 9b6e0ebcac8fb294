"""One node on the configuration link: its hello, its pings, and the newest configuration on its way to it.

A twinplane node is sent what changed since the revision that it reports; any other the whole.

What is waiting to be sent is one slot: a newer publication takes the place of one that was not sent yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from twinplane.control import ExportDelta, NodeHello, NodeIssue, NodePing
from twinplane.hybrid.audit_key import KeyOffice, Sender, handing_key
from twinplane.hybrid.compat import (
    CONTROL_PLANE_VERSION,
    NORMAL,
    UNKNOWN,
    VERSION_INCOMPATIBLE,
    is_version_served,
)
from twinplane.hybrid.compat_issues import (
    CONFIG_REFUSED,
    PAYLOAD_TOO_LARGE,
    VERSION_REFUSED,
    node_issue,
    refusal_issues,
)
from twinplane.hybrid.delta import Resync, decode_resync
from twinplane.hybrid.errors import FrameInvalid, PeerSilent
from twinplane.hybrid.frames import BINARY, PING, SEND_TIMEOUT_S, FrameStream, Message, taken
from twinplane.hybrid.identity import Admission, Presented
from twinplane.hybrid.making import Workshop
from twinplane.hybrid.node_book import NodeBook
from twinplane.hybrid.node_conditions import CONDITIONS
from twinplane.hybrid.progress import Ahead, Change, Nothing, Sent, TwinProgress, Whole
from twinplane.hybrid.publication import Publication, Shipment
from twinplane.hybrid.wire import (
    IO_TIMEOUT_S,
    SILENCE_S,
    Applied,
    BasicInfo,
    Fault,
    NodeQuery,
    decode_basic_info,
    decode_report,
    parse_ping,
    parse_version,
)
from twinplane.hybrid.withhold import Withheld, why_withheld

FIRST_REPORT_S = 1.0
"""How long a twinplane node is waited for to say what it has; one that does not gets the whole."""
STALE_PINGS = 2
PUSHES_AGAIN_MAX = 3
PUSH_TIMEOUT_S = SEND_TIMEOUT_S
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PushFacts:
    """What was sent to nodes; read by metrics."""

    deltas_total: int = 0
    delta_bytes_total: int = 0
    wholes_total: int = 0
    whole_bytes_total: int = 0
    resyncs_total: int = 0
    """Times that a node could not use a delta."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions share. `on_ahead` is told of a node that has what this process has not published."""

    book: NodeBook
    workshop: Workshop
    pushing: asyncio.Semaphore
    payload_bytes_max: int
    find_delta: Callable[[str, str, int, int], ExportDelta | None]
    on_ahead: Callable[[str, str, int], None]
    facts: PushFacts = field(default_factory=PushFacts)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a node keeps what it had; `served` is the hash of that, as far as it is known."""

    issues: tuple[NodeIssue, ...]
    served: str | None


class ConfigSession:
    """A node's connection. `run` ends when the connection does."""

    def __init__(
        self,
        stream: FrameStream,
        query: NodeQuery,
        presented: Presented,
        admission: Admission,
        surroundings: Surroundings,
        *,
        is_twin: bool,
        on_frame: Callable[[int], None],
        on_refused: Callable[[str], None] = lambda _reason: None,
        key_office: KeyOffice | None = None,
    ) -> None:
        """`on_frame` is told of each frame before it is read, and raises where it is one too many.
        `on_refused` is told of what is passed over.

        `key_office`: where the node's key for audit lines comes from; None for a node that wants none.
        """
        self.query = query
        self.presented = presented
        self.admission = admission
        self.is_twin = is_twin
        self._stream = stream
        self._on_frame = on_frame
        self._on_refused = on_refused
        self._key_office = key_office
        self._around = surroundings
        self._scope = admission.control_plane.scope
        self._version = parse_version(query.version)
        self._info: BasicInfo | None = None
        self._newest: Publication | None = None
        # Never the publication itself: what was overtaken is to be released.
        self._sent: Sent | None = None
        self._progress = TwinProgress()
        self._reported = asyncio.Event()
        self._wanted = asyncio.Event()
        self._stale_pings = 0
        self._pushes_again = 0
        self._refused_hash: str | None = None
        self._refusal: _Refusal | None = None
        self._node_issues: tuple[NodeIssue, ...] = ()
        self._lost_issues: tuple[NodeIssue, ...] = ()
        self._sync_status = UNKNOWN
        self._withheld: Withheld | None = None

    @property
    def control_plane_id(self) -> str:
        """The control plane that the node belongs to."""
        return self.admission.control_plane.id

    def offer(self, publication: Publication) -> None:
        """There is a newer configuration."""
        if self._newest is not None and self._newest.key == publication.key:
            return
        self._newest = publication
        self._pushes_again = 0
        self._refused_hash = None
        self._wanted.set()

    def end(self, reason: str) -> None:
        """Cut the connection."""
        _log.warning("node_cut reason=%s %s", reason, self._who())
        self._stream.abort()

    async def run(self, join: Callable[[], None]) -> None:
        """Serve the node. `join` is called once it is admitted, and has a publication offered. Raises LinkError."""
        await self._greet()
        if self._info is None:
            await self._stream.close()
            return
        pushing = asyncio.create_task(self._push_always())
        try:
            join()
            async with handing_key(self._key_office, self._sender(), self._stream):
                await self._listen(pushing)
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)

    async def _greet(self) -> None:
        """Read the first frame and write the node's row. `_info` stays unset where the node is not served."""
        message = await self._stream.receive(IO_TIMEOUT_S)
        self._on_frame(len(message.data))
        if message.opcode is not BINARY:
            raise FrameInvalid("the first frame is not binary", "basic_info_invalid")
        info = decode_basic_info(message.data)
        if self._version is None:
            _log.warning("node_version_unreadable version=%s %s", self.query.version, self._who())
            return
        hello = NodeHello(
            id=self.query.node_id,
            hostname=self.query.hostname,
            ip=self.presented.ip,
            version=self.query.version,
            labels=info.labels,
            certificate_id=self.admission.certificate_id,
            certificate_expires_at=self.admission.expires_at,
        )
        self._around.book.hello(self._scope, hello)
        if not is_version_served(self._version):
            self._set_sync_status(VERSION_INCOMPATIBLE)
            text = f"a node of version {self.query.version} is not served, {CONTROL_PLANE_VERSION} is the newest"
            self._lost_issues = (node_issue(VERSION_REFUSED, text),)
            self._record_issues()
            _log.warning("node_version_incompatible version=%s %s", self.query.version, self._who())
            return
        self._info = info
        _log.info("node_connected version=%s twin=%s %s", self.query.version, self.is_twin, self._who())

    async def _listen(self, pushing: asyncio.Task[None]) -> None:
        last_ping = time.monotonic()
        while True:
            remaining = last_ping + SILENCE_S - time.monotonic()
            if remaining <= 0:
                raise PeerSilent(f"no ping for {SILENCE_S:g} s")
            message = await self._stream.receive(remaining)
            self._on_frame(len(message.data))
            if pushing.done():
                pushing.result()
            if message.opcode is PING:
                last_ping = time.monotonic()
                await self._take_ping(message.data)
            else:
                self._take_report(message)

    async def _take_ping(self, data: bytes) -> None:
        config_hash = parse_ping(data)
        applied = self._progress.applied
        is_known = applied is not None and applied.config_hash == config_hash
        revision, epoch = (applied.revision, applied.epoch) if applied is not None and is_known else (None, None)
        self._around.book.ping(self._scope, self.query.node_id, NodePing(config_hash, revision, epoch))
        await taken(self._stream.send_pong(), PUSH_TIMEOUT_S)
        if self.is_twin and self._sent is None:
            # What could not be pushed before may be pushed now.
            self._wanted.set()
        self._watch_staleness(config_hash)

    def _watch_staleness(self, config_hash: str) -> None:
        """Push again, a few times, where two pings in a row show that what was sent is not what runs."""
        sent = self._sent
        if sent is None or config_hash == sent.config_hash:
            self._stale_pings = 0
            return
        self._stale_pings += 1
        is_refused = self._refused_hash == sent.config_hash
        if self._stale_pings >= STALE_PINGS and self._pushes_again < PUSHES_AGAIN_MAX and not is_refused:
            self._stale_pings = 0
            self._pushes_again += 1
            self._sent = None
            self._progress.give_up()
            _log.warning("node_stale hash=%s expected=%s %s", config_hash, sent.config_hash, self._who())
            self._wanted.set()

    def _take_report(self, message: Message) -> None:
        if message.opcode is not BINARY:
            raise FrameInvalid(f"unexpected {message.opcode.name.lower()} frame", "frame_unexpected")
        report = decode_report(message.data)
        if isinstance(report, Applied):
            self._progress.note_applied(report)
            self._reported.set()
            self._wanted.set()
            told = [_issue_of_node(issue.code, issue.message, issue.plugin_id) for issue in report.issues]
            if self._refusal is not None and report.config_hash != self._refusal.served:
                self._refused_hash = self._refusal = None
            self._node_issues = (*told, *(() if self._refusal is None else self._refusal.issues))
            self._record_issues()
        elif isinstance(report, Fault):
            self._take_fault(report)
        elif self.is_twin and (resync := decode_resync(message.data)) is not None:
            self._take_resync(resync)
        else:
            # A later version may have more to say: passed over, and counted.
            self._on_refused("report_unknown")

    def _take_fault(self, fault: Fault) -> None:
        """The node keeps its old configuration, and says why. It says so again as often as it is sent the same."""
        told = refusal_issues(f"{fault.name}: {fault.message}", fault.flattened_errors)
        is_new = fault.config_hash != self._refused_hash or told != self._node_issues[-len(told) :]
        self._refused_hash = fault.config_hash
        applied = self._progress.applied
        self._refusal = _Refusal(tuple(told), None if applied is None else applied.config_hash)
        self._progress.note_refused(fault)
        self._wanted.set()
        if is_new:
            self._node_issues = (*(each for each in self._node_issues if each.code != CONFIG_REFUSED), *told)
            self._record_issues()
            _log.error("node_refused_config hash=%s detail=%s %s", fault.config_hash, fault.message, self._who())

    def _take_resync(self, resync: Resync) -> None:
        """The node could not use a change: it is sent the whole, a few times for each publication."""
        self._progress.note_resync()
        self._around.facts.resyncs_total += 1
        if self._pushes_again < PUSHES_AGAIN_MAX:
            self._pushes_again += 1
            self._sent = None
            self._wanted.set()
        _log.warning("node_resync reason=%s detail=%s %s", resync.reason, resync.detail, self._who())

    async def _push_always(self) -> None:
        if self.is_twin:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reported.wait(), FIRST_REPORT_S)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._due() is not None:
                async with self._around.pushing:
                    await self._push_due()

    async def _push_due(self) -> None:
        publication = self._due()
        if publication is not None:
            await self._push(publication)

    def _due(self) -> Publication | None:
        """What is to be pushed now, if anything is."""
        publication, sent = self._newest, self._sent
        if publication is None or (sent is not None and sent.key == publication.key):
            return None
        if not self.is_twin:
            if sent is not None and sent.config_hash == publication.config_hash:
                # Another revision of the same table.
                self._sent = Sent(publication.key, publication.config_hash)
                return None
            return publication
        step = self._progress.next(publication)
        if isinstance(step, Ahead):
            self._around.on_ahead(self.control_plane_id, step.epoch, step.revision)
        elif isinstance(step, Nothing):
            self._note_pushed(publication)
        return publication if isinstance(step, Change | Whole) else None

    async def _shipment(self, publication: Publication) -> Shipment:
        """What this node is sent of a publication, made in a thread where it is not made yet."""
        step = self._progress.next(publication) if self.is_twin else Whole()
        if isinstance(step, Change):
            find = partial(self._around.find_delta, self.control_plane_id)
            delta = await self._around.workshop.delta(publication, step.base, find)
            if delta is not None and delta.payload_bytes <= self._around.payload_bytes_max:
                return delta
        return await self._around.workshop.shipment(publication, None if self.is_twin else self._version)

    async def _push(self, publication: Publication) -> None:
        assert self._info is not None
        why = None
        if not self.is_twin and self._version is not None:
            why = why_withheld(await self._around.workshop.uses(publication), self._info, self._version)
        if why is not None:
            self._note_withheld(why)
            return
        self._withheld = None
        shipment = await self._shipment(publication)
        if shipment.payload_bytes > self._around.payload_bytes_max:
            self._lost_issues = (_too_large(shipment.payload_bytes, self._around.payload_bytes_max),)
            self._record_issues()
            _log.error("payload_too_large bytes=%d %s", shipment.payload_bytes, self._who())
            return
        # The answer may be here before the sending has returned.
        self._progress.note_sent(publication)
        self._note_pushed(publication)
        try:
            await taken(self._stream.send_ready(shipment.frame), PUSH_TIMEOUT_S)
        except PeerSilent:
            # It holds one of few places: others wait for theirs.
            self.end("push_not_taken")
            raise
        self._count(shipment)
        if tuple(shipment.issues) != self._lost_issues:
            self._lost_issues = tuple(shipment.issues)
            self._record_issues()
        _log.info(
            "config_pushed revision=%d hash=%s base=%s bytes=%d %s",
            publication.revision,
            publication.config_hash,
            shipment.base,
            shipment.payload_bytes,
            self._who(),
        )

    def _note_pushed(self, publication: Publication) -> None:
        self._sent = Sent(publication.key, publication.config_hash)
        self._stale_pings = 0
        self._set_sync_status(NORMAL)

    def _count(self, shipment: Shipment) -> None:
        facts = self._around.facts
        if shipment.base is None:
            facts.wholes_total += 1
            facts.whole_bytes_total += shipment.payload_bytes
        else:
            facts.deltas_total += 1
            facts.delta_bytes_total += shipment.payload_bytes

    def _note_withheld(self, why: Withheld) -> None:
        if why == self._withheld:
            return
        self._withheld = why
        if why.status is not None:
            self._set_sync_status(why.status)
        self._lost_issues = (why.issue,)
        self._record_issues()
        _log.warning("push_withheld reason=%s name=%s %s", why.issue.code, why.name, self._who())

    def _set_sync_status(self, status: str) -> None:
        if status != self._sync_status:
            self._sync_status = status
            self._around.book.sync_status(self._scope, self.query.node_id, status)

    def _record_issues(self) -> None:
        self._around.book.issues(self._scope, self.query.node_id, (*self._node_issues, *self._lost_issues))

    def _sender(self) -> Sender:
        return Sender(
            self._scope.organization_id,
            self.control_plane_id,
            self.query.node_id,
            self.admission.certificate_id,
            self.presented.fingerprint,
        )

    def _who(self) -> str:
        return (
            f"node={self.query.node_id} control_plane={self.control_plane_id} ip={self.presented.ip} "
            f"certificate={self.presented.fingerprint[:16]}"
        )


def _issue_of_node(code: str, text: str, plugin_id: str | None) -> NodeIssue:
    resources = [{"id": plugin_id, "type": "plugin"}] if plugin_id else []
    if code in CONDITIONS:
        return NodeIssue(code=code, severity="warning", description=text, resolution=CONDITIONS[code])
    return NodeIssue(code=code, severity="error", description=text, affected_resources=resources)


def _too_large(size: int, limit: int) -> NodeIssue:
    return node_issue(PAYLOAD_TOO_LARGE, f"the configuration is {size} bytes compressed, the limit is {limit}")
