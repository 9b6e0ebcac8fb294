"""WebSocket frames over a stream, for both ends of the link: no fragments, no compression, pings answered by the owner.

A node's PING carries its configuration hash, so pings and pongs are handed up as they come and nothing is sent that
nobody asked for: peers of this protocol end the connection at an answer that they do not expect.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from twinplane.hybrid.errors import FrameBroken, PeerGone, PeerSilent, UpgradeRefused

_READ_BYTES: Final = 65_536
SEND_TIMEOUT_S: Final = 60.0
"""How long a peer is waited for to take what it is sent."""
TEXT, BINARY, PING, PONG, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE


@dataclass(frozen=True, slots=True)
class Message:
    """One received frame, whole."""

    opcode: Opcode
    data: bytes


class _Fragmented(ProtocolError):
    """A message in more than one frame."""


class _QuietPings:
    """Mixed into a protocol: no answer to pings by itself, and a fragment ends the connection."""

    events: list[Request | Response | Frame]

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.events.append(frame)
            return
        if not frame.fin or frame.opcode is Opcode.CONT:
            raise _Fragmented("fragmented message")
        super().recv_frame(frame)  # type: ignore[misc]


class _LinkServerProtocol(_QuietPings, ServerProtocol):
    pass


class _LinkClientProtocol(_QuietPings, ClientProtocol):
    pass


class FrameStream:
    """An open link: frames in by `receive`, out by the `send_` calls. Not safe for several readers at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: Protocol) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._received: deque[Message] = deque()
        self._take_events()

    async def receive(self, timeout_s: float) -> Message:
        """The next frame. Raises PeerGone at the end or at a broken frame, PeerSilent after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._received:
                    await self._read()
        except TimeoutError:
            raise PeerSilent(f"no frame for {timeout_s:g} s") from None
        message = self._received.popleft()
        if message.opcode is Opcode.CLOSE:
            await self._flush()
            raise PeerGone("closed by the peer")
        return message

    async def send_binary(self, data: bytes) -> None:
        """Send one binary message, whole, and wait until the peer takes it in."""
        self._check_open()
        self._protocol.send_binary(data)
        await self._flush()

    async def send_ready(self, frame: bytes) -> None:
        """Send a frame that `server_frame` made: shared by many peers, so it is not copied for each."""
        self._check_open()
        self._writer.write(frame)
        await self._drain()

    async def send_ping(self, data: bytes) -> None:
        """Send a PING with a payload."""
        self._check_open()
        self._protocol.send_ping(data)
        await self._flush()

    async def send_pong(self) -> None:
        """Send an empty PONG: on this link it does not echo the ping's payload."""
        self._check_open()
        self._protocol.send_pong(b"")
        await self._flush()

    async def close(self, *, with_code: bool = False) -> None:
        """Say goodbye and close the connection. Without a code the close frame is empty, as Kong sends it."""
        try:
            if self._protocol.state is State.OPEN:
                if with_code:
                    self._protocol.send_close(1000)
                else:
                    self._protocol.send_close()
                await self._flush()
        except (PeerGone, OSError):
            pass
        self._writer.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    def _check_open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise PeerGone("the connection is closed")

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise PeerGone(str(error)) from error
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._take_events()
        if not self._received and (not data or self._protocol.parser_exc is not None):
            await self._end()

    async def _end(self) -> None:
        cause = self._protocol.parser_exc
        # A close frame that says why may be waiting; the peer may be gone already.
        with contextlib.suppress(PeerGone):
            await self._flush()
        if cause is None or isinstance(cause, EOFError):
            raise PeerGone("connection ended")
        code = "frame_too_large" if isinstance(cause, PayloadTooBig) else "frame_broken"
        raise FrameBroken(str(cause), "frame_fragmented" if isinstance(cause, _Fragmented) else code)

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._received.append(Message(event.opcode, bytes(event.data)))

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                with contextlib.suppress(OSError):
                    self._writer.write_eof()
        await self._drain()

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise PeerGone(str(error)) from error


async def taken(sending: Awaitable[None], timeout_s: float) -> None:
    """Send within a limit. Raises PeerSilent where the peer does not take it; nothing more can be sent to it then."""
    try:
        async with asyncio.timeout(timeout_s):
            await sending
    except TimeoutError:
        raise PeerSilent(f"what was sent was not taken within {timeout_s:g} s") from None


def server_frame(data: bytes) -> bytes:
    """A binary frame as a server sends it, ready for `FrameStream.send_ready`."""
    return Frame(Opcode.BINARY, data).serialize(mask=False)


class Upgrade:
    """A received upgrade request that awaits its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, bytes_max: int) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = _LinkServerProtocol(max_size=bytes_max)

    async def read(self, timeout_s: float) -> Request | None:
        """The request, None where none came in time or it is no HTTP."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for event in self._protocol.events_received():
                        if isinstance(event, Request):
                            return event
                    data = await self._reader.read(_READ_BYTES)
                    if not data or self._protocol.handshake_exc is not None:
                        return None
                    self._protocol.receive_data(data)
        except (TimeoutError, OSError):
            return None

    async def accept(self, request: Request, headers: dict[str, str]) -> FrameStream | None:
        """Switch protocols. None where the request is no proper upgrade, which has been answered."""
        response = self._protocol.accept(request)
        for name, value in headers.items():
            response.headers[name] = value
        await self._send(response)
        if response.status_code != 101:
            self._writer.close()
            return None
        return FrameStream(self._reader, self._writer, self._protocol)

    async def refuse(self, status: int, body: str, content_type: str) -> None:
        """Answer with an error and close."""
        response = self._protocol.reject(status, body)
        response.headers.pop("Content-Type", None)
        response.headers["Content-Type"] = content_type
        await self._send(response)
        self._writer.close()

    async def _send(self, response: Response) -> None:
        if response.status_code == 101:
            self._protocol.send_response(response)
            for data in self._protocol.data_to_send():
                if data:
                    self._writer.write(data)
        else:
            # Past the protocol: bytes behind the request that are no frames have ended it before the answer.
            self._writer.write(response.serialize())
        try:
            await self._writer.drain()
        except OSError:
            self._writer.close()


async def open_link(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    host: str,
    target: str,
    headers: dict[str, str],
    bytes_max: int,
    timeout_s: float,
    subprotocol: str | None = None,
) -> tuple[FrameStream, Response]:
    """Upgrade an open connection; `host` goes into `Host`. Raises UpgradeRefused, PeerGone, PeerSilent."""
    path, _, query = target.partition("?")
    uri = WebSocketURI(False, "link", 80, path, query)
    offered = None if subprotocol is None else [Subprotocol(subprotocol)]
    protocol = _LinkClientProtocol(uri, subprotocols=offered, max_size=bytes_max)
    request = protocol.connect()
    request.headers.pop("Host", None)
    request.headers["Host"] = host
    for name, value in headers.items():
        request.headers[name] = value
    protocol.send_request(request)
    for data in protocol.data_to_send():
        writer.write(data)
    try:
        async with asyncio.timeout(timeout_s):
            await writer.drain()
            response = await _read_response(reader, protocol)
    except TimeoutError:
        raise PeerSilent("no answer to the upgrade") from None
    except OSError as error:
        raise PeerGone(str(error)) from error
    if protocol.handshake_exc is not None:
        if response.status_code != 101:
            body = bytes(response.body or b"")[:500].decode("utf-8", "replace")
            raise UpgradeRefused(response.status_code, " ".join(body.split()))
        raise PeerGone(str(protocol.handshake_exc))
    if subprotocol is not None and protocol.subprotocol != subprotocol:
        raise UpgradeRefused(response.status_code, f"the subprotocol {subprotocol} was not taken up")
    return FrameStream(reader, writer, protocol), response


async def _read_response(reader: asyncio.StreamReader, protocol: ClientProtocol) -> Response:
    while True:
        # The first frames may come with the answer: they stay with the protocol until the stream takes them.
        for position, event in enumerate(protocol.events):
            if isinstance(event, Response):
                del protocol.events[position]
                return event
        if protocol.handshake_exc is not None and not isinstance(protocol.handshake_exc, InvalidHandshake):
            raise PeerGone(str(protocol.handshake_exc))
        data = await reader.read(_READ_BYTES)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
            if not any(isinstance(event, Response) for event in protocol.events):
                raise PeerGone("connection ended before the upgrade was answered")
