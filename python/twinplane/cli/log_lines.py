"""Where the log lines of a process go: a file that rotation may move away, or a stream that somebody reads, or nobody.

No line is waited for: what cannot be written, or finds no room to wait, is lost, counted and told.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

LINES_MAX = 10_000
BYTES_MAX = 4 * 1024 * 1024
_PATIENCE_S = 2.0
_PIECE = 65_536


class LineFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z info room event field=value`"""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        moment = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        # One happening is one line: what came from outside cannot forge a second one.
        text = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{moment} {record.levelname.lower()} {record.name} {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def stream_handler(stream: TextIO) -> logging.Handler:
    """Who writes to one of the streams that the process was started with."""
    try:
        file = stream.fileno()
        is_waited_for = not stat.S_ISREG(os.fstat(file).st_mode)
    except (OSError, ValueError):
        # Somebody in this process takes the lines.
        is_waited_for = False
    return QueuedLines(file) if is_waited_for else logging.StreamHandler(stream)


class QueuedLines(logging.Handler):
    """Lines for a pipe, a socket or a terminal, written by a thread of their own: a slow reader holds up nobody."""

    def __init__(self, file: int, *, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX) -> None:
        """So many lines and bytes may wait."""
        super().__init__()
        self._file = file
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._lost = 0
        self.lost_total = 0
        """Lines that could not be written."""
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Leave a line to the thread, and before it how many found no room."""
        try:
            line = _encoded(self.format(record))
            with self._changed:
                if self._lost and self._take(_encoded(self.format(_told(self._lost)))):
                    self._lost = 0
                if self._lost or not self._take(line):
                    self._lose(1)
        except Exception:
            # A record that cannot be shown is a fault of ours, not of who logs. To tell of it here could wait.
            with self._changed:
                self._lose(1)

    def flush(self) -> None:
        """Wait a little for what has yet to be written: the process may be about to end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, _PATIENCE_S)

    def _take(self, line: bytes) -> bool:
        # One line always finds room, however long.
        is_full = len(self._waiting) >= self._lines_max or self._held + len(line) > self._bytes_max
        if is_full and self._held:
            return False
        self._waiting.append(line)
        self._held += len(line)
        self._changed.notify_all()
        return True

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self.lost_total += lines

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting.popleft()
            is_written = self._write(line)
            with self._changed:
                self._held -= len(line)
                if not is_written:
                    self._lose(1)
                self._changed.notify_all()

    def _write(self, line: bytes) -> bool:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._file, rest[:_PIECE]) :]
            except BlockingIOError:
                # Whoever started the process may have made the stream one that does not wait.
                poll = select.poll()
                poll.register(self._file, select.POLLOUT)
                poll.poll()
            except OSError:
                return False
        return True


class LogFile(logging.Handler):
    """A log file that is opened anew when it is asked for. A pipe that nobody reads loses lines and holds up nobody."""

    _FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        super().__init__()
        self._path = path.absolute()
        self._file = self._opened()
        self._is_torn = False
        self._lost = 0
        self.lost_total = 0
        """Lines that could not be written."""

    def reopen(self) -> None:
        """Go on in a new file; where there can be none, in the old one."""
        with self.lock or contextlib.nullcontext():
            try:
                opened = self._opened()
            except OSError as error:
                problem: OSError | None = error
            else:
                problem, before, self._file = None, self._file, opened
                self._is_torn = False
                os.close(before)
        if problem is not None:
            logging.getLogger("process").error("log_not_reopened detail=%s", problem)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and before it how many could not be written."""
        try:
            self._emit(record)
        except Exception:
            # A record that cannot be shown is a fault of ours, not of who logs. To tell of it here could wait.
            self._lose()

    def _emit(self, record: logging.LogRecord) -> None:
        if self._lost:
            if not self._write(self.format(_told(self._lost))):
                self._lose()
                return
            self._lost = 0
        if not self._write(self.format(record)):
            self._lose()

    def _lose(self) -> None:
        self._lost += 1
        self.lost_total += 1

    def _write(self, line: str) -> bool:
        rest = (("\n" if self._is_torn else "") + line + "\n").encode(errors="backslashreplace")
        try:
            while rest:
                written = os.write(self._file, rest)
                self._is_torn = not rest[:written].endswith(b"\n")
                rest = rest[written:]
        except OSError:
            return False
        return True

    def _opened(self) -> int:
        return os.open(self._path, self._FLAGS, 0o666)


def _told(lost: int) -> logging.LogRecord:
    count: dict[str, Any] = {"msg": f"log_lines_lost count={lost}", "name": "process", "levelname": "WARNING"}
    return logging.makeLogRecord(count)


def _encoded(text: str) -> bytes:
    return f"{text}\n".encode(errors="backslashreplace")
