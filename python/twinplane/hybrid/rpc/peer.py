"""Either end of an open link of version 2: calls out, calls in, pings when it is quiet. What is called is its owner's.

Calls that come in are served one after another: a peer that asks faster than it is answered waits in its own socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson

from twinplane.hybrid.errors import FrameInvalid, LinkError, PayloadTooLarge, PeerGone, PeerSilent
from twinplane.hybrid.frames import BINARY, PING, PONG, SEND_TIMEOUT_S, FrameStream, taken
from twinplane.hybrid.rpc.framing import pack, unpack
from twinplane.hybrid.rpc.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    SERVER_ERROR,
    Answer,
    Call,
    CallId,
    CallRefused,
    Malformed,
    Message,
    Part,
    call_message,
    error_message,
    read,
    result_message,
)
from twinplane.hybrid.wire import IO_TIMEOUT_S, PING_INTERVAL_S, SILENCE_S

Handler = Callable[[Sequence[Any]], Awaitable[Any]]
"""Serves a call. Raises CallRefused, or FrameInvalid for parameters that make no sense."""

ANSWER_TOO_LARGE: Final = "answer_too_large"
"""What is told where an answer of ours does not fit into a frame."""

# Above this many bytes a message is packed and unpacked in a thread.
_LARGE: Final = 262_144
_CALLS_MAX: Final = 64
_log = logging.getLogger(__name__)
_R = TypeVar("_R")


class RpcPeer:
    """An open link after its hello. `run` serves it; calls go out meanwhile."""

    def __init__(
        self,
        stream: FrameStream,
        handlers: Mapping[str, Handler],
        *,
        bytes_max: int,
        text_max: int,
        on_frame: Callable[[int], None] = lambda _size: None,
        on_refused: Callable[[str], None] = lambda _code: None,
        ping_interval_s: float = PING_INTERVAL_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        """`bytes_max` bounds a frame, `text_max` what a received one becomes.

        `on_frame` is told of each frame before it is read and may raise; `on_refused` of each refused message.
        """
        self._stream = stream
        self._handlers = handlers
        self._bytes_max = bytes_max
        self._text_max = text_max
        self._on_frame = on_frame
        self._on_refused = on_refused
        self._ping_interval_s = ping_interval_s
        self._silence_s = silence_s
        self._next_id = 0
        self._waiting: dict[CallId, asyncio.Future[Any]] = {}
        self._last_heard = time.monotonic()

    async def run(self) -> None:
        """Serve the link until it ends. Raises LinkError."""
        pinging = asyncio.create_task(self._ping_when_quiet())
        try:
            while True:
                message = await self._stream.receive(self._silence_s)
                self._last_heard = time.monotonic()
                self._on_frame(len(message.data))
                if message.opcode is PING:
                    await taken(self._stream.send_pong(), SEND_TIMEOUT_S)
                elif message.opcode is BINARY:
                    await self._take(message.data)
                elif message.opcode is not PONG:
                    raise FrameInvalid(f"unexpected {message.opcode.name.lower()} frame", "frame_unexpected")
        finally:
            pinging.cancel()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(PeerGone("the link ended before an answer came"))
            with contextlib.suppress(asyncio.CancelledError, LinkError):
                await pinging

    async def call(self, method: str, params: Sequence[Any], *, timeout_s: float = IO_TIMEOUT_S) -> Any:
        """Ask the peer, and wait for the answer. Raises CallRefused or a LinkError."""
        if len(self._waiting) >= _CALLS_MAX:
            raise PeerSilent(f"{len(self._waiting)} calls wait for an answer")
        call_id = self._next_id
        self._next_id += 1
        answered = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        try:
            await self._send(call_message(method, params, call_id))
            async with asyncio.timeout(timeout_s):
                return await answered
        except TimeoutError:
            raise PeerSilent(f"{method} was not answered within {timeout_s:g} s") from None
        finally:
            del self._waiting[call_id]

    async def notify(self, method: str, params: Sequence[Any]) -> None:
        """Tell the peer something that is not answered."""
        await self._send(call_message(method, params))

    async def _send(self, message: Message | list[Message]) -> None:
        text = orjson.dumps(message)
        block = await _maybe_in_thread(pack, text)
        if len(block) > self._bytes_max:
            raise PayloadTooLarge(len(block), self._bytes_max)
        await taken(self._stream.send_binary(block), SEND_TIMEOUT_S)

    async def _take(self, block: bytes) -> None:
        if len(block) > self._bytes_max:
            raise PayloadTooLarge(len(block), self._bytes_max)
        text = await _maybe_in_thread(lambda data: unpack(data, bytes_max=self._text_max), block)
        try:
            parcel = await _maybe_in_thread(read, text)
        except FrameInvalid as error:
            self._on_refused(error.code)
            await self._send(error_message(None, CallRefused(PARSE_ERROR)))
            return
        answers = [answer for part in parcel.parts if (answer := await self._serve(part)) is not None]
        if not answers:
            return
        try:
            await self._send(answers if parcel.is_batch else answers[0])
        except PayloadTooLarge as error:
            self._on_refused(ANSWER_TOO_LARGE)
            told = CallRefused(SERVER_ERROR, f"{error.code}: {error}")
            await self._send(error_message(None if parcel.is_batch else answers[0].get("id"), told))

    async def _serve(self, part: Part) -> Message | None:
        if isinstance(part, Answer):
            self._settle(part)
            return None
        if isinstance(part, Malformed):
            self._on_refused("request_invalid")
            return error_message(part.id, CallRefused(INVALID_REQUEST))
        try:
            result = await self._result(part)
        except CallRefused as refused:
            self._on_refused("call_refused")
            return None if part.id is None else error_message(part.id, refused)
        return None if part.id is None else result_message(part.id, result)

    async def _result(self, call: Call) -> Any:
        handler = self._handlers.get(call.method)
        if handler is None:
            raise CallRefused(METHOD_NOT_FOUND)
        try:
            return await handler(call.params)
        except FrameInvalid as error:
            raise CallRefused(INVALID_PARAMS, f"Invalid params: {error}") from error
        except PayloadTooLarge as error:
            raise CallRefused(SERVER_ERROR, f"{error.code}: {error}") from error
        except (CallRefused, LinkError):
            raise
        except Exception as error:
            _log.exception("call_broken method=%s", call.method)
            raise CallRefused(INTERNAL_ERROR) from error

    def _settle(self, answer: Answer) -> None:
        waiting = None if answer.id is None else self._waiting.get(answer.id)
        if waiting is None or waiting.done():
            self._on_refused("answer_unasked")
        elif answer.error is not None:
            waiting.set_exception(CallRefused(SERVER_ERROR, answer.error))
        else:
            waiting.set_result(answer.result)

    async def _ping_when_quiet(self) -> None:
        while True:
            quiet_s = time.monotonic() - self._last_heard
            if quiet_s >= self._ping_interval_s:
                await self._stream.send_ping(b"")
                quiet_s = 0.0
            await asyncio.sleep(self._ping_interval_s - quiet_s)


async def _maybe_in_thread(work: Callable[[bytes], _R], data: bytes) -> _R:
    return work(data) if len(data) < _LARGE else await asyncio.to_thread(work, data)
