"""A client that speaks just enough HTTP/2 to send header lists as they are, wrong ones too, and to read one answer."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Sequence

from tests.conformance.proxy.raw_client import Answer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_ANSWER_S = 5.0
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_PADDED, _PRIORITY = 8, 32
_HEADER_TABLE_SIZE = 1

# RFC 7541, appendix A.
_STATIC = (
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
)  # fmt: skip
# RFC 7541, appendix B: lengths of the canonical code, "A" for 5 bits.
_CODE_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBA"
    "BCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWP"
    "TPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV"
)


def exchange_h2(headers: Sequence[Sequence[str]], body: str | None, port: int, context: ssl.SSLContext) -> Answer:
    """Send one request on a new connection and read what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as plain:
        named = {pair[0]: pair[1] for pair in headers}
        host = named.get(":authority", "localhost").split(":")[0]
        with context.wrap_socket(plain, server_hostname=host) as sock:
            ends = 0 if body else _END_STREAM
            sock.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, struct.pack("!HI", _HEADER_TABLE_SIZE, 0)))
            sock.sendall(_frame(_HEADERS, _END_HEADERS | ends, 1, b"".join(_literal(n, v) for n, v in headers)))
            if body:
                sock.sendall(_frame(_DATA, _END_STREAM, 1, body.encode("latin-1")))
            return _read(sock)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def _literal(name: str, value: str) -> bytes:
    def text(content: str) -> bytes:
        data = content.encode("latin-1")
        return bytes((len(data),)) + data if len(data) < 127 else bytes((127, len(data) - 127)) + data

    return b"\0" + text(name) + text(value)


def _read(sock: ssl.SSLSocket) -> Answer:
    answer = Answer(framing="none")
    block = b""
    try:
        for kind, flags, stream, payload in _frames(sock):
            if kind == _SETTINGS and not flags & _ACK:
                sock.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                sock.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind == _GOAWAY or (kind == _RST_STREAM and stream == 1):
                if answer.status is None:
                    answer.is_closed_without_response = True
                return answer
            elif stream == 1 and kind in {_HEADERS, _CONTINUATION}:
                block += _without_padding(flags, payload) if kind == _HEADERS else payload
                if flags & _END_HEADERS:
                    _take_headers(answer, block)
                    block = b""
                if kind == _HEADERS and flags & _END_STREAM:
                    return answer
            elif stream == 1 and kind == _DATA:
                answer.body += _without_padding(flags & ~_PRIORITY, payload)
                if flags & _END_STREAM:
                    return answer
    except TimeoutError:
        answer.is_timeout = True
    answer.is_closed_without_response = answer.status is None and not answer.is_timeout
    return answer


def _frames(sock: ssl.SSLSocket) -> Iterator[tuple[int, int, int, bytes]]:
    buffer = b""
    while True:
        while len(buffer) < 9 or len(buffer) < 9 + int.from_bytes(buffer[:3]):
            data = sock.recv(65536)
            if not data:
                return
            buffer += data
        length = int.from_bytes(buffer[:3])
        stream = int.from_bytes(buffer[5:9]) & 0x7FFFFFFF
        yield buffer[3], buffer[4], stream, buffer[9 : 9 + length]
        buffer = buffer[9 + length :]


def _without_padding(flags: int, payload: bytes) -> bytes:
    padding = 0
    if flags & _PADDED:
        padding, payload = payload[0], payload[1:]
    if flags & _PRIORITY:
        payload = payload[5:]
    return payload[: len(payload) - padding]


def _take_headers(answer: Answer, block: bytes) -> None:
    fields = list(fields_of(block))
    if answer.status is None:
        answer.headers = fields
        answer.status = next((int(value) for name, value in fields if name == ":status"), None)
    else:
        answer.trailers = fields


def fields_of(block: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a block that was written without a dynamic table."""
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            index, at = _integer(block, at, 7)
            yield _STATIC[index - 1]
        elif first & 0xE0 == 0x20:
            _, at = _integer(block, at, 5)
        else:
            index, at = _integer(block, at, 6 if first & 0x40 else 4)
            if index:
                name = _STATIC[index - 1][0]
            else:
                name, at = _text(block, at)
            value, at = _text(block, at)
            yield name, value


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def _text(block: bytes, at: int) -> tuple[str, int]:
    is_coded = bool(block[at] & 0x80)
    length, at = _integer(block, at, 7)
    data = block[at : at + length]
    return (_decoded(data) if is_coded else data).decode("latin-1"), at + length


def _codes() -> dict[tuple[int, int], int]:
    codes = {}
    code = before = 0
    for length, symbol in sorted((ord(letter) - ord("A") + 5, symbol) for symbol, letter in enumerate(_CODE_LENGTHS)):
        code <<= length - before
        before = length
        codes[length, code] = symbol
        code += 1
    return codes


_CODES = _codes()


def _decoded(data: bytes) -> bytes:
    out = bytearray()
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code = code << 1 | byte >> shift & 1
            length += 1
            symbol = _CODES.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    return bytes(out)
