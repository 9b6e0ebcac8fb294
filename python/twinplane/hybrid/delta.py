"""What two twinplanes say to each other about changes: the delta frame, and a node's wish for the whole. Pure.

A delta leads from one revision of an epoch to a later one. It names both, and the digest of the rows that must come
out; where something else comes out, the node keeps what it has and asks for the whole configuration.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.records import RowChange
from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.table import row_id

OPERATIONS_MAX = 200_000
COLLECTIONS_MAX = 200
DEPTH_MAX = 64
_MARK = b'{"type":"delta",'
_HEAD_BYTES_MAX = 65_536
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXT_MAX = 512

DIGEST_MISMATCH = "digest_mismatch"
BASE_UNKNOWN = "base_unknown"
DELTA_INVALID = "delta_invalid"


@dataclass(frozen=True, slots=True)
class DeltaHead:
    """From where to where a delta leads."""

    epoch: str
    base: int
    revision: int
    config_hash: str
    digest: str
    collections: Sequence[str]
    """Which collections the table has afterwards, in their order."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of configuration as it crosses the link."""

    head: DeltaHead
    operations: Sequence[RowChange]


def encode_delta(delta: Delta, *, timestamp: float, compression: int = 1) -> bytes:
    """The compressed frame: a line of JSON, then a line for each operation."""
    head = delta.head
    message = {
        "type": "delta",
        "timestamp": round(timestamp, 3),
        "config_hash": head.config_hash,
        "epoch": head.epoch,
        "base": head.base,
        "revision": head.revision,
        "digest": head.digest,
        "collections": list(head.collections),
        "operations": len(delta.operations),
    }
    packer = zlib.compressobj(compression, zlib.DEFLATED, 31)
    pieces = [packer.compress(orjson.dumps(message))]
    pieces += [packer.compress(b"\n" + _line(operation)) for operation in delta.operations]
    return b"".join([*pieces, packer.flush()])


def _line(operation: RowChange) -> bytes:
    name = f"{operation.collection} {operation.id}".encode()
    return b"-" + name if operation.row is None else b"+" + name + b" " + operation.row


def is_delta(text: bytes) -> bool:
    """Whether the text of a frame is a delta."""
    return text.startswith(_MARK)


def decode_delta(text: bytes) -> Delta:
    """What the text of a frame says. Raises FrameInvalid; what it costs is bounded by the text and the limits above."""
    line, _, rest = text.partition(b"\n")
    head, count = _head(line)
    if count > OPERATIONS_MAX or (rest.count(b"\n") + 1 if rest else 0) != count:
        raise FrameInvalid("delta: another number of operations than it says")
    return Delta(head, [_operation(one) for one in rest.split(b"\n")] if count else [])


def _head(line: bytes) -> tuple[DeltaHead, int]:
    """The head and how many operations it announces; every field that is wrong is told at once."""
    if len(line) > _HEAD_BYTES_MAX:
        raise FrameInvalid("delta: the head is too long")
    message = _object(line, "the head")
    names = ("epoch", "base", "revision", "config_hash", "digest", "collections", "operations")
    values: list[Any] = [message.get(name) for name in names]
    epoch, base, revision, config_hash, digest, collections, count = values
    mistakes = [
        name
        for name, is_right in (
            ("epoch", isinstance(epoch, str) and 0 < len(epoch) <= _TEXT_MAX),
            ("base", _is_count(base)),
            ("revision", _is_count(revision) and not (_is_count(base) and revision < base)),
            ("config_hash", isinstance(config_hash, str) and 0 < len(config_hash) <= _TEXT_MAX),
            ("digest", isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None),
            ("collections", _are_names(collections)),
            ("operations", _is_count(count)),
        )
        if not is_right
    ]
    if mistakes:
        raise FrameInvalid(f"delta: {', '.join(mistakes)}")
    return DeltaHead(epoch, base, revision, config_hash, digest, tuple(collections)), count


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _are_names(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= COLLECTIONS_MAX
        and all(isinstance(name, str) and _NAME.fullmatch(name) for name in value)
    )


def _operation(line: bytes) -> RowChange:
    kind, parts = line[:1], line[1:].split(b" ", 2)
    if kind not in (b"+", b"-") or len(parts) != (3 if kind == b"+" else 2):
        raise FrameInvalid("delta: no operation")
    collection, entity_id = parts[0].decode("ascii", "replace"), parts[1].decode("ascii", "replace")
    if not _NAME.fullmatch(collection) or not _ID.fullmatch(entity_id):
        raise FrameInvalid("delta: an operation on no name or id")
    if kind == b"-":
        return RowChange(collection, entity_id, None)
    row = _object(parts[2], "a row")
    # Only rows with so many brackets can be so deep.
    if parts[2].count(b"{") + parts[2].count(b"[") > DEPTH_MAX and not _is_shallow(row, DEPTH_MAX):
        raise FrameInvalid("delta: a row is nested too deeply")
    if row_id(row) != entity_id:
        raise FrameInvalid("delta: a row of another id")
    return RowChange(collection, entity_id, parts[2])


def _is_shallow(value: Any, levels: int) -> bool:
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


@dataclass(frozen=True, slots=True)
class Resync:
    """A node could not use a delta: it wants the whole configuration."""

    reason: str
    detail: str = ""


def encode_resync(resync: Resync) -> bytes:
    """The frame's bytes. Plain JSON, sent to a twinplane only."""
    return orjson.dumps({"type": "resync", "reason": resync.reason, "detail": resync.detail[:_TEXT_MAX]})


def decode_resync(data: bytes) -> Resync | None:
    """A node's wish for the whole configuration, None for another frame. Untrusted."""
    message = _object(data, "a report")
    if message.get("type") != "resync":
        return None
    reason, detail = message.get("reason"), message.get("detail")
    return Resync(
        reason[:_TEXT_MAX] if isinstance(reason, str) else "", detail[:_TEXT_MAX] if isinstance(detail, str) else ""
    )


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid(f"delta: {what} is not JSON") from error
    if not isinstance(value, dict):
        raise FrameInvalid(f"delta: {what} is no object")
    return value
