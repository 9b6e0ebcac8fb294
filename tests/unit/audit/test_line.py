"""Lines of RFC 5424: what is written comes back, what is wrong is refused, nothing can be forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinplane.audit.cef import CefEvent, parse_extension
from twinplane.audit.line import EVENT_ELEMENT, ORIGIN_ELEMENT, Draft, LineInvalid, parse_line, printable
from twinplane.audit.signature import auth_element, is_signed_by, sign

AT = 1_800_000_000.125
SECRET = b"k" * 32


def draft(**said: str) -> Draft:
    return Draft(5, AT, "host", "twinplane", "7", "access", [(ORIGIN_ELEMENT, {"seq": "1"}), (EVENT_ELEMENT, said)])


def test_a_line_comes_back_as_it_was_written() -> None:
    raw = draft(path='/a]"\\b', method="GET").encode()
    assert raw.startswith(b"<109>1 2027-01-15T08:00:00.125Z host twinplane 7 access [twinplane@32473 seq=")
    line = parse_line(raw)
    assert (line.at, line.hostname, line.app, line.message_id) == (AT, "host", "twinplane", "access")
    assert line.elements[EVENT_ELEMENT] == {"path": '/a]"\\b', "method": "GET"}
    assert line.message == ""


@given(st.text(max_size=300))
def test_no_value_ends_its_line_or_leaves_its_place(text: str) -> None:
    raw = draft(path=text, last="1").encode()
    assert raw.decode().isprintable()
    line = parse_line(raw)
    assert line.elements[EVENT_ELEMENT] == {"path": printable(text), "last": "1"}
    assert list(line.elements) == [ORIGIN_ELEMENT, EVENT_ELEMENT]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for given_bytes in (raw, b"<13>1 - - - - - " + raw):
        try:
            line = parse_line(given_bytes)
        except LineInvalid:
            continue
        assert line.message.isprintable()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<13>1 x",
        b"<192>1 - - - - - -",
        b"<013>1 - - - - - -",
        b"<13>2 - - - - - -",
        b"<13>1 - - - - - [a]x",
        b"<13>1 - - - - - [a b]",
        b'<13>1 - - - - - [a b="c]',
        b'<13>1 - - - - - [a b="c"][a d="e"]',
        b'<13>1 - - - - - [a b="c" b="d"]',
        b"<13>1 - - - - - x",
        b"<13>1 - - - - - " + b"".join(b"[e%d]" % number for number in range(17)),
    ],
)
def test_what_is_no_line_is_refused(raw: bytes) -> None:
    with pytest.raises(LineInvalid):
        parse_line(raw)


def test_a_moment_that_is_none_is_left_out() -> None:
    for moment in (b"-", b"2026-13-01T00:00:00Z", b"2026-01-01", b"x" * 64):
        assert parse_line(b"<13>1 " + moment + b" - - - - -").at is None


def test_a_signature_covers_every_byte() -> None:
    unsigned = Draft(5, AT, "h", "twinplane", "7", "a", [*draft(path="/x").elements, auth_element("k1")]).encode()
    raw = sign(unsigned, "k1", SECRET)
    assert is_signed_by(parse_line(raw), SECRET)
    assert not is_signed_by(parse_line(raw), b"other" * 8)
    assert not is_signed_by(parse_line(unsigned), SECRET)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            assert not is_signed_by(parse_line(changed), SECRET)
        except LineInvalid:
            continue
    with pytest.raises(ValueError, match="no place"):
        sign(draft().encode(), "k1", SECRET)


def test_a_value_that_looks_like_a_signature_is_not_signed_instead() -> None:
    fake = '[auth@32473 key="k1" mac=""]'
    elements = [(EVENT_ELEMENT, {"path": fake}), auth_element("k1")]
    raw = sign(Draft(5, AT, "h", "twinplane", "7", "a", elements).encode(), "k1", SECRET)
    line = parse_line(raw)
    assert line.value(EVENT_ELEMENT, "path") == fake
    assert is_signed_by(line, SECRET)


@given(st.dictionaries(st.from_regex(r"[a-zA-Z]{1,10}", fullmatch=True), st.text(max_size=60), max_size=6))
def test_fields_of_cef_come_back(fields: dict[str, str]) -> None:
    text = CefEvent("node", "1|0", "access", "a|b\\c", 3, fields).encode()
    assert text.isprintable()
    assert parse_extension(text) == {name: printable(value).strip() for name, value in fields.items()}


def test_what_is_no_cef_has_no_fields() -> None:
    for text in ("", "CEF:0|a|b", "CEF:2|a|b|c|d|e|1|x=1", "a CEF:0|a|b|c|d|e|1|x=1"):
        assert parse_extension(text) == {}
