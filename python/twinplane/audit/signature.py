"""The HMAC of a line: in its structured data, over every other byte of it. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from twinplane.audit.line import AUTH_ELEMENT, Line

KEY_BYTES = 32
_EMPTY = '[auth@32473 key="{}" mac=""]'


def auth_element(key_id: str) -> tuple[str, Mapping[str, str]]:
    """The element of a line that is still to be signed."""
    return AUTH_ELEMENT, {"key": key_id, "mac": ""}


def sign(line: bytes, key_id: str, secret: bytes) -> bytes:
    """Fill in the HMAC of a line that carries an empty one."""
    place = _EMPTY.format(key_id).encode()
    before, found, after = line.partition(place)
    if not found:
        raise ValueError("the line has no place for a signature")
    mac = hmac.digest(secret, line, "sha256").hex().encode()
    return before + place[:-2] + mac + place[-2:] + after


def is_signed_by(line: Line, secret: bytes) -> bool:
    """Whether the HMAC of a line is right."""
    begin, end = line.spans.get((AUTH_ELEMENT, "mac"), (0, 0))
    if begin == end:
        return False
    expected = hmac.digest(secret, line.raw[:begin] + line.raw[end:], "sha256").hex()
    return hmac.compare_digest(line.raw[begin:end], expected.encode())
