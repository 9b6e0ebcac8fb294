"""What a Redis says to a node that counts, in a thread of the test: it can fall silent, forget, refuse or go away.

It stands in where no `redis-server` is installed, and for what a real one cannot be brought to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator

from tests.integration.ports import LEASE

_PATIENCE_S = 60.0


class RespServer:
    """One server; what it counted stays when it goes away."""

    def __init__(self) -> None:
        self.port = LEASE.take(1)[0]
        # By the first word of a command, what is said to it instead of an answer.
        self.instead: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.commands: list[list[str]] = []
        self.connections_total = 0
        self._scripts: set[str] = set()
        self._speaking = threading.Event()
        self._speaking.set()
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def start(self) -> None:
        """Listen."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self) -> None:
        """Go away: nobody listens, every connection ends."""
        self._speaking.set()
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def hush(self) -> None:
        """Take commands and say nothing to them."""
        self._speaking.clear()

    def speak(self) -> None:
        """Answer what waits, and what comes."""
        self._speaking.set()

    def forget(self) -> None:
        """Know no script any more."""
        self._scripts.clear()

    def asked(self, word: str) -> int:
        """How often a command came."""
        return sum(command[0] == word for command in list(self.commands))

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with self._lock:
                    self._open.add(connection)
                    self.connections_total += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A node that goes breaks its connections off.
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as reader:
            while head := reader.readline():
                words: list[str] = []
                for _ in range(int(head[1:])):
                    length = int(reader.readline()[1:])
                    words.append(reader.read(length + 2)[:-2].decode())
                self.commands.append(words)
                assert self._speaking.wait(_PATIENCE_S)
                with self._lock:
                    answer = self.instead.get(words[0]) or self._answer(words)
                connection.sendall(f"{answer}\r\n".encode())
        with self._lock:
            self._open.discard(connection)

    def _answer(self, words: list[str]) -> str:
        match words:
            case ["AUTH", *_] | ["SELECT", _]:
                return "+OK"
            case ["SCRIPT", "LOAD", text]:
                return f"${40}\r\n{self._learn(text)}"
            case ["EVALSHA", digest, *rest] if digest in self._scripts:
                return self._count(rest)
            case ["EVALSHA", *_]:
                return "-NOSCRIPT No matching script. Please use EVAL."
            case ["EVAL", text, *rest]:
                self._learn(text)
                return self._count(rest)
        return f"-ERR unknown command '{words[0]}'"

    def _learn(self, text: str) -> str:
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._scripts.add(digest)
        return digest

    def _count(self, rest: list[str]) -> str:
        keys = rest[1 : int(rest[0]) + 1]
        arguments = rest[len(keys) + 1 :]
        before = [self.counts.get(key, 0) for key in keys]
        most = [float(word) if word else float("inf") for word in arguments[1::3]]
        is_added = all(found < bound for found, bound in zip(before, most, strict=True))
        for key, amount in zip(keys, arguments[::3], strict=True):
            if is_added and amount != "0":
                self.counts[key] = self.counts.get(key, 0) + int(amount)
        numbers = [*before, int(is_added)]
        return "\r\n".join([f"*{len(numbers)}", *(f":{number}" for number in numbers)])


@contextlib.contextmanager
def resp_server(*, starts: bool = True) -> Iterator[RespServer]:
    """A server for as long as the block runs."""
    server = RespServer()
    if starts:
        server.start()
    try:
        yield server
    finally:
        server.stop()
