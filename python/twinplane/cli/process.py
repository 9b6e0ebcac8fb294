"""What every role needs of the process it runs in: logging, and locks on directories."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from twinplane.cli.errors import DirectoryUnusable, StartError
from twinplane.cli.log_lines import LineFormatter, LogFile, stream_handler

_STREAMS = {Path("/dev/stdout"): lambda: sys.stdout, Path("/dev/stderr"): lambda: sys.stderr}
_LEVELS = {"debug": "DEBUG", "info": "INFO", "notice": "INFO", "warn": "WARNING", "error": "ERROR", "crit": "CRITICAL"}
_logged_apart: set[str] = set()
_LEVELS |= {"alert": "CRITICAL", "emerg": "CRITICAL"}


def log_to_stderr(level: str) -> None:
    """Send log lines of this process to standard error, from `level` up."""
    handler = stream_handler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for noisy in ("uvicorn.access", "uvicorn.error", "asyncio", "alembic", "websockets"):
        logging.getLogger(noisy).setLevel("WARNING")


def log_to_file(path: Path, *rooms: str) -> None:
    """Send log lines of this process to a file from now on, which log rotation may move away. Raises StartError.

    Only those of `rooms`, where there are any.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = _STREAMS.get(path)
        handler = LogFile(path) if stream is None else stream_handler(stream())
    except OSError as error:
        raise StartError(f"{path}: cannot be written: {error.strerror}") from error
    handler.setFormatter(LineFormatter())
    for room in rooms or ("",):
        logger = logging.getLogger(room)
        logger.handlers[:] = [handler]
        logger.propagate = not room
        _logged_apart.update(rooms)


def reopen_logs() -> bool:
    """Go on in files of the same names, where others were moved away. False where the log is no file."""
    files = {handler for handler in _handlers() if isinstance(handler, LogFile)}
    for handler in files:
        handler.reopen()
    return bool(files)


def log_lines_lost() -> int:
    """How many lines could not be written since the start."""
    return sum(getattr(handler, "lost_total", 0) for handler in _handlers())


def _handlers() -> set[logging.Handler]:
    return {handler for room in ("", *_logged_apart) for handler in logging.getLogger(room).handlers}


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
