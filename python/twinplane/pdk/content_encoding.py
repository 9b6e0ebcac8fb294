"""Bodies that came compressed, unpacked piece by piece; never more than is allowed is unpacked."""

from __future__ import annotations

import zlib

ACCEPTED = "gzip, deflate"
"""What requests say that their answers may be encoded in."""

_LAYERS_MAX = 4
_ZLIB_HEAD = 2
_GZIP_BITS = zlib.MAX_WBITS | 16


class BodyTooLong(Exception):
    """There is more than is allowed."""


class BodyBroken(ValueError):
    """The bytes are not what `Content-Encoding` says."""


class Unpacker:
    """Unpacks one body. An encoding that requests do not ask for is left as it is, with all that lies under it."""

    def __init__(self, content_encoding: str, bytes_max: int) -> None:
        """Raises BodyBroken."""
        names = [each.strip().lower() for each in content_encoding.split(",") if each.strip()]
        if len(names) > _LAYERS_MAX:
            raise BodyBroken(f"the body is encoded more than {_LAYERS_MAX} times")
        self._layers: list[_Layer] = []
        for name in reversed(names):
            if name == "identity":
                continue
            if name not in _LAYERS:
                break
            self._layers.append(_LAYERS[name]())
        self._left = bytes_max

    def unpack(self, piece: bytes) -> bytes:
        """What the next bytes hold. Raises BodyTooLong, BodyBroken."""
        for layer in self._layers:
            # What comes out of each layer is bounded, and not of the last one alone.
            piece = layer.unpack(piece, self._left + 1)
        if len(piece) > self._left:
            raise BodyTooLong
        self._left -= len(piece)
        return piece

    def end(self) -> None:
        """There are no more bytes. Raises BodyBroken where some are missing."""
        if any(layer.is_cut for layer in self._layers):
            raise BodyBroken("the compressed body ends too early")


class _Layer:
    """One gzip or zlib stream. What follows its end is ignored."""

    def __init__(self) -> None:
        self._stream = self._begun()
        self._has_begun = False

    @property
    def is_cut(self) -> bool:
        """Whether it has begun and not ended."""
        return self._has_begun and not self._stream.eof

    def unpack(self, piece: bytes, length_max: int) -> bytes:
        if not piece or self._stream.eof:
            return b""
        self._has_begun = True
        try:
            unpacked = self._stream.decompress(piece, length_max)
        except zlib.error as error:
            raise BodyBroken(str(error)) from error
        if len(unpacked) == length_max:
            raise BodyTooLong
        return unpacked

    def _begun(self) -> zlib._Decompress:
        return zlib.decompressobj(_GZIP_BITS)


class _Deflate(_Layer):
    """Some servers send a bare deflate stream under that name: the first two bytes tell."""

    def __init__(self) -> None:
        super().__init__()
        self._head: bytes | None = b""

    def unpack(self, piece: bytes, length_max: int) -> bytes:
        if self._head is not None:
            self._head += piece
            self._has_begun = bool(self._head)
            if len(self._head) < _ZLIB_HEAD:
                return b""
            piece, self._head = self._head, None
            if piece[0] & 15 != zlib.DEFLATED or int.from_bytes(piece[:2], "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().unpack(piece, length_max)

    def _begun(self) -> zlib._Decompress:
        return zlib.decompressobj()


_LAYERS = {"gzip": _Layer, "x-gzip": _Layer, "deflate": _Deflate}
