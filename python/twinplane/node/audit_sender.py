"""Sends a node's audit lines: over TLS with the node's certificate, or over UDP. Never holds anybody up.

With a link the lines are signed with the newest key that it handed over, and wait while there is none: what is sent
while the control plane is away would be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from twinplane.hybrid.audit_key import AuditKey
from twinplane.hybrid.dial import Dialer, Endpoint
from twinplane.hybrid.errors import LinkError
from twinplane.node.audit import AuditEvent, AuditLog, AuditOrigin

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
KEY_WAIT_S = 5.0
DATAGRAM_PAUSE_S = 0.01
WRITE_TIMEOUT_S = 30.0
TICK_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class AuditSenderFacts:
    """How the sender fares; read by the status port."""

    is_connected: bool = False
    sent_total: int = 0
    failures_total: int = 0
    last_error: str = ""


class AuditSender:
    """Sends what waits in a log, for as long as `run` runs."""

    def __init__(
        self,
        audit: AuditLog,
        origin: AuditOrigin,
        dialer: Dialer,
        *,
        transport: Literal["tcp", "udp"],
        endpoint: tuple[str, int] | None,
        is_linked: Callable[[], bool],
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        """`dialer` is the link's; `endpoint` where lines go if it is set, else the port that the link tells."""
        self.facts = AuditSenderFacts()
        self._audit = audit
        self._origin = origin
        self._dialer = dialer
        self._transport = transport
        self._endpoint = endpoint
        self._is_linked = is_linked
        self._retry_first_s = retry_first_s
        self._key: AuditKey | None = None
        self._is_closing = False
        self._alone_at = 0.0
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # A loop that is closed sends no more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wanted.set)

        audit.on_noted(wake)

    def use_key(self, key: AuditKey) -> None:
        """The link has handed over a key."""
        self._key = key
        self._wanted.set()

    async def run(self) -> None:
        """Send until cancelled."""
        delay_s = self._retry_first_s
        self._alone_at = asyncio.get_running_loop().time() + KEY_WAIT_S
        while True:
            await self._until_ready()
            before = self.facts.sent_total
            try:
                await (self._send_stream() if self._transport == "tcp" else self._send_datagrams())
            except (LinkError, OSError, TimeoutError) as error:
                self.facts.failures_total += 1
                self.facts.last_error = str(error) or "timeout"
                _log.warning("audit_not_sent waiting=%d detail=%s", len(self._audit), self.facts.last_error)
                if self.facts.sent_total > before:
                    delay_s = self._retry_first_s
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            else:
                delay_s = self._retry_first_s
            finally:
                self.facts.is_connected = False

    async def close(self, grace_s: float) -> None:
        """Send what is left, for as long as the grace lasts. `run` must still be running."""
        self._audit.tell_repeats(all_of_them=True)
        self._is_closing = True
        if not self._is_ready():
            return
        self._idle.clear()
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while len(self._audit):
                    self._idle.clear()
                    await self._idle.wait()

    def _is_ready(self) -> bool:
        """Whether a line sent now would be taken, as far as can be known."""
        if self._key is not None:
            return self._is_closing or self._is_linked()
        # A link may still hand over a key, which says more of the node than its certificate does.
        is_time = self._is_closing or asyncio.get_running_loop().time() >= self._alone_at
        return self._transport == "tcp" and self._endpoint is not None and is_time

    async def _until_ready(self) -> None:
        while not (len(self._audit) and self._is_ready()):
            self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wanted.wait()
            self._audit.tell_repeats()

    def _address(self) -> tuple[str, int]:
        if self._endpoint is not None:
            return self._endpoint
        assert self._key is not None
        return self._dialer.endpoint.host, self._key.port

    def _take(self) -> tuple[AuditEvent, bytes] | None:
        event = self._audit.first()
        return None if event is None else (event, self._origin.line(event, self._key))

    def _note_sent(self, event: AuditEvent) -> None:
        self._audit.sent(event)
        self.facts.sent_total += 1
        if not len(self._audit):
            self._idle.set()

    async def _send_stream(self) -> None:
        """One connection, until it ends, is no longer the right one, or has nothing to carry for a while."""
        host, port = self._address()
        key = self._key
        dialer = self._dialer.at(Endpoint(host, port, self._dialer.endpoint.server_name))
        reader, writer = await dialer.connect()
        self.facts.is_connected = True
        # The other end sends nothing: that it can be read means that it is gone.
        gone = asyncio.ensure_future(reader.read(1))
        try:
            # With a new key the link was made anew, with a new certificate perhaps.
            while not gone.done() and self._key is key:
                if not self._is_ready():
                    return
                taken = self._take()
                if taken is None:
                    self._wanted.clear()
                    waiting = asyncio.ensure_future(self._wanted.wait())
                    await asyncio.wait({waiting, gone}, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    self._audit.tell_repeats()
                    continue
                event, line = taken
                writer.write(line + b"\n")
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await writer.drain()
                self._note_sent(event)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await gone
            if writer.is_closing():
                writer.transport.abort()
            else:
                writer.close()
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1.0):
                        await writer.wait_closed()

    async def _send_datagrams(self) -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(_Datagrams, remote_addr=self._address())
        try:
            self.facts.is_connected = True
            while self._is_ready() and (taken := self._take()) is not None:
                event, line = taken
                transport.sendto(line)
                # No faster than a receiver is sure to take them.
                await asyncio.sleep(DATAGRAM_PAUSE_S)
                if protocol.error is not None:
                    raise protocol.error
                self._note_sent(event)
        finally:
            transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.error: Exception | None = None

    def error_received(self, error: Exception) -> None:
        """Nobody listens there."""
        self.error = error
