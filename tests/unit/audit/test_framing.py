"""Streams cut into lines, whatever the pieces; long ones cost no memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinplane.audit.framing import FrameBroken, Framer

_LINES = st.lists(st.text("<>13 ab", max_size=30).map(lambda one: b"<" + one.encode()), max_size=8)


def cut(data: bytes, size: int, framer: Framer) -> list[bytes]:
    return [line for at in range(0, len(data), size) for line in framer.feed(data[at : at + size])]


@given(_LINES, st.lists(st.booleans(), min_size=8, max_size=8), st.integers(1, 50))
def test_both_framings_may_be_mixed_and_cut_anywhere(lines: list[bytes], counted: list[bool], size: int) -> None:
    data = b"".join(
        str(len(line)).encode() + b" " + line if is_counted else line + b"\n"
        for line, is_counted in zip(lines, counted, strict=False)
    )
    assert cut(data, size, Framer(100)) == lines


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_long_line_is_passed_over_and_counted(size: int) -> None:
    framer = Framer(10)
    assert cut(b"<" * 500 + b"\n<after\n", size, framer) == [b"<after"]
    assert framer.too_long_total == 1


@pytest.mark.parametrize("data", [b"11 <12345678901", b"9999999", b"1x ", b"999999 "])
def test_a_wrong_or_large_count_ends_the_stream(data: bytes) -> None:
    with pytest.raises(FrameBroken):
        Framer(10).feed(data)


def test_empty_lines_are_nothing() -> None:
    assert Framer(10).feed(b"\n\r\n<a\r\n\n") == [b"<a"]
