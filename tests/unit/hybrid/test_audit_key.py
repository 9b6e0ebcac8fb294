"""The key frame: it comes back as it went, and a wrong one is refused."""

from __future__ import annotations

import base64
import gzip

import orjson
import pytest

from twinplane.hybrid.audit_key import AuditKey, decode_audit_key, encode_audit_key
from twinplane.hybrid.errors import FrameInvalid

KEY = AuditKey("k1", b"s" * 32, 8071)


def test_a_key_comes_back() -> None:
    assert decode_audit_key(encode_audit_key(KEY)) == KEY


def test_other_frames_are_left_alone() -> None:
    assert decode_audit_key(gzip.compress(b"{}")) is None
    assert decode_audit_key(b'{"type":"reconfigure"}') is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"id": "x" * 65},
        {"id": 1},
        {"id": "\u00e9"},
        {"secret": "short"},
        {"secret": base64.b64encode(b"s" * 31).decode()},
        {"secret": 1},
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"port": "8071"},
        {"more": "x" * 5000},
    ],
)
def test_a_wrong_key_is_refused(change: dict[str, object]) -> None:
    body = {**orjson.loads(encode_audit_key(KEY)), **change}
    with pytest.raises(FrameInvalid):
        decode_audit_key(orjson.dumps(body))


def test_a_frame_that_breaks_off_is_refused() -> None:
    with pytest.raises(FrameInvalid):
        decode_audit_key(encode_audit_key(KEY)[:-3])
