"""Sends what the node measured: drained from the core each interval, kept in the backlog, delivered and acknowledged.

Never waits for the control plane: while it is away the backlog holds the newest records, and says what it dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

import orjson

from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.errors import LinkError, PeerGone, PeerSilent
from twinplane.hybrid.frames import BINARY, FrameStream
from twinplane.hybrid.wire import (
    PING_INTERVAL_S,
    RECONNECT_MAX_S,
    RECONNECT_MIN_S,
    SILENCE_S,
    TELEMETRY_PATH,
    NodeQuery,
    connect_path,
)
from twinplane.node.backlog import Backlog
from twinplane.node.conditions import Conditions
from twinplane.node.seal import SealKey
from twinplane.telemetry.wire import WINDOW, Kind, decode_receipt, encode_batch, pack_lines

BATCH_LINES_BYTES = 524_288
LOSSES_INTERVAL_S = 5.0
NOT_DURABLE: Final = "telemetry_not_durable"
_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class TelemetryTimes:
    """Intervals and delays, in seconds."""

    flush_interval_s: float = 1.0
    ping_interval_s: float = PING_INTERVAL_S
    silence_s: float = SILENCE_S
    reconnect_min_s: float = RECONNECT_MIN_S
    reconnect_max_s: float = RECONNECT_MAX_S
    first_retry_s: float | None = None


@dataclass(slots=True)
class TelemetryFacts:
    """How telemetry fares; read by the status port."""

    is_connected: bool = False
    connects_total: int = 0
    batches_acknowledged_total: int = 0
    batches_refused_total: int = 0
    backlog_records: int = 0
    lost_records: int = 0
    is_durable: bool = False
    last_error: str = ""


class TelemetrySender:
    """Holds the telemetry link and the backlog for as long as `run` runs."""

    def __init__(
        self,
        drain: Callable[[str], bytes],
        backlog: Backlog,
        *,
        dialer: Dialer | None,
        query: NodeQuery,
        times: TelemetryTimes | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        """`drain` is the core's. `dialer` is None where no telemetry leaves the node: it is dropped then."""
        self.facts = TelemetryFacts(is_durable=backlog.is_durable)
        self._conditions = conditions or Conditions()
        self._drain = drain
        self._backlog = backlog
        self._dialer = dialer
        self._target = connect_path(TELEMETRY_PATH, query)
        self._lost_seen = 0
        self._losses_read_at = float("-inf")
        self._times = times or TelemetryTimes()
        # One thread owns the backlog: its file calls block.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry")
        self._added = asyncio.Event()
        self._note_backlog()

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key: what waits on disk is sealed with it. Blocks; not for the event loop."""
        self._keeper.submit(self._backlog.rekey, key).result()

    async def run(self) -> None:
        """Flush and deliver until cancelled. Then what is left is flushed to the backlog."""
        delivering = asyncio.create_task(self._deliver_always())
        try:
            while True:
                await asyncio.sleep(self._times.flush_interval_s)
                await self.flush()
        finally:
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await delivering

    async def flush(self) -> None:
        """Move what the core has measured into the backlog."""
        records, usage = self._drain("records"), self._drain("usage")
        newly_lost = self._newly_lost()
        if self._dialer is None or not (records or usage or newly_lost):
            return
        await self._in_keeper(self._keep, records, usage, newly_lost)
        self._note_backlog()
        self._added.set()

    async def close(self, grace_s: float) -> None:
        """After `run`: flush a last time, deliver what can be delivered within `grace_s`, close the backlog."""
        self._losses_read_at = float("-inf")
        await self.flush()
        if self._dialer is not None and len(self._backlog):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._deliver_once(until_empty=True)
        await self._in_keeper(self._backlog.close)
        self._keeper.shutdown()

    def _newly_lost(self) -> int:
        """Records that the core had to drop since this was last asked."""
        now = time.monotonic()
        if now - self._losses_read_at < LOSSES_INTERVAL_S:
            return 0
        self._losses_read_at = now
        lost = int(orjson.loads(self._drain("metrics"))["lost"]["records"])
        newly, self._lost_seen = max(lost - self._lost_seen, 0), max(lost, self._lost_seen)
        return newly

    def _keep(self, records: bytes, usage: bytes, lost: int) -> None:
        self._backlog.count_lost(lost)
        self._backlog.add([*_batches("records", records), *_batches("usage", usage)])

    async def _deliver_always(self) -> None:
        while True:
            await self._deliver_once()
            if self._dialer is not None:
                await self._dialer.pause(self._delay())

    def _delay(self) -> float:
        times = self._times
        if times.first_retry_s is not None and self.facts.connects_total == 0:
            return times.first_retry_s
        return random.uniform(times.reconnect_min_s, times.reconnect_max_s)  # noqa: S311

    async def _deliver_once(self, *, until_empty: bool = False) -> None:
        """Hold one link and deliver over it, until it ends or, if asked, until nothing waits."""
        if self._dialer is None:
            await asyncio.Event().wait()
            return
        try:
            stream, _ = await self._dialer.open(self._target)
        except LinkError as error:
            self._note_failure(error)
            return
        self.facts.is_connected = True
        self.facts.connects_total += 1
        _log.info("telemetry_opened peer=%s backlog=%d", self._dialer.endpoint.authority, self._backlog.records)
        try:
            await self._hold(stream, until_empty=until_empty)
        except LinkError as error:
            if not self._dialer.is_renewed:
                self._note_failure(error)
        finally:
            self.facts.is_connected = False
            stream.abort()
            await self._in_keeper(self._backlog.forget_sent)

    async def _hold(self, stream: FrameStream, *, until_empty: bool) -> None:
        places = asyncio.Semaphore(WINDOW)
        sending = asyncio.create_task(self._send(stream, places))
        pinging = asyncio.create_task(self._ping(stream))
        try:
            while not (until_empty and not len(self._backlog)):
                message = await stream.receive(self._times.silence_s)
                if message.opcode is BINARY and await self._settle(message.data):
                    places.release()
                if sending.done():
                    sending.result()
        finally:
            for task in (sending, pinging):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, LinkError):
                    await task

    async def _send(self, stream: FrameStream, places: asyncio.Semaphore) -> None:
        while True:
            await places.acquire()
            await stream.send_binary(await self._next_batch())

    async def _next_batch(self) -> bytes:
        while True:
            self._added.clear()
            batch = await self._in_keeper(self._next)
            if batch is not None:
                return batch
            await self._added.wait()

    def _next(self) -> bytes | None:
        """The frame of the oldest batch that is not under way."""
        while (batch := self._backlog.unsent()) is not None:
            loaded = self._backlog.load(batch)
            if loaded is not None:
                return encode_batch(*loaded)
        return None

    async def _settle(self, frame: bytes) -> bool:
        receipt = decode_receipt(frame)
        if receipt is None:
            return False
        if receipt.refusal is None:
            await self._in_keeper(self._backlog.settle, receipt.boot_id, receipt.number)
            self.facts.batches_acknowledged_total += 1
        else:
            _log.error("telemetry_refused code=%s detail=%s", receipt.refusal, receipt.detail)
            await self._in_keeper(self._backlog.refuse, receipt.boot_id, receipt.number)
            self.facts.batches_refused_total += 1
        self._note_backlog()
        return True

    async def _ping(self, stream: FrameStream) -> None:
        with contextlib.suppress(PeerGone, PeerSilent):
            while True:
                await asyncio.sleep(self._times.ping_interval_s)
                await stream.send_ping(b"")

    def _note_backlog(self) -> None:
        facts, backlog = self.facts, self._backlog
        if (
            len(str(backlog.lost_records)) > len(str(facts.lost_records))
            or facts.lost_records == 0 < backlog.lost_records
        ):
            # At the first and then at each further digit: an outage must not flood the log.
            _log.warning("telemetry_dropped total=%d", backlog.lost_records)
        facts.backlog_records, facts.lost_records = backlog.records, backlog.lost_records
        facts.is_durable = backlog.is_durable
        if backlog.is_troubled:
            self._conditions.note(NOT_DURABLE, "telemetry waits in memory: its file cannot be read or written")
        else:
            self._conditions.clear(NOT_DURABLE)

    def _note_failure(self, error: LinkError) -> None:
        self.facts.last_error = f"{error.code}: {error}"
        peer = self._dialer.endpoint.authority if self._dialer else ""
        _log.warning("telemetry_link_failed code=%s peer=%s detail=%s", error.code, peer, error)

    async def _in_keeper(self, call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._keeper, lambda: call(*args, **kwargs))


def _batches(kind: Kind, lines: bytes) -> Iterator[tuple[Kind, int, bytes]]:
    """Lines in batches of limited size, packed."""
    start = 0
    while start < len(lines):
        end = len(lines)
        if end - start > BATCH_LINES_BYTES:
            end = lines.find(b"\n", start + BATCH_LINES_BYTES) + 1 or end
        part = lines[start:end]
        yield kind, part.count(b"\n"), pack_lines(part)
        start = end
