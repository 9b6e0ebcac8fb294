"""Arguments of lists."""

from __future__ import annotations

import pytest

from twinplane.api.core.message import Query
from twinplane.api.core.paging import BadSize, BadTags, page_body, read_page


def read(text: str, *, accepts_empty_offset: bool = False) -> object:
    return read_page(Query(text.encode()), accepts_empty_offset=accepts_empty_offset)


@pytest.mark.parametrize(("text", "size"), [("", 100), ("size=7", 7), ("size=1e2", 100), ("size=%2010", 10)])
def test_size_is_read_leniently(text: str, size: int) -> None:
    assert read(text).size == size  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["size=abc", "size=", "size", "size=1&size=2"])
def test_size_that_is_no_number(text: str) -> None:
    with pytest.raises(BadSize) as caught:
        read(text)
    assert not caught.value.is_number


@pytest.mark.parametrize("text", ["size=0", "size=-1", "size=1001", "size=1.5"])
def test_size_out_of_range(text: str) -> None:
    with pytest.raises(BadSize) as caught:
        read(text)
    assert caught.value.is_number


def test_empty_offset_counts_as_none_where_the_face_says_so() -> None:
    assert read("offset=", accepts_empty_offset=True).offset is None  # type: ignore[attr-defined]
    assert read("offset=").offset == ""  # type: ignore[attr-defined]


def test_tags_pass_on_as_one_expression() -> None:
    assert read("tags=a&tags=b").tags == "a,b"  # type: ignore[attr-defined]
    assert read("tags=a%2Fb").tags == "a/b"  # type: ignore[attr-defined]
    assert read("tags=").tags == ""  # type: ignore[attr-defined]
    with pytest.raises(BadTags):
        read("tags")


def test_offset_stands_in_an_answer_only_where_more_follows() -> None:
    last = page_body([], path="/services", offset=None, repeated={"size": "2"})
    assert last == {"data": [], "next": None}
    page = page_body([{"id": 1}], path="/services", offset="W/=", repeated={"size": "2", "tags": "a,b"})
    assert page["next"] == "/services?offset=W%2F%3D&size=2&tags=a%2Cb"
    assert page["offset"] == "W/="
