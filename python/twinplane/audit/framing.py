"""Lines in a stream of bytes, as RFC 6587 has them: counted (`12 <13>1 ...`) or ended by a newline. Pure."""

from __future__ import annotations

_COUNT_DIGITS_MAX = 6


class FrameBroken(Exception):
    """The stream cannot be read any further."""


class Framer:
    """Cuts a stream into lines. What is over the limit is passed over and counted."""

    def __init__(self, bytes_max: int) -> None:
        self.too_long_total = 0
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._is_passing_over = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Raises FrameBroken."""
        self._buffer += data
        lines: list[bytes] = []
        while self._buffer:
            line = self._next()
            if line is None:
                break
            if line:
                lines.append(line)
        return lines

    def _next(self) -> bytes | None:
        """The next line, b"" for one without content, None where more is needed."""
        if not self._is_passing_over and b"1" <= self._buffer[:1] <= b"9":
            return self._counted()
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > self._bytes_max or self._is_passing_over:
                if not self._is_passing_over:
                    self.too_long_total += 1
                self._is_passing_over = True
                self._buffer.clear()
            return None
        line = bytes(self._buffer[:end]).rstrip(b"\r\x00")
        del self._buffer[: end + 1]
        if self._is_passing_over:
            self._is_passing_over = False
            return b""
        if len(line) > self._bytes_max:
            self.too_long_total += 1
            return b""
        return line

    def _counted(self) -> bytes | None:
        space = self._buffer.find(b" ", 0, _COUNT_DIGITS_MAX + 1)
        count = bytes(self._buffer[: space if space >= 0 else _COUNT_DIGITS_MAX + 1])
        if not count.isdigit() or (space < 0 and len(count) > _COUNT_DIGITS_MAX):
            raise FrameBroken("a length is not a number")
        if space < 0:
            return None
        length = int(count)
        if length > self._bytes_max:
            # To wait for so much would give the sender this much of our memory.
            self.too_long_total += 1
            raise FrameBroken(f"a line of {length} bytes, the limit is {self._bytes_max}")
        if len(self._buffer) < space + 1 + length:
            return None
        line = bytes(self._buffer[space + 1 : space + 1 + length])
        del self._buffer[: space + 1 + length]
        return line.rstrip(b"\n")
