"""The telemetry link as bytes and values: numbered batches up, acknowledgements down. Pure.

The form is described in docs/reference/telemetry.md.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from twinplane.telemetry.errors import BatchInvalid

Kind = Literal["records", "usage"]
KINDS: tuple[Kind, ...] = ("records", "usage")
FRAME_BYTES_MAX = 4_194_304
LINES_BYTES_MAX = 33_554_432
ROWS_MAX = 20_000
WINDOW = 4
"""Batches that may be under way without an acknowledgement."""
_HEADER_BYTES_MAX = 1024
_TEXT_MAX = 200
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What a batch is. With the node's id, `boot_id` and `number` are its identity: it is stored once.

    `lost_records` counts what the node had to drop since its backlog `lost_origin` was begun.
    """

    kind: Kind
    boot_id: str
    number: int
    count: int
    lost_origin: str
    lost_records: int


def pack_lines(lines: bytes) -> bytes:
    """Lines as they are kept in a backlog and sent: gzip."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(lines) + packer.flush()


def unpack_lines(packed: bytes) -> bytes:
    """The lines again. Bounded; raises BatchInvalid."""
    unpacker = zlib.decompressobj(31)
    try:
        lines = unpacker.decompress(packed, LINES_BYTES_MAX)
    except zlib.error as error:
        raise BatchInvalid("not_gzip", str(error)) from error
    if unpacker.unconsumed_tail:
        raise BatchInvalid("too_large", f"more than {LINES_BYTES_MAX} bytes of lines")
    if not unpacker.eof:
        raise BatchInvalid("not_gzip", "the stream is cut off")
    return lines


def encode_batch(header: BatchHeader, packed: bytes) -> bytes:
    """The frame of a batch."""
    line = orjson.dumps(
        {
            "type": "batch",
            "kind": header.kind,
            "boot_id": header.boot_id,
            "number": header.number,
            "count": header.count,
            "lost_origin": header.lost_origin,
            "lost_records": header.lost_records,
        }
    )
    return line + b"\n" + packed


def decode_batch(frame: bytes) -> tuple[BatchHeader, bytes]:
    """Header and packed lines of a frame. Everything is untrusted; raises BatchInvalid."""
    line, newline, _ = frame[:_HEADER_BYTES_MAX].partition(b"\n")
    message = _object(line) if newline else {}
    kind = message.get("kind")
    if message.get("type") != "batch" or kind not in KINDS:
        raise BatchInvalid("not_a_batch", "the frame is no batch of a known kind")
    numbers = [message.get(name) for name in ("number", "count", "lost_records")]
    ids = [message.get(name) for name in ("boot_id", "lost_origin")]
    if any(type(number) is not int or not 0 <= number < 2**53 for number in numbers):
        raise BatchInvalid("bad_header", "number, count and lost_records must be whole numbers")
    if any(not isinstance(one, str) or not _UUID.fullmatch(one) for one in ids):
        raise BatchInvalid("bad_header", "boot_id and lost_origin must be UUIDs")
    header = BatchHeader(kind, ids[0], numbers[0], numbers[1], ids[1], numbers[2])  # type: ignore[arg-type]
    if header.count > ROWS_MAX:
        raise BatchInvalid("too_many_rows", f"{header.count} rows, the limit is {ROWS_MAX}")
    return header, frame[len(line) + 1 :]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a batch: stored (now or before), or refused for good with a code."""

    boot_id: str
    number: int
    refusal: str | None = None
    detail: str = ""


def encode_receipt(receipt: Receipt) -> bytes:
    """The frame of an answer."""
    message: dict[str, Any] = {
        "type": "ack" if receipt.refusal is None else "refused",
        "boot_id": receipt.boot_id,
        "number": receipt.number,
    }
    if receipt.refusal is not None:
        message |= {"code": receipt.refusal, "message": receipt.detail[:_TEXT_MAX]}
    return orjson.dumps(message)


def decode_receipt(frame: bytes) -> Receipt | None:
    """What an answer says, None for a message of another type."""
    message = _object(frame)
    boot_id, number = message.get("boot_id"), message.get("number")
    if not isinstance(boot_id, str) or type(number) is not int:
        return None
    if message.get("type") == "ack":
        return Receipt(boot_id, number)
    if message.get("type") == "refused":
        return Receipt(boot_id, number, str(message.get("code"))[:_TEXT_MAX], str(message.get("message"))[:_TEXT_MAX])
    return None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
