"""A client that sends bytes as they are and tells what came back, byte for byte: header case, order and repeats."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ANSWER_S = 5.0
# How long a connection must stay silent to count as open.
_SILENCE_S = 0.15


@dataclass
class Answer:
    """One response, or what came instead of one."""

    status_line: str = ""
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[str] = field(default_factory=list)
    body: bytes = b""
    framing: str | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    is_cut: bool = False
    is_closed_without_response: bool = False
    is_timeout: bool = False
    raw: bytes | None = None
    connection_after: str | None = None
    more: list[Answer] = field(default_factory=list)


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.is_ended = False

    def more(self, timeout: float) -> bool:
        """Read on; says whether anything came. Raises TimeoutError."""
        if self.is_ended:
            return False
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            data = b""
        self.buffer += data
        self.is_ended = not data
        return bool(data)

    def until(self, end: bytes, timeout: float) -> bytes | None:
        while end not in self.buffer:
            if not self.more(timeout):
                return None
        found, _, self.buffer = self.buffer.partition(end)
        return found


def exchange(request: Mapping[str, Any], port: int, *, context: ssl.SSLContext | None) -> Answer:
    """Send one step's request on a new connection and read what comes back."""
    source = (request["source"], 0) if "source" in request else None
    sock: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S, source_address=source)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname=_server_name(request))
    with sock:
        connection = _Connection(sock)
        text = _text(request)
        answer = _converse(connection, request, is_head=text.startswith("HEAD "))
        if request.get("until_close"):
            _read_on(connection, answer)
        if request.get("check_close"):
            answer.connection_after = "closed" if _is_closed(connection) else "open"
        return answer


def _server_name(request: Mapping[str, Any]) -> str:
    for line in _text(request).split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "host" and value.strip():
            return value.strip().split(":")[0]
    return "localhost"


def _text(request: Mapping[str, Any]) -> str:
    if "text" in request:
        return str(request["text"])
    return "".join(part.get("send", "") for part in request["parts"])


def _converse(connection: _Connection, request: Mapping[str, Any], *, is_head: bool) -> Answer:
    parts: Sequence[Mapping[str, Any]] = request.get("parts") or [{"send": request["text"]}]
    answers: list[Answer] = []
    raw: bytes | None = None
    for part in parts:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if "send" in part:
                connection.sock.settimeout(_ANSWER_S)
                connection.sock.sendall(part["send"].encode("latin-1"))
            elif "repeat" in part:
                text, times = part["repeat"]
                connection.sock.settimeout(_ANSWER_S)
                connection.sock.sendall(text.encode("latin-1") * times)
            elif "sleep" in part:
                time.sleep(part["sleep"])
            elif "read_response" in part:
                answers.append(_read_answer(connection, is_head=is_head))
            elif "read_bytes" in part:
                raw = (raw or b"") + _read_bytes(connection, part["read_bytes"])
    if raw is not None and not answers:
        return Answer(raw=raw)
    if not answers or (raw is None and len(answers) < 1):
        answers.append(_read_answer(connection, is_head=is_head))
    first, *rest = answers
    first.more = rest
    first.raw = raw
    return first


def _read_bytes(connection: _Connection, count: int) -> bytes:
    with contextlib.suppress(TimeoutError):
        while len(connection.buffer) < count and connection.more(_SILENCE_S):
            pass
    found, connection.buffer = connection.buffer[:count], connection.buffer[count:]
    return found


def _read_answer(connection: _Connection, *, is_head: bool, timeout: float = _ANSWER_S) -> Answer:
    answer = Answer()
    try:
        while True:
            head = connection.until(b"\r\n\r\n", timeout)
            if head is None:
                answer.is_closed_without_response = not connection.buffer
                answer.raw = connection.buffer or None
                return answer
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if 100 <= status < 200 and status != 101:
                answer.interim.append(lines[0])
                continue
            break
    except TimeoutError:
        answer.is_timeout = True
        return answer
    answer.status_line, answer.status = lines[0], status
    answer.headers = [(name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines[1:])]
    _read_body(connection, answer, is_head=is_head)
    return answer


def _read_body(connection: _Connection, answer: Answer, *, is_head: bool) -> None:
    named = {name.lower(): value for name, value in answer.headers}
    if is_head or answer.status in {101, 204, 304}:
        answer.framing = "none"
    elif named.get("transfer-encoding", "").lower() == "chunked":
        answer.framing = "chunked"
        _read_chunks(connection, answer)
    elif "content-length" in named:
        answer.framing = "length"
        length = int(named["content-length"])
        while len(connection.buffer) < length and connection.more(_ANSWER_S):
            pass
        answer.body, connection.buffer = connection.buffer[:length], connection.buffer[length:]
        answer.is_cut = len(answer.body) < length
    else:
        answer.framing = "close"
        while connection.more(_ANSWER_S):
            pass
        answer.body, connection.buffer = connection.buffer, b""


def _read_chunks(connection: _Connection, answer: Answer) -> None:
    while True:
        line = connection.until(b"\r\n", _ANSWER_S)
        if line is None:
            answer.is_cut = True
            return
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        while len(connection.buffer) < size + 2 and connection.more(_ANSWER_S):
            pass
        answer.body += connection.buffer[:size]
        if len(connection.buffer) < size + 2:
            answer.body = answer.body[:]
            connection.buffer = b""
            answer.is_cut = True
            return
        connection.buffer = connection.buffer[size + 2 :]
    while line := connection.until(b"\r\n", _ANSWER_S):
        name, _, value = line.decode("latin-1").partition(":")
        answer.trailers.append((name, value.strip()))


def _read_on(connection: _Connection, first: Answer) -> None:
    while not (first.is_timeout or first.is_closed_without_response):
        following = _read_answer(connection, is_head=False, timeout=_SILENCE_S)
        if following.is_closed_without_response:
            return
        first.more.append(following)
        if following.is_timeout:
            return


def _is_closed(connection: _Connection) -> bool:
    try:
        return not connection.more(_SILENCE_S)
    except TimeoutError:
        return False
