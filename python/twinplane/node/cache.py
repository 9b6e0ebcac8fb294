"""The node's configuration cache: `config.json.gz` in its prefix and the generation before as `config.json.gz.1`.

One header line (format, hash, digest), then gzip, sealed where the node has a key for it. A file is written whole,
synced, and renamed into place; what does not match its digest is never used. A deleted cache is an operator's will: the
node then starts empty.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from twinplane.control.epoch import is_outdated
from twinplane.hybrid.table import ConfigTable
from twinplane.node.disk import read_whole, remove, replace_by_link, sync_directory, write_synced
from twinplane.node.errors import CacheDamaged, CacheUnwritable, SealBroken
from twinplane.node.seal import Keyring, SealKey

FILE_NAME = "config.json.gz"
FORMAT = 1
TABLE_BYTES_MAX = 2**31
_HEADER_BYTES_MAX = 4096
_COMPRESSION = 1
_PURPOSE = "configuration"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A configuration as the node keeps it. `table` is the JSON text that the core takes."""

    config_hash: str
    table: bytes
    revision: int | None = None
    epoch: str | None = None
    change: bytes = field(default=b"", compare=False)
    """The frame that led here from revision `change_base`, where one did."""
    change_base: int | None = field(default=None, compare=False)
    rows: ConfigTable | None = field(default=None, compare=False, repr=False)
    """The table by its rows, where it has been taken apart already."""

    def is_at_least(self, epoch: str | None, revision: int | None) -> bool:
        """Whether it is of a revision, or of one that came after."""
        is_it = revision is not None and (epoch, revision) == (self.epoch, self.revision)
        return is_it or is_outdated(epoch, revision, self.epoch, self.revision)


class ConfigCache:
    """The cache files of one prefix. Used by one thread at a time."""

    def __init__(
        self, directory: Path, keyring: Keyring | None = None, *, seals: bool = False, name: str = FILE_NAME
    ) -> None:
        """`keyring` opens what is sealed; with `seals` new files are sealed too."""
        self._newest = directory / name
        self._before = directory / f"{name}.1"
        self._oldest = directory / f"{name}.2"
        self._keyring = keyring
        self._seals = seals and keyring is not None
        self._is_newest_good = False
        self._is_placed = False
        self.damages: tuple[str, ...] = ()
        """What the last `load` could not use, for people."""
        self.unsealed: tuple[str, ...] = ()
        """What the last `load` could use, but not seal as it should be, for people."""

    def load(self) -> list[Stored]:
        """What can be served from, newest first. Empty where the cache was deleted or nothing of it is whole."""
        self.damages = self.unsealed = ()
        if not _is_there(self._newest):
            _log.info("cache_absent file=%s", self._newest)
            return []
        found: list[Stored] = []
        damages: list[str] = []
        for path in (self._newest, self._before, self._oldest):
            try:
                data = read_whole(path)
                found.append(decode_cache(data, self._keyring))
                self._is_newest_good |= path == self._newest
            except FileNotFoundError:
                continue
            except (CacheDamaged, OSError) as error:
                _log.error("cache_damaged file=%s detail=%s", path, error)
                damages.append(f"{path.name}: {error}")
                continue
            self._seal_anew(path, data, found[-1])
        self.damages = tuple(damages)
        return found

    def keep(self, stored: Stored) -> None:
        """Make `stored` the newest generation. Raises CacheUnwritable; every file is whole even then."""
        fresh = self._newest.with_name(f"{self._newest.name}.new")
        self._is_placed = False
        try:
            write_synced(fresh, self._encode(stored))
            if self._is_newest_good and _is_there(self._newest):
                # The generation before moves on by links, so that a newest one is there at every moment.
                if _is_there(self._before):
                    replace_by_link(self._before, self._oldest)
                replace_by_link(self._newest, self._before)
            os.replace(fresh, self._newest)
            self._is_newest_good = self._is_placed = True
            sync_directory(self._newest.parent)
        except OSError as error:
            raise CacheUnwritable(f"{self._newest}: {error.strerror or error}") from error

    def confirm(self) -> None:
        """The newest generation is being served: the oldest one is needed no more."""
        try:
            remove(self._oldest)
        except OSError as error:
            _log.warning("cache_not_tidied detail=%s", error)

    def withdraw(self) -> None:
        """What was kept last cannot be served: where it got into its place, the generations before it move back."""
        if not self._is_placed:
            return
        self._is_placed = False
        try:
            if _is_there(self._before):
                os.replace(self._before, self._newest)
                if _is_there(self._oldest):
                    os.replace(self._oldest, self._before)
            else:
                remove(self._newest)
            sync_directory(self._newest.parent)
        except OSError as error:
            _log.warning("cache_not_withdrawn detail=%s", error)

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key: seal every generation with it. The keys before still open files."""
        if self._keyring is None or key.key_id == self._keyring.newest_id:
            return
        self._keyring = self._keyring.with_newest(key)
        self.load()

    def _seal_anew(self, path: Path, data: bytes, stored: Stored) -> None:
        """A file that is sealed with an older key, or not at all, is written again where it should be sealed."""
        if not self._seals or self._keyring is None or sealed_with(data) == self._keyring.newest_id:
            return
        fresh = path.with_name(f"{self._newest.name}.new")
        try:
            write_synced(fresh, self._encode(stored))
            os.replace(fresh, path)
            sync_directory(path.parent)
            _log.info("cache_sealed file=%s key=%s", path.name, self._keyring.newest_id.hex())
        except OSError as error:
            _log.warning("cache_not_sealed file=%s detail=%s", path.name, error)
            self.unsealed += (not_sealed(path, error),)

    def _encode(self, stored: Stored) -> bytes:
        return encode_cache(stored, self._keyring if self._seals else None)


def not_sealed(path: Path, error: OSError) -> str:
    """That a file could be read, but not be sealed with the present key, for people."""
    return f"{path.name}: not sealed with the present certificate key: {error.strerror or error}"


def encode_cache(stored: Stored, keyring: Keyring | None = None, *, facts: Mapping[str, object] | None = None) -> bytes:
    """The bytes of a cache file, sealed where a keyring is given. `facts` are further fields of its header."""
    packer = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, 31)
    body = packer.compress(stored.table) + packer.flush()
    fields: dict[str, object] = {
        "format": FORMAT,
        "hash": stored.config_hash,
        "revision": stored.revision,
        "epoch": stored.epoch,
        "bytes": len(stored.table),
        **(facts or {}),
    }
    if keyring is not None:
        seal = keyring.new_file(_PURPOSE)
        fields["seal"] = {"key": seal.key_id.hex(), "salt": seal.salt.hex()}
        body = seal.seal(body, _canonical(fields))
    header = {**fields, "sha256": _digest(fields, body)}
    return orjson.dumps(header) + b"\n" + body


def read_header(data: bytes) -> dict[str, Any]:
    """The header of a cache file, not yet checked against its digest. Raises CacheDamaged."""
    line, newline, _ = data[:_HEADER_BYTES_MAX].partition(b"\n")
    if not newline:
        raise CacheDamaged("no header line")
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CacheDamaged(f"not readable: {error}") from error
    if not isinstance(header, dict):
        raise CacheDamaged("not readable: no header")
    return header


def decode_cache(data: bytes, keyring: Keyring | None = None, *, table_bytes_max: int = TABLE_BYTES_MAX) -> Stored:
    """What a cache file holds. Raises CacheDamaged at any doubt."""
    header = read_header(data)
    body = data[data.index(b"\n") + 1 :]
    try:
        digest = header.pop("sha256")
        if header["format"] != FORMAT:
            raise CacheDamaged(f"format {header['format']} is not known")
        if _digest(header, body) != digest:
            raise CacheDamaged("digest does not match")
        if "seal" in header:
            body = _opened(header, body, keyring)
        unpacker = zlib.decompressobj(31)
        table = unpacker.decompress(body, min(header["bytes"], table_bytes_max) + 1)
        if len(table) != header["bytes"] or not unpacker.eof:
            raise CacheDamaged("length does not match")
        return Stored(header["hash"], table, header["revision"], header["epoch"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise CacheDamaged(f"not readable: {error}") from error
    except SealBroken as error:
        raise CacheDamaged(str(error)) from error


def sealed_with(data: bytes) -> bytes | None:
    """Name of the key that a whole cache file is sealed with, None where it is not sealed."""
    header = read_header(data)
    return bytes.fromhex(header["seal"]["key"]) if "seal" in header else None


def _opened(header: dict[str, Any], body: bytes, keyring: Keyring | None) -> bytes:
    if keyring is None:
        raise CacheDamaged("it is sealed, and this node has no certificate key")
    place = header["seal"]
    if not isinstance(place, dict):
        raise CacheDamaged("not readable: a seal without its key")
    seal = keyring.file(bytes.fromhex(place["key"]), bytes.fromhex(place["salt"]), _PURPOSE)
    return seal.open(body, _canonical(header))


def _canonical(fields: dict[str, object]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def _digest(fields: dict[str, object], body: bytes) -> str:
    digest = hashlib.sha256(_canonical(fields))
    digest.update(body)
    return digest.hexdigest()


def _is_there(path: Path) -> bool:
    """Whether something stands there; where that cannot be told, reading it will tell why."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
