"""Sends every audit record on to a syslog server, in order, as fast as that takes them.

Records are read from the store, so that nothing waits in memory, and what has been sent is noted there: after a restart
or a lost connection it goes on where it is sure that records arrived. A record may come twice; it has its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from twinplane.audit.forward_line import Form, forwarded_line
from twinplane.audit.unsent import unacknowledged, watch_silence
from twinplane.control.audit import AuditRecord, AuditTrail
from twinplane.control.errors import StoreError

RECORDS_AT_ONCE = 200
POLL_S = 1.0
# Nothing is said back: a connection that stood for so long after all of it was acknowledged has carried a record.
SURE_AFTER_S = 2.0
CONNECT_S = 10.0
WRITE_S = 30.0
# So many groups are sent before all that is on its way has to arrive: this bounds what may come twice.
UNSURE_MAX = 50
_DRAIN_PAUSE_S = 0.01
# So long may a connection carry nothing of what was given to it, before it is given up.
SILENCE_S = 30.0
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
_DATAGRAM_PAUSE_S = 0.001
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """Where records go, and how. `authority` verifies the server of a TLS connection; None: those of the system."""

    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    form: Form
    hostname: str
    authority: Path | None = None
    poll_s: float = POLL_S
    sure_after_s: float = SURE_AFTER_S
    retry_first_s: float = RETRY_FIRST_S
    silence_s: float = SILENCE_S


@dataclass(slots=True)
class ForwardFacts:
    """How forwarding fares. `missed_total` counts records that were forgotten before they could be sent."""

    is_connected: bool = False
    sent_total: int = 0
    missed_total: int = 0
    failures_total: int = 0
    last_error: str = ""


class Forwarder:
    """Runs beside one store. `run` never ends by itself."""

    def __init__(self, trail: AuditTrail, settings: ForwardSettings) -> None:
        """Raises OSError or ssl.SSLError where the authority cannot be used."""
        self.facts = ForwardFacts()
        self._trail = trail
        self._settings = settings
        self._context = None
        if settings.transport == "tls":
            authority = settings.authority
            self._context = ssl.create_default_context(cafile=str(authority) if authority else None)

    async def run(self) -> None:
        """Send until cancelled."""
        delay_s = self._settings.retry_first_s
        while True:
            before = self.facts.sent_total
            try:
                async with self._connected() as channel:
                    self.facts.is_connected = True
                    await self._send_on(channel)
            except (OSError, ssl.SSLError, TimeoutError, StoreError) as error:
                self.facts.failures_total += 1
                self.facts.last_error = str(error) or "timeout"
                _log.warning("audit_not_forwarded detail=%s", self.facts.last_error)
            finally:
                self.facts.is_connected = False
            if self.facts.sent_total > before:
                delay_s = self._settings.retry_first_s
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _send_on(self, channel: _Channel) -> None:
        """Send what is there and what comes, until the channel fails."""
        settings = self._settings
        position = await asyncio.to_thread(self._trail.forwarded)
        unsure = _Unsure(self._settings.sure_after_s)
        try:
            while True:
                channel.check()
                records = await asyncio.to_thread(self._trail.after, position, limit=RECORDS_AT_ONCE)
                if records:
                    self._note_missed(records[0].position - position - 1)
                    await self._send(channel, records)
                    position = records[-1].position
                    unsure.sent(position)
                else:
                    await asyncio.sleep(settings.poll_s)
                await self._drain(channel, unsure)
                await self._note_sure(channel, unsure)
        finally:
            # A write that was under way when this task ends is not repeated for long: a record may come twice.
            with contextlib.suppress(StoreError):
                await self._note_sure(channel, unsure)

    async def _send(self, channel: _Channel, records: Sequence[AuditRecord]) -> None:
        for record in records:
            async with asyncio.timeout(WRITE_S):
                await channel.send(forwarded_line(record, self._settings.form, hostname=self._settings.hostname))
            self.facts.sent_total += 1

    async def _drain(self, channel: _Channel, unsure: _Unsure) -> None:
        """Wait where much is on its way. Raises TimeoutError where it does not arrive."""
        if unsure.groups >= UNSURE_MAX:
            async with asyncio.timeout(self._settings.silence_s):
                while not channel.has_arrived():
                    channel.check()
                    await asyncio.sleep(_DRAIN_PAUSE_S)

    async def _note_sure(self, channel: _Channel, unsure: _Unsure) -> None:
        now = time.monotonic()
        if channel.has_arrived():
            unsure.arrived(now)
        sure = unsure.take_sure(now)
        if sure is not None:
            await asyncio.to_thread(self._trail.note_forwarded, sure)

    def _note_missed(self, count: int) -> None:
        if count > 0:
            self.facts.missed_total += count
            _log.error("audit_records_not_forwarded count=%d reason=forgotten", count)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Channel]:
        settings = self._settings
        if settings.transport == "udp":
            loop = asyncio.get_running_loop()
            transport, datagrams = await loop.create_datagram_endpoint(
                _Datagrams, remote_addr=(settings.host, settings.port)
            )
            datagrams.transport = transport
            try:
                yield datagrams
            finally:
                transport.close()
            return
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(settings.host, settings.port)
            carrier = writer.transport
            try:
                watch_silence(carrier, settings.silence_s)
                if self._context is not None:
                    await writer.start_tls(self._context, server_hostname=settings.host)
            except BaseException:
                carrier.abort()
                raise
        stream = _Stream(reader, writer, carrier)
        try:
            yield stream
        finally:
            stream.close()


class _Unsure:
    """What was sent and may not have arrived."""

    def __init__(self, sure_after_s: float) -> None:
        self.groups = 0
        self._sure_after_s = sure_after_s
        self._position = 0
        self._arrived: deque[tuple[float, int]] = deque()

    def sent(self, position: int) -> None:
        """A group up to this position was sent."""
        self.groups += 1
        self._position = position

    def arrived(self, now: float) -> None:
        """All that was sent has arrived."""
        if self.groups:
            self.groups = 0
            self._arrived.append((now, self._position))

    def take_sure(self, now: float) -> int | None:
        """The position up to which records arrived so long ago that the connection has told of none that was lost."""
        sure = None
        while self._arrived and self._arrived[0][0] <= now - self._sure_after_s:
            sure = self._arrived.popleft()[1]
        return sure


class _Channel(Protocol):
    async def send(self, line: bytes) -> None:
        """Send a line. Raises OSError."""

    def check(self) -> None:
        """Raises OSError where the other end is gone."""

    def has_arrived(self) -> bool:
        """Whether nothing is known to be still on its way."""


class _Stream:
    """Counted lines on a connection (RFC 6587, RFC 5425)."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carrier: asyncio.WriteTransport
    ) -> None:
        """`carrier` is the connection itself, below TLS where there is that."""
        self._writer = writer
        self._carrier = carrier
        self._gone = asyncio.ensure_future(_until_end(reader))

    async def send(self, line: bytes) -> None:
        """Send a line. Raises OSError."""
        self.check()
        self._writer.write(b"%d " % len(line) + line)
        await self._writer.drain()

    def check(self) -> None:
        """Raises OSError where the other end is gone."""
        if self._gone.done():
            raise ConnectionResetError("the syslog server has closed the connection")

    def has_arrived(self) -> bool:
        """Whether the other end has acknowledged every byte."""
        if self._gone.done() or self._carrier.is_closing():
            return False
        # In the order that bytes take: TLS, the transport, the system.
        waiting = self._writer.transport.get_write_buffer_size() or self._carrier.get_write_buffer_size()
        return not waiting and not unacknowledged(self._carrier)

    def close(self) -> None:
        """End it; what is written still leaves."""
        self._gone.cancel()
        self._writer.close()


async def _until_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass


class _Datagrams(asyncio.DatagramProtocol):
    """One line in each datagram (RFC 5426)."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self._error: Exception | None = None

    async def send(self, line: bytes) -> None:
        """Send a line. Raises OSError."""
        self.check()
        assert self.transport is not None
        self.transport.sendto(line)
        await asyncio.sleep(_DATAGRAM_PAUSE_S)

    def check(self) -> None:
        """Raises OSError where nobody listens."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def has_arrived(self) -> bool:
        """Nothing tells of datagrams that did not."""
        return True

    def error_received(self, error: Exception) -> None:
        """The network says that a datagram did not arrive."""
        self._error = error
