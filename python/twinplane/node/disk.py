"""The few file operations that a node's memory rests on: read whole, write whole and synced, put in another's place.

Each is made of calls of `os`, so that any one of them can be made to fail.
"""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 1_048_576


def read_whole(path: Path) -> bytes:
    """Everything in a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(descriptor, _CHUNK):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """A new file of mode 0600 in place of what stood there, on disk when this returns. Raises OSError."""
    remove(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file where there is one. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def replace_by_link(source: Path, target: Path) -> None:
    """Put the content of `source` in place of `target`, in one step, and leave `source` as it is. Raises OSError."""
    fresh = target.with_name(f"{target.name}.new")
    remove(fresh)
    try:
        os.link(source, fresh)
    except OSError:
        # File systems without hard links.
        write_synced(fresh, read_whole(source))
    os.replace(fresh, target)


def sync_directory(path: Path) -> None:
    """Have the names in a directory outlive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
