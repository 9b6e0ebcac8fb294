"""Bodies become fields: JSON, forms, multipart."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinplane.api.core.decode import (
    SeveralTypes,
    UnreadableBody,
    UnsupportedType,
    decode,
    field_specs,
    infer_record,
)
from twinplane.api.core.message import Query, Request
from twinplane.api.core.numerals import parse_number

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def request(body: bytes, *kinds: str) -> Request:
    headers = tuple((b"content-type", kind.encode()) for kind in kinds)
    return Request("POST", "/services", Query(b""), headers, body)


def form(text: str) -> dict[str, object]:
    return decode(request(text.encode(), FORM)).fields


def test_json_object_is_read_and_typed() -> None:
    body = decode(request(b'{"host":"h","port":81}', JSON + "; charset=utf-8"))
    assert body.fields == {"host": "h", "port": 81}
    assert body.typed


def test_empty_array_counts_as_an_empty_object() -> None:
    assert decode(request(b"[]", JSON)).fields == {}


@pytest.mark.parametrize(
    "text", [b"null", b"5", b'"x"', b"true", b"[1]", b'[{"host":"a"}]', b"", b"  ", b"{bad", b"{}x"]
)
def test_json_that_is_no_object_is_unreadable(text: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode(request(text, JSON))


def test_numbers_that_json_lacks_reach_the_schema() -> None:
    assert decode(request(b'{"a":Infinity}', JSON)).fields == {"a": float("inf")}


def test_invalid_utf8_and_lone_surrogates_are_unreadable() -> None:
    for text in (b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":"\\ud800", "b":NaN}'):
        with pytest.raises(UnreadableBody):
            decode(request(text, JSON))


def test_deep_nesting_is_unreadable_at_every_depth_beyond_the_limit() -> None:
    for depth in (129, 500, 2000, 200_000):
        with pytest.raises(UnreadableBody):
            decode(request(b'{"a":' + b"[" * depth + b"]" * depth + b"}", JSON))
    wide = b'{"a":[' + b",".join([b"{}"] * 5000) + b"]}"
    assert len(decode(request(wide, JSON)).fields["a"]) == 5000


def test_media_types_are_told_apart_by_exact_beginnings() -> None:
    for kind in ("text/plain", "APPLICATION/JSON", "application/vnd.api+json"):
        with pytest.raises(UnsupportedType):
            decode(request(b"{}", kind))
    with pytest.raises(UnsupportedType):
        decode(request(b"{}"))
    with pytest.raises(SeveralTypes):
        decode(request(b"{}", JSON, "text/plain"))
    assert decode(request(b"")).fields == {}


def test_form_names_unfold_into_records_and_lists() -> None:
    assert form("a.b=1&a[c]=2&l[]=x&l[]=y&n[1]=p&n[2]=q&r=1&r=2") == {
        "a": {"b": "1", "c": "2"},
        "l": ["x", "y"],
        "n": ["p", "q"],
        "r": ["1", "2"],
    }
    assert form("sources[1].ip=1.2.3.4&sources[1].port=80&sources[2].port=81") == {
        "sources": [{"ip": "1.2.3.4", "port": "80"}, {"port": "81"}]
    }


def test_list_with_gaps_or_a_zero_stays_a_record() -> None:
    assert form("t[0]=a&t[1]=b") == {"t": {"0": "a", "1": "b"}}
    assert form("t[1]=a&t[5]=b") == {"t": {"1": "a", "5": "b"}}


def test_form_decodes_blanks_bare_names_and_junk() -> None:
    assert form("&&==&name=a+b%2Fc&flag&=") == {"name": "a b/c", "flag": True}


def test_multipart_keeps_the_last_of_repeated_parts() -> None:
    text = b'--XX\r\nContent-Disposition: form-data; name="tags"\r\n\r\na\r\n' * 1
    text += b'--XX\r\nContent-Disposition: form-data; name="tags"\r\n\r\nb\r\n--XX--\r\n'
    body = decode(request(text, "multipart/form-data; boundary=XX"))
    assert body.fields == {"tags": "b"}
    assert not body.typed
    assert decode(request(b"x", "multipart/form-data")).fields == {}


def test_form_values_are_read_as_the_types_of_the_schema() -> None:
    specs = field_specs(
        {
            "fields": [
                {"port": {"type": "integer"}},
                {"enabled": {"type": "boolean"}},
                {"tags": {"type": "set", "elements": {"type": "string"}}},
                {"codes": {"type": "array", "elements": {"type": "integer"}}},
                {"headers": {"type": "map", "values": {"type": "array", "elements": {"type": "string"}}}},
                {"config": {"type": "record", "fields": [{"minute": {"type": "number"}}]}},
                {"name": {"type": "string"}},
            ]
        }
    )
    read = infer_record(
        {
            "port": "0x10",
            "enabled": "true",
            "tags": "a",
            "codes": ["1", "x"],
            "headers": {"h": "1"},
            "config": {"minute": "1.5"},
            "name": "",
            "nosuch": "1",
        },
        specs,
    )
    assert read == {
        "port": 16,
        "enabled": True,
        "tags": ["a"],
        "codes": [1, "x"],
        "headers": {"h": ["1"]},
        "config": {"minute": 1.5},
        "name": None,
        "nosuch": "1",
    }


def test_numbers_in_texts() -> None:
    assert [parse_number(text) for text in ("1e2", " 10", "0x10", "-3", "1.5", "+7")] == [100, 10, 16, -3, 1.5, 7]
    assert all(parse_number(text) is None for text in ("", "abc", "1_0", "nan", "inf", "0x", "1" * 200, "٣"))


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, "multipart/form-data; boundary=X", "text/plain"]))
def test_no_body_breaks_the_decoder(body: bytes, kind: str) -> None:
    with contextlib.suppress(UnreadableBody, UnsupportedType):
        assert isinstance(decode(request(body, kind)).fields, dict)
