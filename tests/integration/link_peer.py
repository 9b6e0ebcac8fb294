"""Scripted peers of the hybrid link, written from its description and sharing no code with the product.

`Node` speaks as a data plane does, over any connected stream; `ControlPlane` serves one as a control plane does, over
TLS. Every frame that comes is kept, so that tests assert on what was really on the wire.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import os
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ZERO_HASH = "0" * 32
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Frame:
    """One frame as it was on the wire."""

    opcode: int
    data: bytes
    fin: bool
    masked: bool


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises IncompleteReadError at the end."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    key = await reader.readexactly(4) if second & 0x80 else b""
    data = await reader.readexactly(length)
    if key:
        data = bytes(byte ^ key[position % 4] for position, byte in enumerate(data))
    return Frame(first & 0x0F, data, bool(first & 0x80), bool(key))


def frame_bytes(opcode: int, data: bytes, *, masked: bool, fin: bool = True) -> bytes:
    """A frame ready to be sent."""
    head = bytes([opcode | (0x80 if fin else 0)])
    bit = 0x80 if masked else 0
    if len(data) < 126:
        head += bytes([bit | len(data)])
    elif len(data) < 65_536:
        head += bytes([bit | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(data))
    # A key of zeros leaves the data as it is.
    return head + (b"\0\0\0\0" if masked else b"") + data


class Peer:
    """Either end, after the upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool) -> None:
        self.reader, self.writer, self.is_client = reader, writer, is_client

    async def send(self, opcode: int, data: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame."""
        self.writer.write(frame_bytes(opcode, data, masked=self.is_client, fin=fin))
        await self.writer.drain()

    async def receive(self, within: float = 5.0) -> Frame:
        """The next frame."""
        async with asyncio.timeout(within):
            return await read_frame(self.reader)

    async def receive_kind(self, opcode: int, within: float = 5.0) -> Frame:
        """The next frame of that kind; others are passed over."""
        async with asyncio.timeout(within):
            while (frame := await read_frame(self.reader)).opcode != opcode:
                pass
            return frame

    async def receive_nothing(self, seconds: float) -> None:
        """Assert that nothing comes."""
        try:
            frame = await self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected frame {frame}")

    async def ended(self, within: float = 5.0) -> bool:
        """Wait for the end of the connection; frames before it are passed over."""
        async with asyncio.timeout(within):
            try:
                while True:
                    await read_frame(self.reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return True

    def close(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()


class Node(Peer):
    """A data plane node."""

    async def hello(self, plugins: dict[str, str | None] | None = None, **fields: Any) -> None:
        """Send `basic_info`."""
        names = {"key-auth": "3.9.3", "rate-limiting": "3.9.3"} if plugins is None else plugins
        listed = [{"name": name} | ({"version": version} if version else {}) for name, version in names.items()]
        message = {"type": "basic_info", "plugins": listed, "filters": {}, "labels": {}, "process_conf": {}} | fields
        await self.send(BINARY, json.dumps(message).encode())

    async def ping(self, config_hash: str = ZERO_HASH) -> None:
        """Send a PING that carries the hash, and take the answer."""
        await self.send(PING, config_hash.encode())

    async def configuration(self, within: float = 5.0) -> dict[str, Any]:
        """The next `reconfigure` message."""
        frame = await self.receive_kind(BINARY, within)
        assert frame.fin
        assert not frame.masked
        message: dict[str, Any] = json.loads(gzip.decompress(frame.data))
        assert message["type"] == "reconfigure"
        return message


class Refused(Exception):
    """The upgrade was answered with something else than 101."""

    def __init__(self, status: int, head: str, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.head, self.body = status, head, body


async def connect_node(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    node_id: str,
    version: str = "3.9.3",
    hostname: str = "dp-1",
    path: str = "/v1/outlet",
    target: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[Node, dict[str, str]]:
    """Upgrade a connection as a node does. Raises Refused."""
    target = target or f"{path}?node_id={node_id}&node_hostname={hostname}&node_version={version}"
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {target} HTTP/1.1",
        "Upgrade: websocket",
        "Host: cp.example:443",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)).decode("latin-1")
    status = int(head.split(" ")[1])
    answered = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    if status != 101:
        length = int(answered.get("content-length", "0"))
        raise Refused(status, head, (await reader.readexactly(length)).decode())
    expected = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SALT).digest()).decode()
    assert answered["sec-websocket-accept"] == expected
    assert "sec-websocket-extensions" not in answered
    return Node(reader, writer, is_client=True), answered


@dataclass
class Arrival:
    """A node that came to a scripted control plane."""

    peer: Peer
    request: str
    headers: dict[str, str]
    certificate: bytes | None
    basic_info: dict[str, Any] = field(default_factory=dict)


class ControlPlane:
    """A control plane that does what its test tells it; one node at a time is taken with `arrival`."""

    def __init__(self, certificate: Path, key: Path, *, asks_certificate: bool = True, is_twin: bool = False) -> None:
        self.is_twin = is_twin
        self.unknown_paths: tuple[str, ...] = ()
        self.server_names: list[str | None] = []
        self.upgrades = 0
        self.port = 0
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.sni_callback = self._note_name
        if asks_certificate:
            self._context.verify_mode = ssl.CERT_OPTIONAL
            self._context.load_verify_locations(certificate)

    def trust(self, pem: str) -> None:
        """Take node certificates of this authority, or this very one."""
        self._context.load_verify_locations(cadata=pem)
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening; connections go on."""
        if self._server is not None:
            self._server.close()

    async def arrival(self, within: float = 5.0) -> Arrival:
        """The next node, after its first frame."""
        return await asyncio.wait_for(self._arrivals.get(), within)

    def _note_name(self, _socket: Any, name: str | None, _context: Any) -> None:
        self.server_names.append(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if lines[0].split(" ")[1].partition("?")[0] in self.unknown_paths:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + _ACCEPT_SALT).digest()).decode()
        answer = ["HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"]
        answer.append(f"Sec-WebSocket-Accept: {accept}")
        if self.is_twin:
            answer.append("Twinplane-Link: 1")
        if "sec-websocket-protocol" in headers:
            answer.append("Sec-WebSocket-Protocol: kong.meta.v1")
        writer.write("\r\n".join([*answer, "", ""]).encode())
        self.upgrades += 1
        peer = Peer(reader, writer, is_client=False)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        arrival = Arrival(peer, lines[0], headers, certificate)
        if "/outlet" in lines[0]:
            first = await peer.receive()
            assert (first.opcode, first.fin, first.masked) == (BINARY, True, True)
            arrival.basic_info = json.loads(first.data)
        await self._arrivals.put(arrival)


def reconfigure(table: dict[str, Any], config_hash: str, **fields: Any) -> bytes:
    """A configuration frame as a control plane sends it."""
    message = {"type": "reconfigure", "timestamp": 1.0, "config_hash": config_hash, "config_table": table} | fields
    return gzip.compress(json.dumps(message).encode())


def recorded(path: Path) -> list[dict[str, Any]]:
    """The lines of a recorded session."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def eventually(test: Callable[[], Any], within: float = 5.0) -> Any:
    """Wait until `test` gives something true, and give it on."""
    async with asyncio.timeout(within):
        while not (found := test()):  # noqa: ASYNC110 - what is waited for is not of this loop
            await asyncio.sleep(0.01)
        return found


def snappy_block(text: bytes) -> bytes:
    """A raw snappy block that holds the text as it is: literals alone."""
    length, head = len(text), b""
    while length > 0x7F:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    block = head + bytes([length])
    for start in range(0, len(text), 65_536):
        literal = text[start : start + 65_536]
        size = len(literal) - 1
        block += (bytes([size << 2]) if size < 60 else bytes([61 << 2]) + struct.pack("<H", size)) + literal
    return block


def snappy_text(block: bytes) -> bytes:
    """What a raw snappy block holds."""
    position, promised, shift = 0, 0, 0
    while True:
        byte = block[position]
        position += 1
        promised |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    text = bytearray()
    while position < len(block):
        tag = block[position]
        position += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                more = length - 60
                length = int.from_bytes(block[position : position + more], "little") + 1
                position += more
            text += block[position : position + length]
            position += length
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[position]
            position += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(block[position : position + width], "little")
            position += width
        for _ in range(length):
            text.append(text[-offset])
    assert len(text) == promised
    return bytes(text)


class RpcEnd:
    """Either end of a link of version 2, after the upgrade."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._next_id = 0

    async def send(self, message: Any) -> None:
        """Send a message in a snappy block."""
        await self.peer.send(BINARY, snappy_block(json.dumps(message).encode()))

    async def receive(self, within: float = 5.0) -> Any:
        """The next message; pings and pongs are passed over."""
        frame = await self.peer.receive_kind(BINARY, within)
        return json.loads(snappy_text(frame.data))

    async def call(self, method: str, params: Any) -> Any:
        """Call, and take the next message as the answer."""
        call_id, self._next_id = self._next_id, self._next_id + 1
        await self.send({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})
        answer = await self.receive()
        assert answer["id"] == call_id, answer
        return answer

    async def get_delta(self, version: Any) -> dict[str, Any]:
        """Ask for what is newer."""
        answer = await self.call("kong.sync.v2.get_delta", [{"default": {"version": version}}])
        found: dict[str, Any] = answer["result"]["default"]
        return found


def rpc_hello(node_id: str, version: str = "3.9.3", **fields: Any) -> dict[str, Any]:
    """The first message of a node."""
    said = {
        "rpc_capabilities": ["kong.sync.v2"],
        "rpc_frame_encodings": ["x-snappy-framed"],
        "kong_version": version,
        "kong_hostname": "dp-1",
        "kong_node_id": node_id,
        "kong_conf": {"cluster_dp_labels": ["env:prod"]},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": "kong.meta.v1.hello", "params": [said | fields]}


async def say_hello(peer: Peer, hello: dict[str, Any]) -> tuple[RpcEnd, dict[str, Any]]:
    """Greet a control plane: plain JSON both ways. The end, and the answer's result."""
    await peer.send(BINARY, json.dumps(hello).encode())
    answer = json.loads((await peer.receive_kind(BINARY)).data)
    assert answer["id"] == 1
    result: dict[str, Any] = answer["result"]
    return RpcEnd(peer), result
