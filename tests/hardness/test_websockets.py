"""WebSocket as the bare upstream has it: bytes pass as they came, both ways, well-formed or not, to the very close."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from random import Random

import pytest
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


def masked(opcode: int, payload: bytes, *, is_final: bool = True, reserved: int = 0, is_masked: bool = True) -> bytes:
    """A frame of a client."""
    first = bytes([(0x80 if is_final else 0) | reserved << 4 | opcode])
    mark = 0x80 if is_masked else 0
    if len(payload) < 126:
        length = bytes([mark | len(payload)])
    elif len(payload) < 65_536:
        length = bytes([mark | 126]) + len(payload).to_bytes(2)
    else:
        length = bytes([mark | 127]) + len(payload).to_bytes(8)
    if not is_masked:
        return first + length + payload
    mask = b"\x01\x02\x03\x04"
    return first + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


CONVERSATIONS: dict[str, bytes] = {
    "text": masked(1, b"hello"),
    "empty text": masked(1, b""),
    "binary of every byte": masked(2, bytes(range(256))),
    "fragments": masked(1, b"he", is_final=False) + masked(0, b"l", is_final=False) + masked(0, b"lo"),
    "a ping between fragments": masked(1, b"he", is_final=False) + masked(9, b"p") + masked(0, b"llo"),
    "ping and pong": masked(9, b"x" * 125) + masked(10, b"y"),
    "a ping that is too long": masked(9, b"x" * 126),
    "a fragmented ping": masked(9, b"x", is_final=False),
    "no UTF-8": masked(1, b"\xce\xba\xe1\xbd\xb9\xff\xfe"),
    "half a character": masked(1, b"\xce", is_final=False) + masked(0, b"\xba"),
    "reserved bits": b"".join(masked(1, b"x", reserved=bits) for bits in range(8)),
    "reserved opcodes": b"".join(masked(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    "no mask": masked(1, b"x", is_masked=False),
    "compressed": masked(1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", reserved=4),
    "continuation of nothing": masked(0, b"x"),
    "close": masked(8, b"\x03\xe8bye"),
    "close of one byte": masked(8, b"\x03"),
    "close with a bad code": masked(8, b"\xff\xff"),
    "data after close": masked(8, b"\x03\xe8") + masked(1, b"late"),
    "a length that is a lie": b"\x82\xff" + b"\xff" * 8 + b"abcd",
    "65535 and 65536 bytes": masked(2, b"a" * 65_535) + masked(2, b"b" * 65_536),
    "a million bytes": masked(2, b"c" * 1_000_000),
    "no frames at all": b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


def echo(connection: socket.socket, rest: bytes) -> None:
    """Agree, then send everything back until the other side is done."""
    connection.sendall(SWITCH + rest)
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_what_is_sent_comes_back_byte_for_byte(
    gateway: Gateway, upstream: RecordingUpstream, name: str, cut: int
) -> None:
    data = CONVERSATIONS[name]
    if cut and len(data) > 2_000:
        pytest.skip("cut into pieces where it is short")
    gateway.forget()
    upstream.reply(echo)
    with gateway.connect() as wire:
        wire.send(UPGRADE)
        answer = wire.read()
        assert answer.status == 101
        assert answer.values("sec-websocket-accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
        assert answer.values("sec-websocket-extensions") == ["permessage-deflate"]
        step = cut or len(data)
        back = b""
        for at in range(0, len(data), step):
            wire.send(data[at : at + step])
        while len(back) < len(data):
            piece = wire.sock.recv(262_144)
            assert piece, "closed too early"
            back += piece
        assert wire.buffer + back == data
        wire.finish()
        assert wire.sock.recv(10) == b""
    (forwarded,) = gateway.settled()
    assert forwarded.values("connection") == ["keep-alive, Upgrade"]
    assert forwarded.values("sec-websocket-protocol") == ["chat, superchat"]
    # One request, whatever was said in it; its sizes are those of the whole conversation.
    entries = gateway.log_entries(2)
    (tunnel,) = [entry for entry in entries if entry["response"]["status"] == 101]
    assert tunnel["request"]["size"] >= len(UPGRADE) + len(data)
    assert tunnel["response"]["size"] >= len(data)


def test_what_the_upstream_says_first_comes_first(gateway: Gateway, upstream: RecordingUpstream) -> None:
    hello = b"\x81\x05hello" + b"\x82\x7e\xff\xff" + b"z" * 65_535

    def speak(connection: socket.socket, _: bytes) -> None:
        connection.sendall(SWITCH + hello)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    upstream.reply(speak)
    with gateway.connect() as wire:
        wire.send(UPGRADE)
        assert wire.read().status == 101
        assert wire.rest() == hello


def test_both_sides_may_speak_at_once(gateway: Gateway, upstream: RecordingUpstream) -> None:
    upstream.reply(echo)
    data = Random(1).randbytes(3_000_000)
    with gateway.connect() as wire:
        wire.send(UPGRADE)
        assert wire.read().status == 101
        back = bytearray()
        for at in range(0, len(data), 50_000):
            wire.send(data[at : at + 50_000])
            wire.sock.settimeout(20)
            back += wire.sock.recv(262_144)
        while len(back) < len(data):
            back += wire.sock.recv(262_144)
        assert bytes(back) == data


def test_an_upstream_that_resets_ends_the_tunnel(gateway: Gateway, upstream: RecordingUpstream) -> None:
    def leave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(SWITCH)
        connection.recv(10)

    upstream.reply(leave)
    with gateway.connect() as wire:
        wire.send(UPGRADE)
        assert wire.read().status == 101
        wire.send(b"x" * 10)
        assert wire.is_closed()
    assert gateway.counts()["requests_active"] == 0


def test_a_silent_tunnel_is_closed(upstream: RecordingUpstream) -> None:
    config = {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "read_timeout": 300,
                "routes": [{"name": "all", "paths": ["/"], "strip_path": False}],
            }
        ]
    }
    with serving(upstream, config) as gateway, gateway.connect() as wire:
        upstream.reply(echo)
        wire.send(UPGRADE)
        assert wire.read().status == 101
        assert wire.is_closed()
        assert gateway.counts()["requests_active"] == 0
