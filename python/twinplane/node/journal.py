"""Changes since the cache file was written: appended to `config.journal`, so that a change costs what it changes.

A record is a header line (format, length, digest) and a delta frame as it came over the link. Digests are chained from
the generation that the records lead on from: what is torn, foreign or out of place ends the journal there, and what is
before it is whole. A small configuration, or a long journal, is written anew as a generation of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from twinplane.control.records import RowChange
from twinplane.hybrid.delta import decode_delta
from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.table import split_rows
from twinplane.hybrid.wire import inflate
from twinplane.node.cache import Stored, not_sealed
from twinplane.node.disk import read_whole, sync_directory, write_synced
from twinplane.node.errors import CacheUnwritable, SealBroken
from twinplane.node.keeping import Cache
from twinplane.node.seal import Keyring, SealKey

FILE_NAME = "config.journal"
FORMAT = 1
TABLE_BYTES_MIN = 1_048_576
"""A table smaller than this is written whole each time."""
RECORDS_MAX = 4096
_SHARE = 4
_HEADER_BYTES_MAX = 4096
_PURPOSE = "changes"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """One change. `digest` stands for it and all before it; it ends at byte `end` of its file."""

    frame: bytes
    digest: str
    end: int
    sealed_with: str | None = None


@dataclass(frozen=True, slots=True)
class _Tip:
    """Where the journal ends: after which configuration, in how many records and bytes."""

    revision: int | None
    epoch: str | None
    digest: str
    end: int = 0
    records: int = 0


class JournaledCache:
    """A cache that appends changes. Used by one thread at a time."""

    def __init__(
        self,
        generations: Cache,
        directory: Path,
        keyring: Keyring | None = None,
        *,
        bytes_max: int,
        seals: bool = False,
        table_bytes_min: int = TABLE_BYTES_MIN,
    ) -> None:
        """`bytes_max` bounds what one change may inflate to, as it did on the link. Keys as for `ConfigCache`."""
        self._generations = generations
        self._path = directory / FILE_NAME
        self._before = directory / f"{FILE_NAME}.1"
        self._keyring = keyring
        self._seals = seals and keyring is not None
        self._bytes_max = bytes_max
        self._table_bytes_min = table_bytes_min
        self._tip: _Tip | None = None
        self._undo: _Tip | None = None
        self._placed: Stored | None = None
        self._is_of_before = False
        self._unsealed: tuple[str, ...] = ()
        self.appended_total = 0

    @property
    def damages(self) -> tuple[str, ...]:
        """What the last `load` could not use, for people."""
        return self._generations.damages

    @property
    def unsealed(self) -> tuple[str, ...]:
        """What the last `load` could use, but not seal as it should be, for people."""
        return self._generations.unsealed + self._unsealed

    def load(self) -> list[Stored]:
        """What can be served from, newest first: each generation with its changes, and without the last of them."""
        found: list[Stored] = []
        self._tip, self._unsealed = None, ()
        for position, base in enumerate(self._generations.load()):
            path, records = self._records(base)
            if position == 0 and path == self._path:
                self._tip = _tip_of(base, records)
            # An end between two steps of keeping left the journal of the generation before under this name.
            self._is_of_before = position > 0 and bool(records) and path == self._path
            if records:
                found += self._replayed(base, records)
            found.append(base)
        if self.unsealed:
            # What is kept next is written whole: then the newest state needs no former key.
            self._tip = None
        return found

    def keep(self, stored: Stored) -> None:
        """Keep a configuration: by its change where that leads on from what is kept, else whole."""
        tip, self._undo = self._tip, None
        if tip is not None and stored.change and self._leads_on(stored, tip):
            self._placed = None
            self._append(stored, tip)
        else:
            self._tip, self._placed = None, stored
            self._generations.keep(stored)

    def confirm(self) -> None:
        """What was kept last is being served."""
        placed, self._placed, self._undo = self._placed, None, None
        if placed is None:
            return
        # Until now the journal belonged to a generation that might have been needed again.
        is_free = True
        try:
            os.replace(self._path, self._before)
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.warning("journal_not_moved detail=%s", error)
            is_free = False
        self._generations.confirm()
        self._tip = _tip_of(placed, []) if is_free else None

    def withdraw(self) -> None:
        """What was kept last cannot be served: its record goes, or its generation."""
        if self._placed is not None:
            self._placed = None
            self._generations.withdraw()
            self._tip = None
        elif self._undo is not None:
            self._tip, self._undo = self._undo, None
            try:
                _cut(self._path, at=self._tip.end)
            except OSError as error:
                _log.warning("journal_not_cut detail=%s", error)
                self._tip = None

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key: seal generations and changes with it."""
        if self._keyring is None or key.key_id == self._keyring.newest_id:
            return
        self._keyring = self._keyring.with_newest(key)
        self._generations.rekey(key)
        self.load()

    def _leads_on(self, stored: Stored, tip: _Tip) -> bool:
        """Whether a change is worth a record, and comes right behind the last one."""
        limit = max(self._table_bytes_min, len(stored.table)) // _SHARE
        return (
            len(stored.table) >= self._table_bytes_min
            and (stored.change_base, stored.epoch) == (tip.revision, tip.epoch)
            and tip.records < RECORDS_MAX
            and tip.end + len(stored.change) <= limit
        )

    def _append(self, stored: Stored, tip: _Tip) -> None:
        record, digest = encode_record(stored.change, after=tip.digest, keyring=self._sealing)
        try:
            if self._is_of_before:
                os.replace(self._path, self._before)
                self._is_of_before = False
            _append(self._path, record, at=tip.end)
        except OSError as error:
            raise CacheUnwritable(f"{self._path}: {error.strerror or error}") from error
        self._undo = tip
        self._tip = _Tip(stored.revision, stored.epoch, digest, tip.end + len(record), tip.records + 1)
        self.appended_total += 1

    def _records(self, base: Stored) -> tuple[Path, Sequence[Record]]:
        """The records that lead on from a generation, and where they are."""
        for path in (self._path, self._before):
            try:
                records = decode_records(read_whole(path), after=_identity(base), keyring=self._keyring)
                if records:
                    return path, self._sealed_anew(path, base, records)
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.error("journal_unreadable file=%s detail=%s", path.name, error)
        return self._path, []

    def _sealed_anew(self, path: Path, base: Stored, records: Sequence[Record]) -> Sequence[Record]:
        """Write a journal again where its records are sealed with an older key, or are not and should be."""
        sealing = self._sealing
        if sealing is None or all(record.sealed_with == sealing.newest_id.hex() for record in records):
            return records
        after, data = _identity(base), b""
        for record in records:
            piece, after = encode_record(record.frame, after=after, keyring=sealing)
            data += piece
        fresh = path.with_name(f"{FILE_NAME}.new")
        try:
            write_synced(fresh, data)
            os.replace(fresh, path)
            sync_directory(path.parent)
        except OSError as error:
            _log.warning("journal_not_sealed file=%s detail=%s", path.name, error)
            self._unsealed += (not_sealed(path, error),)
            return records
        return decode_records(data, after=_identity(base), keyring=sealing)

    @property
    def _sealing(self) -> Keyring | None:
        return self._keyring if self._seals else None

    def _replayed(self, base: Stored, records: Sequence[Record]) -> list[Stored]:
        """A generation with all of its changes, then with all but the last. Changes that do not fit are not used."""
        found: list[Stored] = []
        try:
            table = split_rows(base.table)
            if table is None:
                raise FrameInvalid("the generation is not written row by row")
            state = replace(base, rows=table)
            for some in (records[:-1], records[-1:]):
                if some:
                    state = self._after(state, some)
                    found.insert(0, state)
        except (FrameInvalid, PayloadTooLarge) as error:
            _log.error("journal_damaged records=%d detail=%s", len(records), error)
            self._tip = None
        return found

    def _after(self, state: Stored, records: Sequence[Record]) -> Stored:
        """What changes lead to, each from where the one before it led."""
        assert state.rows is not None
        revision, head, changes = state.revision, None, list[RowChange]()
        for record in records:
            delta = decode_delta(inflate(record.frame, bytes_max=self._bytes_max))
            head = delta.head
            if (head.base, head.epoch) != (revision, state.epoch):
                raise FrameInvalid("a change of another revision")
            revision = head.revision
            changes += delta.operations
        assert head is not None
        rows = state.rows.spliced(changes, head.collections)
        if rows.digest != head.digest:
            raise FrameInvalid("the changes lead to other rows")
        return Stored(head.config_hash, rows.text(), head.revision, head.epoch, rows=rows)


def encode_record(frame: bytes, *, after: str, keyring: Keyring | None = None) -> tuple[bytes, str]:
    """The bytes of a record behind what has the digest `after`, and the digest of both."""
    digest = _chained(after, frame)
    header: dict[str, Any] = {"format": FORMAT, "sha256": digest}
    body = frame
    if keyring is not None:
        seal = keyring.new_file(_PURPOSE)
        header["seal"] = {"key": seal.key_id.hex(), "salt": seal.salt.hex()}
        body = seal.seal(frame, digest.encode())
    return orjson.dumps(header | {"bytes": len(body)}) + b"\n" + body, digest


def decode_records(data: bytes, *, after: str, keyring: Keyring | None = None) -> list[Record]:
    """The records that are whole and in place; what follows the first that is not does not count."""
    found: list[Record] = []
    at = 0
    while at < len(data):
        line, newline, _ = data[at : at + _HEADER_BYTES_MAX].partition(b"\n")
        begin = at + len(line) + 1
        try:
            header = orjson.loads(line)
            size = header["bytes"] if header["format"] == FORMAT else -1
            if not newline or not isinstance(size, int) or not 0 <= size <= len(data) - begin:
                break
            frame, sealed_with = _opened(header, data[begin : begin + size], keyring)
            if header["sha256"] != _chained(after, frame):
                break
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, SealBroken):
            break
        after, at = header["sha256"], begin + size
        found.append(Record(frame, after, at, sealed_with))
    return found


def _opened(header: dict[str, Any], body: bytes, keyring: Keyring | None) -> tuple[bytes, str | None]:
    place = header.get("seal")
    if place is None:
        return body, None
    if keyring is None:
        raise SealBroken("it is sealed, and this node has no certificate key")
    seal = keyring.file(bytes.fromhex(place["key"]), bytes.fromhex(place["salt"]), _PURPOSE)
    return seal.open(body, str(header["sha256"]).encode()), place["key"]


def _tip_of(base: Stored, records: Sequence[Record]) -> _Tip | None:
    if base.revision is None or base.epoch is None:
        return None
    if not records:
        return _Tip(base.revision, base.epoch, _identity(base))
    try:
        head = decode_delta(inflate(records[-1].frame, bytes_max=2**31)).head
    except (FrameInvalid, PayloadTooLarge):
        return None
    return _Tip(head.revision, head.epoch, records[-1].digest, records[-1].end, len(records))


def _identity(stored: Stored) -> str:
    """What the records behind a generation are bound to."""
    return _chained(stored.config_hash, f"{stored.epoch} {stored.revision} {len(stored.table)}".encode())


def _chained(after: str, data: bytes) -> str:
    return hashlib.sha256(after.encode() + b"\0" + data).hexdigest()


def _append(path: Path, record: bytes, *, at: int) -> None:
    """Write a record where the last one that counts ends. Raises OSError; the file then ends there."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.ftruncate(descriptor, at)
            rest, place = memoryview(record), at
            while rest:
                written = os.pwrite(descriptor, rest, place)
                rest, place = rest[written:], place + written
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, at)
            raise
    finally:
        os.close(descriptor)
    if at == 0:
        sync_directory(path.parent)


def _cut(path: Path, *, at: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
