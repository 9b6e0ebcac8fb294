"""Telemetry that waits for its acknowledgement: a bounded list of batches in an append-only file of the prefix.

Every entry carries a checksum, every flush is synced. Beyond the limit the oldest records are dropped and counted,
exactly as many as are too many. While the file cannot be read or written, batches wait in memory, with a warning.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from twinplane.node.backlog_entries import HEAD_BYTES, Entry, Head, encode_entry, read_entries
from twinplane.node.disk import read_whole, sync_directory
from twinplane.node.errors import SealBroken
from twinplane.node.seal import KEY_ID_BYTES, FileSeal, Keyring, SealKey
from twinplane.telemetry.errors import BatchInvalid
from twinplane.telemetry.wire import KINDS, BatchHeader, Kind, pack_lines, unpack_lines

FILE_NAME = "telemetry.backlog"
_log = logging.getLogger(__name__)
_TIDY_BYTES = 1_048_576
_TIDY_FACTOR = 4
_PURPOSE = "telemetry"
RETRY_S = 30.0
"""How often a disk that took nothing is tried again."""


@dataclass(slots=True)
class Waiting:
    """A batch that waits, on disk at `offset` or in `packed`. `skipped` rows of its front were dropped."""

    kind: Kind
    boot_id: str
    number: int
    count: int
    packed: bytes | None = field(repr=False)
    offset: int = 0
    length: int = 0
    skipped: int = 0
    is_sent: bool = False
    losses_told: int = 0
    """How many lost records the control plane knows of once it has stored this."""

    @property
    def rows(self) -> int:
        """Rows that are still to be delivered."""
        return self.count - self.skipped


class Backlog:
    """The batches of one node, oldest first. Not safe for several threads at once."""

    def __init__(
        self,
        directory: Path | None,
        keyring: Keyring | None = None,
        *,
        records_max: int,
        boot_id: str | None = None,
        seals: bool = False,
    ) -> None:
        """Take up what the file in `directory` holds; None keeps everything in memory. Keys as for the cache."""
        self._keyring = keyring
        self._seals = seals and keyring is not None
        self._seal: FileSeal | None = None
        self._is_warned = False
        self._failed_at = 0.0
        self._is_unread = False
        self._losses_told = 0
        self.boot_id = boot_id or str(uuid.uuid4())
        self.origin = str(uuid.uuid4())
        self.lost_records = 0
        self._records_max = records_max
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._rows = dict.fromkeys(KINDS, 0)
        self._number = 0
        self._path = directory / FILE_NAME if directory else None
        self._file = -1
        self._size = 0
        self._live = 0
        if self._path is not None:
            self._open(self._path)

    @property
    def is_durable(self) -> bool:
        """Whether what waits outlives the process."""
        return self._file >= 0

    @property
    def is_troubled(self) -> bool:
        """Whether the disk does not take what should outlive the process."""
        return self._path is not None and self._file < 0

    @property
    def records(self) -> int:
        """Request records that wait."""
        return self._rows["records"]

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, batches: Iterable[tuple[Kind, int, bytes]]) -> None:
        """Take in (kind, number of rows, packed lines), synced to disk before this returns."""
        self._try_again()
        for kind, count, packed in batches:
            self._number += 1
            batch = Waiting(kind, self.boot_id, self._number, count, packed, 0, len(packed))
            self._write_batch(batch)
            self._take(batch)
        self._drop_excess()
        self._sync()
        self._tidy()

    def count_lost(self, records: int) -> None:
        """Note records that were lost before they came here."""
        if records > 0:
            self.lost_records += records
            self._write(Head(Entry.LOST, "records", self.boot_id, 0, records))

    def unsent(self) -> Waiting | None:
        """The oldest batch that is not under way."""
        return next((batch for batch in self._waiting.values() if not batch.is_sent), None)

    def load(self, batch: Waiting) -> tuple[BatchHeader, bytes] | None:
        """What to send of a batch; None where the disk gives it back no more, which is counted as lost."""
        packed = self._rest_of(batch)
        if packed is None:
            _log.error("backlog_unreadable number=%d rows=%d", batch.number, batch.rows)
            self.refuse(batch.boot_id, batch.number)
            return None
        batch.is_sent, batch.losses_told = True, self.lost_records
        return self._header(batch), packed

    def settle(self, boot_id: str, number: int) -> bool:
        """A batch is stored at the control plane. False where none of that name waits."""
        batch = self._find(boot_id, number)
        if batch is None:
            return False
        self._losses_told = max(self._losses_told, batch.losses_told)
        self._remove(batch)
        self._tidy()
        return True

    def refuse(self, boot_id: str, number: int) -> None:
        """A batch can never be stored: its rows are lost."""
        batch = self._find(boot_id, number)
        if batch is not None:
            if batch.kind == "records":
                self.count_lost(batch.rows)
            self._remove(batch)

    def forget_sent(self) -> None:
        """The link ended: what was under way is to be sent again."""
        for batch in self._waiting.values():
            batch.is_sent = False

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key: what waits is sealed with it."""
        if self._keyring is not None and key.key_id != self._keyring.newest_id:
            self._keyring = self._keyring.with_newest(key)
            if self.is_durable:
                self._rewrite()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, -1
        if file >= 0:
            # Whatever it answers, it is closed; what counts was synced before.
            with contextlib.suppress(OSError):
                os.close(file)

    def _header(self, batch: Waiting) -> BatchHeader:
        return BatchHeader(batch.kind, batch.boot_id, batch.number, batch.rows, self.origin, self.lost_records)

    def _find(self, boot_id: str, number: int) -> Waiting | None:
        return self._waiting.get((boot_id, number))

    def _take(self, batch: Waiting) -> None:
        self._waiting[batch.boot_id, batch.number] = batch
        self._live += batch.length
        self._rows[batch.kind] += batch.rows

    def _take_out(self, batch: Waiting) -> None:
        del self._waiting[batch.boot_id, batch.number]
        self._rows[batch.kind] -= batch.rows
        self._live -= batch.length

    def _remove(self, batch: Waiting) -> None:
        self._take_out(batch)
        # Not synced: at worst the batch is sent once more, and recognised.
        self._write(Head(Entry.SETTLED, batch.kind, batch.boot_id, batch.number))

    def _drop_excess(self) -> None:
        for kind in KINDS:
            while (excess := self._rows[kind] - self._records_max) > 0:
                # What is under way may be stored already; its fate is known soon.
                unsent = (one for one in self._waiting.values() if one.kind == kind and not one.is_sent)
                batch = next(unsent, None)
                if batch is None:
                    break
                self._drop(batch, min(excess, batch.rows))

    def _drop(self, batch: Waiting, dropped: int) -> None:
        if batch.kind == "records":
            self.lost_records += dropped
        self._write(Head(Entry.LOST, batch.kind, batch.boot_id, batch.number, dropped))
        batch.skipped += dropped
        self._rows[batch.kind] -= dropped
        if not batch.rows:
            self._remove(batch)

    def _rest_of(self, batch: Waiting) -> bytes | None:
        """The packed rows that are still to be delivered."""
        packed = batch.packed if batch.packed is not None else self._read(batch)
        if packed is None or not batch.skipped:
            return packed
        try:
            return pack_lines(_without_front(unpack_lines(packed), batch.skipped))
        except BatchInvalid:
            return None

    def _open(self, path: Path) -> None:
        """Take up the file, before what waits already. It is not written while it cannot be read."""
        try:
            data = read_whole(path)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            self._is_unread = True
            self._keep_in_memory(error)
            return
        self._is_unread = False
        newer, self._waiting = self._waiting, {}
        origin, lost, self.lost_records = self.origin, self.lost_records, 0
        self._replay(data)
        self._waiting |= newer
        # What was told under the origin of this process is not to be told under that of the file too.
        self.lost_records += lost if self.origin == origin else lost - self._losses_told
        self._rewrite()

    def _try_again(self) -> None:
        if self._path is None or not self.is_troubled or time.monotonic() - self._failed_at < RETRY_S:
            return
        if self._is_unread:
            self._open(self._path)
        else:
            self._rewrite()

    def _replay(self, data: bytes) -> None:
        seal: FileSeal | None = None
        for head, body in read_entries(data):
            if head.entry == Entry.BEGUN:
                seal = self._seal_of(body)
            packed: bytes | None = body
            if head.entry == Entry.ADDED and seal is not None:
                try:
                    packed = seal.open(body, head.text())
                except SealBroken as error:
                    _log.error("backlog_damaged number=%d detail=%s", head.number, error)
                    packed = None
            self._take_up(head, packed)

    def _seal_of(self, body: bytes) -> FileSeal | None:
        """The seal of a file that names its key; one that opens nothing where the key is not to be had."""
        if not body:
            return None
        key_id, salt = body[:KEY_ID_BYTES], body[KEY_ID_BYTES:]
        try:
            if self._keyring is None:
                raise SealBroken("it is sealed, and this node has no certificate key")
            return self._keyring.file(key_id, salt, _PURPOSE)
        except SealBroken as error:
            _log.error("backlog_damaged file=%s detail=%s", self._path, error)
            return FileSeal(SealKey(key_id, os.urandom(32)), salt, _PURPOSE)

    def _take_up(self, head: Head, packed: bytes | None) -> None:
        batch = self._find(head.boot_id, head.number)
        if head.entry == Entry.BEGUN:
            self.origin, self.lost_records = head.boot_id, head.rows
        elif head.entry == Entry.ADDED and batch is None and packed is None:
            self.lost_records += head.rows if head.kind == "records" else 0
        elif head.entry == Entry.ADDED and batch is None and packed is not None:
            self._take(Waiting(head.kind, head.boot_id, head.number, head.rows, packed, 0, len(packed)))
        elif head.entry == Entry.LOST:
            if head.kind == "records":
                self.lost_records += head.rows
            if batch is not None:
                dropped = min(head.rows, batch.rows)
                batch.skipped += dropped
                self._rows[head.kind] -= dropped
        elif head.entry == Entry.SETTLED and batch is not None:
            self._take_out(batch)

    def _tidy(self) -> None:
        if self._size > _TIDY_BYTES + _TIDY_FACTOR * self._live:
            self._rewrite()

    def _rewrite(self) -> None:
        """Leave only what waits in the file. The old one stays until the new one is whole."""
        if self._path is None:
            return
        for batch in list(self._waiting.values()):
            batch.packed = self._rest_of(batch)
            batch.count, batch.skipped = batch.rows, 0
            if batch.packed is None:
                self.refuse(batch.boot_id, batch.number)
        fresh = self._path.with_name(f"{FILE_NAME}.new")
        try:
            file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self.close()
            self._file, self._size = file, 0
            self._seal = self._keyring.new_file(_PURPOSE) if self._seals and self._keyring is not None else None
            name = self._seal.key_id + self._seal.salt if self._seal is not None else b""
            self._write(Head(Entry.BEGUN, "records", self.origin, 0, self.lost_records), name)
            for batch in self._waiting.values():
                self._write_batch(batch)
            self._sync()
            if self.is_durable:
                os.replace(fresh, self._path)
                sync_directory(self._path.parent)
                self._is_warned = False
        except OSError as error:
            self._keep_in_memory(error)

    def _write_batch(self, batch: Waiting) -> None:
        head, body = _head_of(batch), batch.packed or b""
        if self._seal is not None:
            body = self._seal.seal(body, head.text())
        self._live += len(body) - batch.length
        batch.length = len(body)
        batch.offset = self._write(head, body)
        if batch.offset:
            batch.packed = None

    def _write(self, head: Head, packed: bytes = b"") -> int:
        """Append an entry; the answer is where its body begins, 0 where it is not on disk."""
        if self._file < 0:
            return 0
        data = encode_entry(head, packed)
        try:
            if os.pwrite(self._file, data, self._size) != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            self._keep_in_memory(error)
            return 0
        offset = self._size + HEAD_BYTES
        self._size += len(data)
        return offset

    def _sync(self) -> None:
        if self._file >= 0:
            try:
                os.fsync(self._file)
            except OSError as error:
                self._keep_in_memory(error)

    def _read(self, batch: Waiting) -> bytes | None:
        try:
            body = os.pread(self._file, batch.length, batch.offset)
            if len(body) != batch.length:
                return None
            return body if self._seal is None else self._seal.open(body, _head_of(batch).text())
        except (OSError, SealBroken):
            return None

    def _keep_in_memory(self, error: OSError) -> None:
        """The disk takes no more: hold what waits in memory from now on."""
        if not self._is_warned:
            _log.warning("backlog_in_memory_only detail=%s", error)
        self._is_warned = True
        self._failed_at = time.monotonic()
        for batch in self._waiting.values():
            if batch.packed is None:
                batch.packed = self._read(batch)
        self.close()


def _head_of(batch: Waiting) -> Head:
    return Head(Entry.ADDED, batch.kind, batch.boot_id, batch.number, batch.count)


def _without_front(lines: bytes, count: int) -> bytes:
    position = 0
    for _ in range(count):
        position = lines.find(b"\n", position) + 1
        if position == 0:
            return b""
    return lines[position:]
