"""The node's configuration cache: `config.json.gz` in its prefix and the generation before as `config.json.gz.1`.

One header line (format, hash, digest), then gzip. A file is written whole, synced, and renamed into place; what does
not match its digest is never used. A deleted cache is an operator's will: the node then starts empty.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from twinplane.node.errors import CacheDamaged, CacheUnwritable

FILE_NAME = "config.json.gz"
FORMAT = 1
_HEADER_BYTES_MAX = 4096
_COMPRESSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A configuration as the node keeps it. `table` is the JSON text that the core takes."""

    config_hash: str
    table: bytes
    revision: int | None = None
    epoch: str | None = None


class ConfigCache:
    """The cache files of one prefix. Used by one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._newest = directory / FILE_NAME
        self._before = directory / f"{FILE_NAME}.1"
        self._oldest = directory / f"{FILE_NAME}.2"
        self._is_newest_good = False

    def load(self) -> list[Stored]:
        """What can be served from, newest first. Empty where the cache was deleted or nothing of it is whole."""
        if not self._newest.exists():
            return []
        found: list[Stored] = []
        for path in (self._newest, self._before, self._oldest):
            try:
                found.append(decode_cache(path.read_bytes()))
                self._is_newest_good |= path == self._newest
            except FileNotFoundError:
                continue
            except (CacheDamaged, OSError) as error:
                _log.error("cache_damaged file=%s detail=%s", path.name, error)
        return found

    def keep(self, stored: Stored) -> None:
        """Make `stored` the newest generation. Raises CacheUnwritable; the files are then as they were."""
        fresh = self._newest.with_name(f"{FILE_NAME}.new")
        try:
            _write_synced(fresh, encode_cache(stored))
            if self._is_newest_good and self._newest.exists():
                # The generation before moves on by links, so that a newest one is there at every moment.
                if self._before.exists():
                    _replace_by_link(self._before, self._oldest)
                _replace_by_link(self._newest, self._before)
            fresh.replace(self._newest)
            _sync_directory(self._newest.parent)
        except OSError as error:
            raise CacheUnwritable(f"{self._newest}: {error.strerror or error}") from error
        self._is_newest_good = True

    def confirm(self) -> None:
        """The newest generation is being served: the oldest one is needed no more."""
        try:
            self._oldest.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cache_not_tidied detail=%s", error)

    def withdraw(self) -> None:
        """The newest generation cannot be served: the generations before it move back."""
        try:
            if self._before.exists():
                self._before.replace(self._newest)
                if self._oldest.exists():
                    self._oldest.replace(self._before)
            else:
                self._newest.unlink(missing_ok=True)
            _sync_directory(self._newest.parent)
        except OSError as error:
            _log.warning("cache_not_withdrawn detail=%s", error)


def encode_cache(stored: Stored) -> bytes:
    """The bytes of a cache file."""
    packer = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, 31)
    body = packer.compress(stored.table) + packer.flush()
    fields = {
        "format": FORMAT,
        "hash": stored.config_hash,
        "revision": stored.revision,
        "epoch": stored.epoch,
        "bytes": len(stored.table),
    }
    header = {**fields, "sha256": _digest(fields, body)}
    return orjson.dumps(header) + b"\n" + body


def decode_cache(data: bytes) -> Stored:
    """What a cache file holds. Raises CacheDamaged at any doubt."""
    line, newline, body = data[:_HEADER_BYTES_MAX].partition(b"\n")
    if not newline:
        raise CacheDamaged("no header line")
    body = data[len(line) + 1 :]
    try:
        header = orjson.loads(line)
        digest = header.pop("sha256")
        if header["format"] != FORMAT:
            raise CacheDamaged(f"format {header['format']} is not known")
        if _digest(header, body) != digest:
            raise CacheDamaged("digest does not match")
        table = zlib.decompress(body, 31)
        if len(table) != header["bytes"]:
            raise CacheDamaged("length does not match")
        return Stored(header["hash"], table, header["revision"], header["epoch"])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, zlib.error) as error:
        raise CacheDamaged(f"not readable: {error}") from error


def _digest(fields: dict[str, object], body: bytes) -> str:
    digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))
    digest.update(body)
    return digest.hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace_by_link(source: Path, target: Path) -> None:
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        os.link(source, fresh)
    except OSError:
        # File systems without hard links.
        shutil.copy2(source, fresh)
    fresh.replace(target)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
