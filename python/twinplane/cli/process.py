"""What every role needs of the process it runs in: logging, and locks on directories."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from twinplane.cli.errors import DirectoryUnusable, StartError

_LEVELS = {"debug": "DEBUG", "info": "INFO", "notice": "INFO", "warn": "WARNING", "error": "ERROR", "crit": "CRITICAL"}
_LEVELS |= {"alert": "CRITICAL", "emerg": "CRITICAL"}


class _LineFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z info room event field=value`"""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        moment = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        # One happening is one line: what came from outside cannot forge a second one.
        text = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{moment} {record.levelname.lower()} {record.name} {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to_stderr(level: str) -> None:
    """Send log lines of this process to standard error, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for noisy in ("uvicorn.access", "uvicorn.error", "asyncio", "alembic", "websockets"):
        logging.getLogger(noisy).setLevel("WARNING")


def log_to_file(path: Path) -> None:
    """Send log lines of this process to a file from now on, which log rotation may move away. Raises StartError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path)
    except OSError as error:
        raise StartError(f"{path}: cannot be written: {error.strerror}") from error
    handler.setFormatter(_LineFormatter())
    logging.getLogger().handlers[:] = [handler]


def reopen_logs() -> bool:
    """Go on in files of the same names, where others were moved away. False where the log is no file."""
    files = [handler for handler in logging.getLogger().handlers if isinstance(handler, _LogFile)]
    for handler in files:
        handler.reopen()
    return bool(files)


class _LogFile(logging.Handler):
    """A log file that is opened anew when it is asked for. A pipe that nobody reads loses lines and holds up nobody."""

    _FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        super().__init__()
        self._path = path.absolute()
        self._file = self._opened()
        self._is_torn = False
        self._lost = 0

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
            # A record that cannot be shown is a fault of ours, not of who logs.
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        if self._lost:
            count = {"msg": f"log_lines_lost count={self._lost}", "name": "process", "levelname": "WARNING"}
            told = logging.makeLogRecord(count)
            if not self._write(self.format(told)):
                self._lost += 1
                return
            self._lost = 0
        if not self._write(self.format(record)):
            self._lost += 1

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


def set_log_level(level: str) -> None:
    """Log from `level` up from now on."""
    logging.getLogger().setLevel(_LEVELS[level])


def allow_open_files(most: int | None) -> None:
    """Let this process have so many files and sockets open. Raises StartError where it may not."""
    if most is None:
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard if hard == resource.RLIM_INFINITY else max(most, hard)))
    except (OSError, ValueError) as error:
        raise StartError(
            f"nginx_main_worker_rlimit_nofile: {most} is more than the system lets this user have"
        ) from error


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make a directory that this process can write in, or say why not."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise DirectoryUnusable(f"{path}: the directory cannot be made: {error.strerror}") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise DirectoryUnusable(f"{path}: the directory cannot be read and written by this user")


def lock_directory(path: Path, name: str) -> IO[str]:
    """Hold `path/name` for as long as the returned file is open. Refuses where another process holds it."""
    try:
        file = (path / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise DirectoryUnusable(f"{path / name}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read(20).strip()
        file.close()
        raise StartError(f"{path}: another process works in this directory (pid {holder or 'unknown'})") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


@contextlib.contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Wait for, and hold for a moment, what other processes on this machine take turns at."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
