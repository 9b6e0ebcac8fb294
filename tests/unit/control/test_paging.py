"""Promises of how lists are cut."""

from __future__ import annotations

import pytest

from twinplane.control.errors import InvalidOffset, InvalidOptions, InvalidSize
from twinplane.control.paging import TagFilter, check_size, decode_offset, encode_offset, parse_tags


def test_an_offset_leads_back_to_what_made_it() -> None:
    assert decode_offset(encode_offset("some id", 3), str, int) == ["some id", 3]


@pytest.mark.parametrize("offset", ["", "bad", "WyJhIl0", "bnVsbA==", "WzFd", "WyJhIiwiYiJd", "💥", "e30="])
def test_a_foreign_offset_is_refused(offset: str) -> None:
    with pytest.raises(InvalidOffset) as refusal:
        decode_offset(offset, str)
    assert refusal.value.offset == offset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", TagFilter(("a",), match_all=True)),
        ("a,b", TagFilter(("a", "b"), match_all=True)),
        ("a/b", TagFilter(("a", "b"), match_all=False)),
        ("a b", TagFilter(("a b",), match_all=True)),
        ("é", TagFilter(("é",), match_all=True)),
        ("a,", TagFilter(("a", ""), match_all=True)),
    ],
)
def test_tag_filters_are_read(text: str, expected: TagFilter) -> None:
    assert parse_tags(text, 5) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be null"),
        ("a,b/c", "invalid filter syntax"),
        ("/a", "invalid filter syntax"),
        ("a//b", "invalid filter syntax"),
        ("a,,b", "invalid filter syntax"),
        ("\x00", "invalid filter syntax"),
        ("a,b,c,d,e,f", "cannot query more than 5 tags"),
    ],
)
def test_malformed_tag_filters_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidOptions) as refusal:
        parse_tags(text, 5)
    assert refusal.value.options == {"tags": reason}


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(InvalidSize):
        check_size(size, 1000)
