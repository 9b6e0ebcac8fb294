"""A message on the wire: one raw snappy block in one binary frame. Pure.

How much a block becomes is known before room is made for it; a block that promises more than snappy can gain lies.
"""

from __future__ import annotations

from typing import Final

from cramjam import DecompressionError, snappy

from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge

# Three bytes of a block stand for at most 64 bytes of text.
_GAIN_MAX: Final = 22
_LENGTH_BYTES_MAX: Final = 5


def pack(text: bytes) -> bytes:
    """The block of a message."""
    return bytes(snappy.compress_raw(text))


def unpack(block: bytes, *, bytes_max: int) -> bytes:
    """The message in a block. Raises FrameInvalid or PayloadTooLarge."""
    length = _length(block)
    if length > bytes_max:
        raise PayloadTooLarge(length, bytes_max)
    if length > len(block) * _GAIN_MAX:
        raise FrameInvalid("a snappy block promises more than it can hold", "not_snappy")
    try:
        return bytes(snappy.decompress_raw(block))
    except DecompressionError as error:
        raise FrameInvalid("not a snappy block", "not_snappy") from error


def _length(block: bytes) -> int:
    """The length of the text, as the head of the block has it: seven bits a byte, the lowest first."""
    length = 0
    for position, byte in enumerate(block[:_LENGTH_BYTES_MAX]):
        length |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return length
    raise FrameInvalid("a snappy block without a length", "not_snappy")
