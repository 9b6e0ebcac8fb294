"""The node's end of the configuration link: dial, say who we are, ping, take the newest configuration, dial again.

Decides nothing about a configuration: that is its sink's part. A lost link never touches what is being served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twinplane.hybrid.audit_key import AUDIT_HEADER, AUDIT_VERSION, AuditKey, decode_audit_key
from twinplane.hybrid.delta import Resync, encode_resync
from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.errors import FrameInvalid, LinkError, PayloadTooLarge, PeerGone
from twinplane.hybrid.frames import BINARY, FrameStream
from twinplane.hybrid.wire import (
    CONFIG_PATH,
    LINK_HEADER,
    PING_INTERVAL_S,
    RECONNECT_MAX_S,
    RECONNECT_MIN_S,
    SILENCE_S,
    Applied,
    BasicInfo,
    Fault,
    NodeQuery,
    connect_path,
    encode_applied,
    encode_basic_info,
    encode_fault,
    ping_payload,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a received configuration. `fault` says why it was refused; the old one then goes on.

    `resync`: it was a change that leads nowhere from here, and the whole configuration is wanted.
    """

    config_hash: str
    fault: Fault | None = None
    resync: Resync | None = None


class ConfigSink(Protocol):
    """Where received configurations go, and who knows what is being served."""

    async def receive(self, frame: bytes, *, is_twin: bool) -> Outcome | None:
        """Check, keep and apply a frame; None for a message that is no configuration.

        Raises FrameInvalid or PayloadTooLarge for a frame that cannot even be read.
        """

    def applied(self) -> Applied:
        """What is being served now."""


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Delays of the protocol, in seconds."""

    ping_interval_s: float = PING_INTERVAL_S
    silence_s: float = SILENCE_S
    reconnect_min_s: float = RECONNECT_MIN_S
    reconnect_max_s: float = RECONNECT_MAX_S
    first_retry_s: float | None = None
    """Delay between attempts before the very first connection has succeeded; None keeps the protocol's."""


@dataclass(slots=True)
class LinkFacts:
    """What the link has been through; read by the status port."""

    is_connected: bool = False
    connects_total: int = 0
    failures_total: int = 0
    frames_refused_total: int = 0
    last_error: str = ""
    last_contact: float = 0.0


class LinkClient:
    """Keeps one link to the control plane for as long as `run` runs."""

    def __init__(
        self,
        dialer: Dialer,
        query: NodeQuery,
        sink: ConfigSink,
        *,
        basic_info: Callable[[], BasicInfo],
        reports_faults: bool,
        times: LinkTimes | None = None,
        on_audit_key: Callable[[AuditKey], None] | None = None,
    ) -> None:
        """`reports_faults`: also to peers that are no twinplane; a self-managed Kong would end the link at one.

        `on_audit_key` gets the key of the node's audit lines, where the control plane takes such lines.
        """
        self.facts = LinkFacts()
        self._dialer = dialer
        self._target = connect_path(CONFIG_PATH, query)
        self._sink = sink
        self._basic_info = basic_info
        self._reports_faults = reports_faults
        self._times = times or LinkTimes()
        self._on_audit_key = on_audit_key
        self._mailbox: tuple[bytes, bool] | None = None
        self._arrived = asyncio.Event()
        self._session: _Session | None = None

    async def run(self) -> None:
        """Hold the link until cancelled."""
        applying = asyncio.create_task(self._apply_arrivals())
        try:
            while True:
                await self._hold_once()
                await self._dialer.pause(self._delay())
        finally:
            applying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await applying

    async def announce(self) -> None:
        """Tell the control plane at once what is being served, where a link is up."""
        if self._session is not None:
            with contextlib.suppress(LinkError):
                await self._session.announce(self._sink.applied())

    def _delay(self) -> float:
        times = self._times
        if times.first_retry_s is not None and self.facts.connects_total == 0:
            return times.first_retry_s
        return random.uniform(times.reconnect_min_s, times.reconnect_max_s)  # noqa: S311

    async def _hold_once(self) -> None:
        try:
            stream, response = await self._dialer.open(
                self._target, {AUDIT_HEADER: AUDIT_VERSION} if self._on_audit_key else {}
            )
        except LinkError as error:
            self._note_failure(error)
            return
        session = _Session(stream, is_twin=response.headers.get(LINK_HEADER) is not None)
        self.facts.connects_total += 1
        try:
            await stream.send_binary(encode_basic_info(self._basic_info()))
            await session.announce(self._sink.applied())
            self._session = session
            self.facts.is_connected = True
            _log.info("link_opened peer=%s twin=%s", self._dialer.endpoint.authority, session.is_twin)
            await self._hold(session)
        except LinkError as error:
            if not self._dialer.is_renewed:
                self._note_failure(error)
        finally:
            self._session = None
            self.facts.is_connected = False
            stream.abort()

    async def _hold(self, session: _Session) -> None:
        """Read and ping until the link ends."""
        pinging = asyncio.create_task(self._ping(session))
        try:
            while True:
                message = await session.stream.receive(self._times.silence_s)
                self.facts.last_contact = time.time()
                if message.opcode is BINARY and not self._takes_key(message.data):
                    # Only the newest counts: what waits while another is applied is replaced.
                    self._mailbox = (message.data, session.is_twin)
                    self._arrived.set()
        finally:
            pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError, LinkError):
                await pinging

    def _takes_key(self, frame: bytes) -> bool:
        key = decode_audit_key(frame) if self._on_audit_key is not None else None
        if key is None or self._on_audit_key is None:
            return False
        self._on_audit_key(key)
        return True

    async def _ping(self, session: _Session) -> None:
        while True:
            await asyncio.sleep(self._times.ping_interval_s)
            with contextlib.suppress(PeerGone):
                await session.stream.send_ping(ping_payload(self._sink.applied().config_hash))

    async def _apply_arrivals(self) -> None:
        """Apply what arrives, one at a time. A link that ends meanwhile does not stop it."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            arrival, self._mailbox = self._mailbox, None
            if arrival is not None:
                await self._apply(*arrival)

    async def _apply(self, frame: bytes, is_twin: bool) -> None:
        try:
            outcome = await self._sink.receive(frame, is_twin=is_twin)
        except (FrameInvalid, PayloadTooLarge) as error:
            self.facts.frames_refused_total += 1
            self.facts.last_error = f"{error.code}: {error}"
            _log.error("frame_refused code=%s detail=%s", error.code, error)
            if self._session is not None:
                self._session.stream.abort()
            return
        except Exception:
            # What is being served goes on; the next configuration gets its chance.
            _log.exception("config_apply_broken")
            return
        session = self._session
        if outcome is None or session is None:
            return
        with contextlib.suppress(LinkError):
            if outcome.fault is not None and (session.is_twin or self._reports_faults):
                await session.stream.send_binary(encode_fault(outcome.fault))
            if outcome.resync is not None and session.is_twin:
                await session.stream.send_binary(encode_resync(outcome.resync))
            await session.announce(self._sink.applied())

    def _note_failure(self, error: LinkError) -> None:
        self.facts.failures_total += 1
        self.facts.last_error = f"{error.code}: {error}"
        _log.warning("link_failed code=%s peer=%s detail=%s", error.code, self._dialer.endpoint.authority, error)


@dataclass(slots=True)
class _Session:
    """One open link."""

    stream: FrameStream
    is_twin: bool

    async def announce(self, applied: Applied) -> None:
        if self.is_twin:
            await self.stream.send_binary(encode_applied(applied))
        await self.stream.send_ping(ping_payload(applied.config_hash))
