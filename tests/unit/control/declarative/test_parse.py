"""Promises of reading the text of a document."""

from __future__ import annotations

import pytest

from twinplane.control.declarative import parse
from twinplane.control.errors import DeclarativeViolation, LimitExceeded


def test_json_and_yaml_are_read() -> None:
    expected = {"_format_version": "3.0", "services": [{"name": "a", "port": 80}]}
    assert parse(b' {"_format_version": "3.0", "services": [{"name": "a", "port": 80}]}') == expected
    assert parse(b'_format_version: "3.0"\nservices:\n- name: a\n  port: 80\n') == expected


def test_what_looks_like_a_date_stays_text() -> None:
    assert parse(b"tags: [2026-11-21]") == {"tags": ["2026-11-21"]}


@pytest.mark.parametrize("text", [b"abc", b"", b"[1]", b"- a", b"5"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(DeclarativeViolation) as refusal:
        parse(text)
    assert refusal.value.fields == {"error": "failed parsing declarative configuration: expected an object"}


@pytest.mark.parametrize("text", [b"a: [b", b'{"a": ', b"a: &x [*y]", b"\xff\xfe\x00", b"!!python/object:os.system x"])
def test_malformed_text_is_refused(text: bytes) -> None:
    with pytest.raises(DeclarativeViolation) as refusal:
        parse(text)
    assert refusal.value.fields["error"].startswith("failed parsing declarative configuration: ")


def test_a_text_that_unfolds_without_end_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(LimitExceeded):
        parse("\n".join(lines).encode())


def test_deep_nesting_is_refused() -> None:
    with pytest.raises((LimitExceeded, DeclarativeViolation)):
        parse(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
    with pytest.raises(LimitExceeded):
        parse(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
