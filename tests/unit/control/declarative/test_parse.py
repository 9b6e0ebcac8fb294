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


def test_merges_put_pairs_before_those_of_the_mapping() -> None:
    text = b"""
    a: &a {host: a, port: 1, path: /a}
    b: &b {<<: *a, host: b}
    c: {<<: [*b, {port: 3, retries: 3}], <<: {name: c}, path: /c, =: d}
    """
    assert parse(text)["c"] == {"host": "b", "port": 1, "path": "/c", "retries": 3, "name": "c", "=": "d"}
    assert parse(b"a: &a {<<: *a, k: v}") == {"a": {"k": "v"}}


@pytest.mark.parametrize("merge", [b"<<: 5", b"<<: [{k: v}, 5]", b"<<: [[{k: v}]]"])
def test_what_is_no_mapping_is_not_merged(merge: bytes) -> None:
    with pytest.raises(DeclarativeViolation) as refusal:
        parse(b"a: {" + merge + b"}")
    assert "expected a mapping or a list of mappings for merging" in refusal.value.fields["error"]


_MULTIPLYING = [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 30)}]" for n in range(1, 12)]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["a0: &a0 {k: v}", *_MULTIPLYING], id="merges of merges"),
        pytest.param([f"a: &a [{', '.join(['{}'] * 1500)}]", "b:", *["  <<: *a"] * 1000], id="merges of nothing"),
    ],
)
def test_merges_that_multiply_are_refused(lines: list[str]) -> None:
    with pytest.raises(LimitExceeded) as refusal:
        parse("\n".join(lines).encode())
    assert str(refusal.value) == "pairs merged by << in a declarative document: more than 1000000"


@pytest.mark.parametrize("number", ["1" + ":59" * 200, "1" + ":59" * 200 + ".5", "0x" + "f" * 400, "9" * 5000])
def test_a_number_without_end_is_refused(number: str) -> None:
    with pytest.raises(DeclarativeViolation) as refusal:
        parse(f"a: {number}".encode())
    assert refusal.value.fields["error"].endswith("1:4: a number has at most 400 characters")


@pytest.mark.parametrize(
    ("value", "kind"),
    [("!!binary aGVsbG8=", "binary"), ("!!set {a}", "set"), ("!!pairs [a: b]", "pairs"), ("!!omap [a: b]", "omap")],
)
def test_what_is_no_value_of_json_is_refused(value: str, kind: str) -> None:
    with pytest.raises(DeclarativeViolation) as refusal:
        parse(f"a: {value}".encode())
    assert refusal.value.fields["error"].endswith(f"1:4: a value of type {kind} is none of JSON")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises((LimitExceeded, DeclarativeViolation)):
        parse(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
    with pytest.raises(LimitExceeded):
        parse(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
