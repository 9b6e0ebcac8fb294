"""The node's end of version 2: say hello, ask for what is newer, take it, say what is running.

Where the control plane offers no deltas, version 1 takes over for good; what is being served is never touched by that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twinplane.hybrid.client import LinkClient, LinkFacts, LinkTimes, Outcome
from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.errors import FrameInvalid, LinkError, UpgradeRefused
from twinplane.hybrid.frames import BINARY, FrameStream
from twinplane.hybrid.rpc.hello import RPC_PATH, SUBPROTOCOL, SYNC, Hello, decode_welcome, encode_hello
from twinplane.hybrid.rpc.jsonrpc import CallRefused
from twinplane.hybrid.rpc.peer import RpcPeer
from twinplane.hybrid.rpc.sync import (
    GET_DELTA,
    NAMESPACE,
    NOTIFY_NEW_VERSION,
    NOTIFY_VALIDATION_ERROR,
    Dialect,
    Received,
    Version,
    config_hash_of,
    read_deltas,
    read_new_version,
)
from twinplane.hybrid.wire import INFLATED_FACTOR_MAX, IO_TIMEOUT_S, PAYLOAD_BYTES_MAX, Fault, parse_version

_ROUNDS_MAX: Final = 5
_ROUND_PAUSE_S: Final = 0.1
# A whole answer of a large configuration takes its time to come.
_DELTA_TIMEOUT_S: Final = 60.0
_SWITCHED: Final = (3, 10)
FAULT_DELTAS: Final = "sync deltas parse failure"
_log = logging.getLogger(__name__)


class DeltaSink(Protocol):
    """Where deltas go, and who knows what is being served."""

    async def take(self, received: Received) -> Outcome:
        """Put the deltas to what is there, or in its place, and serve the whole."""


class RpcClient:
    """Keeps a link of version 2 for as long as `run` runs, or hands over to version 1."""

    def __init__(
        self,
        dialer: Dialer,
        hello: Callable[[], Hello],
        sink: DeltaSink,
        fallback: LinkClient,
        *,
        times: LinkTimes | None = None,
        bytes_max: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        """`fallback` speaks version 1, to a control plane that offers no deltas."""
        self.facts = LinkFacts()
        fallback.facts = self.facts
        self._dialer = dialer
        self._hello = hello
        self._sink = sink
        self._fallback = fallback
        self._times = times or LinkTimes()
        self._bytes_max = bytes_max
        # The rows that deltas are put to live as long as the process: a new one asks for everything.
        self._version: Version | None = None
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Hold the link until cancelled."""
        while True:
            is_offered = await self._hold_once()
            if not is_offered:
                break
            await self._dialer.pause(self._delay())
        _log.info("link_without_deltas peer=%s", self._dialer.endpoint.authority)
        await self._fallback.run()

    async def announce(self) -> None:
        """Tell the control plane what is being served, where version 1 carries that."""
        await self._fallback.announce()

    def _delay(self) -> float:
        times = self._times
        if times.first_retry_s is not None and self.facts.connects_total == 0:
            return times.first_retry_s
        return random.uniform(times.reconnect_min_s, times.reconnect_max_s)  # noqa: S311

    async def _hold_once(self) -> bool:
        """One link, until it ends. False where the control plane offers no deltas."""
        hello = self._hello()
        try:
            stream, _ = await self._dialer.open(RPC_PATH, subprotocol=SUBPROTOCOL)
        except LinkError as error:
            self._note_failure(error)
            # It knows no such path: waiting would not teach it.
            return not (isinstance(error, UpgradeRefused) and error.status == 404)
        try:
            if SYNC not in await self._greet(stream, hello):
                return False
            self.facts.connects_total += 1
            self.facts.is_connected = True
            _log.info("link_opened peer=%s version=2", self._dialer.endpoint.authority)
            await self._serve(stream, _dialect(hello))
        except LinkError as error:
            if not self._dialer.is_renewed:
                self._note_failure(error)
        finally:
            self.facts.is_connected = False
            stream.abort()
        return True

    async def _greet(self, stream: FrameStream, hello: Hello) -> frozenset[str]:
        await stream.send_binary(encode_hello(hello))
        message = await stream.receive(IO_TIMEOUT_S)
        if message.opcode is not BINARY:
            raise FrameInvalid("hello was answered with a frame that is not binary", "hello_invalid")
        return decode_welcome(message.data)

    async def _serve(self, stream: FrameStream, dialect: Dialect) -> None:
        if self._version is None or isinstance(self._version, int) != (dialect is Dialect.NUMBERS):
            self._version = dialect.none

        async def new_version(params: Sequence[Any]) -> bool:
            version = read_new_version(params)
            if type(version) is not type(self._version) or config_hash_of(version) > config_hash_of(self._own()):
                self._wanted.set()
            return True

        peer = RpcPeer(
            stream,
            {NOTIFY_NEW_VERSION: new_version},
            bytes_max=self._bytes_max,
            text_max=self._bytes_max * INFLATED_FACTOR_MAX,
            on_frame=self._note_contact,
            on_refused=self._note_refused,
            ping_interval_s=self._times.ping_interval_s,
            silence_s=self._times.silence_s,
        )
        syncing = asyncio.create_task(self._sync_always(peer))
        serving = asyncio.create_task(peer.run())
        try:
            done, _ = await asyncio.wait((syncing, serving), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (syncing, serving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, LinkError):
                    await task

    async def _sync_always(self, peer: RpcPeer) -> None:
        """Ask at once, at every notification, and every now and then."""
        while True:
            self._wanted.clear()
            try:
                await self._sync(peer)
            except CallRefused as refused:
                self.facts.last_error = f"call_refused: {refused}"
                _log.warning("deltas_refused detail=%s", refused)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.ping_interval_s):
                    await self._wanted.wait()

    async def _sync(self, peer: RpcPeer) -> None:
        """Ask until there is nothing newer. The last question says what is running."""
        for _ in range(_ROUNDS_MAX):
            params = [{NAMESPACE: {"version": self._own()}}]
            received = read_deltas(await peer.call(GET_DELTA, params, timeout_s=_DELTA_TIMEOUT_S))
            if not received.deltas:
                return
            newest = received.deltas[-1].version
            outcome = await self._sink.take(received)
            if outcome.fault is not None:
                await peer.notify(NOTIFY_VALIDATION_ERROR, [_validation_error(newest, outcome.fault)])
                return
            self._version = newest
            await asyncio.sleep(_ROUND_PAUSE_S)

    def _own(self) -> Version:
        assert self._version is not None
        return self._version

    def _note_contact(self, _size: int) -> None:
        self.facts.last_contact = time.time()

    def _note_refused(self, code: str) -> None:
        self.facts.frames_refused_total += 1
        self.facts.last_error = code

    def _note_failure(self, error: LinkError) -> None:
        self.facts.failures_total += 1
        self.facts.last_error = f"{error.code}: {error}"
        _log.warning("link_failed code=%s peer=%s detail=%s", error.code, self._dialer.endpoint.authority, error)


def _dialect(hello: Hello) -> Dialect:
    """How a node of the announced version tells versions."""
    version = parse_version(hello.query.version)
    is_old = version is not None and (version.major, version.minor) < _SWITCHED
    return Dialect.NUMBERS if is_old else Dialect.TOKENS


def _validation_error(version: Version, fault: Fault) -> dict[str, Any]:
    error = {
        "name": FAULT_DELTAS,
        "source": fault.source,
        "code": fault.code,
        "message": fault.message,
        "flattened_errors": list(fault.flattened_errors),
    }
    return {"version": version, "error": error}
