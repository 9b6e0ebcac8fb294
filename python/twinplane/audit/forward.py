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
from twinplane.control.audit import AuditRecord, AuditTrail
from twinplane.control.errors import StoreError

RECORDS_AT_ONCE = 200
POLL_S = 1.0
# Nothing is said back: a connection that stood for so long after a record was sent has carried it.
SURE_AFTER_S = 2.0
CONNECT_S = 10.0
WRITE_S = 30.0
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
        unsure: deque[tuple[float, int]] = deque()
        try:
            while True:
                channel.check()
                records = await asyncio.to_thread(self._trail.after, position, limit=RECORDS_AT_ONCE)
                if records:
                    self._note_missed(records[0].position - position - 1)
                    await self._send(channel, records)
                    position = records[-1].position
                    unsure.append((time.monotonic(), position))
                else:
                    await asyncio.sleep(settings.poll_s)
                await self._note_sure(unsure)
        finally:
            # A write that was under way when this task ends is not repeated for long: a record may come twice.
            with contextlib.suppress(StoreError):
                await self._note_sure(unsure)

    async def _send(self, channel: _Channel, records: Sequence[AuditRecord]) -> None:
        for record in records:
            async with asyncio.timeout(WRITE_S):
                await channel.send(forwarded_line(record, self._settings.form, hostname=self._settings.hostname))
            self.facts.sent_total += 1

    async def _note_sure(self, unsure: deque[tuple[float, int]]) -> None:
        moment, sure = time.monotonic() - self._settings.sure_after_s, None
        while unsure and unsure[0][0] <= moment:
            sure = unsure.popleft()[1]
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
            reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=self._context)
        stream = _Stream(reader, writer)
        try:
            yield stream
        finally:
            stream.close()


class _Channel(Protocol):
    async def send(self, line: bytes) -> None:
        """Send a line. Raises OSError."""

    def check(self) -> None:
        """Raises OSError where the other end is gone."""


class _Stream:
    """Counted lines on a connection (RFC 6587, RFC 5425)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
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

    def error_received(self, error: Exception) -> None:
        """The network says that a datagram did not arrive."""
        self._error = error
