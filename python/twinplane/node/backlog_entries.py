"""The entries of the telemetry backlog's file as bytes: a head, a body, a checksum over both. Opens no file."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from twinplane.telemetry.wire import KINDS, Kind

# magic, entry, kind, number, count, length of the body, boot id; a CRC-32 of all this and the body follows.
_HEAD = struct.Struct(">2sBBQQI16s")
_CRC = struct.Struct(">I")
_MAGIC = b"TB"
HEAD_BYTES = _HEAD.size


class Entry(IntEnum):
    """What an entry says."""

    BEGUN = 1
    """The backlog's id in place of the boot id; `rows` is what was lost before; the body names the file's key."""
    ADDED = 2
    SETTLED = 3
    LOST = 4
    """`rows` records were dropped, from the front of batch `number` where that is not 0."""


class Head(NamedTuple):
    """What stands before the body of an entry."""

    entry: int
    kind: Kind
    boot_id: str
    number: int = 0
    rows: int = 0

    def text(self) -> bytes:
        """All of it, for what has to be bound to it."""
        return self._packed(0)

    def _packed(self, length: int) -> bytes:
        boot = uuid.UUID(self.boot_id).bytes
        return _HEAD.pack(_MAGIC, self.entry, KINDS.index(self.kind), self.number, self.rows, length, boot)


def encode_entry(head: Head, body: bytes) -> bytes:
    """The bytes of an entry; its body begins after `HEAD_BYTES`."""
    data = head._packed(len(body)) + body
    return data + _CRC.pack(zlib.crc32(data))


def read_entries(data: bytes) -> Iterator[tuple[Head, bytes]]:
    """Every whole entry. What stands after a torn or damaged one may be whole again."""
    position = 0
    while (start := data.find(_MAGIC, position)) >= 0:
        end = _end_of_entry(data, start)
        if end is None:
            position = start + 1
            continue
        _, entry, kind, number, count, _, boot = _HEAD.unpack_from(data, start)
        if kind < len(KINDS):
            head = Head(entry, KINDS[kind], str(uuid.UUID(bytes=boot)), number, count)
            yield head, data[start + _HEAD.size : end - _CRC.size]
        position = end


def _end_of_entry(data: bytes, start: int) -> int | None:
    """Where the entry that begins at `start` ends, None where it is not whole."""
    if start + _HEAD.size + _CRC.size > len(data):
        return None
    length = _HEAD.unpack_from(data, start)[5]
    end: int = start + _HEAD.size + length
    if end + _CRC.size > len(data) or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[start:end]):
        return None
    return end + _CRC.size
