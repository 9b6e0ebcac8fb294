"""Declarations at work: defaults, normal forms, and every violation at once."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pytest

from twinplane.schema import (
    AliasRefused,
    Between,
    Defaulted,
    Entity,
    Equals,
    Length,
    Record,
    Reference,
    References,
    Required,
    Shorthand,
    at_least_one_of,
    distinct,
    mutually_exclusive,
    mutually_required,
    one_of,
    only_one_of,
    renamed,
    when,
)
from twinplane.schema.answer import answer
from twinplane.schema.read import shape_of
from twinplane.schema.shared import SetOf


class Inner(Record):
    """A part."""

    size: Annotated[int, Between(1, 9), "How big."] = 3
    colour: Annotated[Literal["red", "blue"] | None, "Which."] = None


class Whole(Entity, collection="wholes"):
    """A row."""

    name: Annotated[str, "Its name."]
    labels: Annotated[SetOf[Annotated[str, Required()]] | None, "Words."] = None
    inner: Annotated[Inner, Defaulted(), "A part."]
    other: Annotated[Inner | None, "Another part."] = None
    parts: Annotated[list[Inner] | None, "Parts."] = None
    words: Annotated[dict[str, list[str]] | None, "Words by word."] = None
    mode: Annotated[Literal["a", "b"] | None, "How."] = "a"
    left: Annotated[str | None, "One side."] = None
    right: Annotated[str | None, "The other."] = None
    owner: Annotated[Reference | None, References("owners"), "Whose."] = None

    shorthands: ClassVar = (
        renamed("title", str, "name", message="title is now name"),
        Shorthand("both", str, expand=lambda value, body: body.update(left=value, right=value)),
    )


SHAPE = shape_of(Whole)


def errors_of(**body: object) -> dict[str, object]:
    return SHAPE.violations(SHAPE.fill(body))


def test_absent_fields_get_their_defaults_and_records_are_filled() -> None:
    row = SHAPE.fill({"name": "x"})
    assert row["mode"] == "a"
    assert row["inner"] == {"size": 3, "colour": None}
    assert row["other"] is None
    assert SHAPE.violations(row) == {}


def test_null_is_not_absent() -> None:
    assert SHAPE.fill({"name": "x", "mode": None})["mode"] is None
    assert errors_of(name=None) == {"name": "required field missing"}


def test_defaults_are_not_shared_between_rows() -> None:
    SHAPE.fill({"name": "x"})["inner"]["size"] = 9
    assert SHAPE.fill({"name": "x"})["inner"]["size"] == 3


def test_sets_lose_duplicates_and_whole_numbers_lose_their_point() -> None:
    row = SHAPE.fill({"name": "x", "labels": ["a", "b", "a"], "inner": {"size": 4.0}})
    assert row["labels"] == ["a", "b"]
    assert row["inner"]["size"] == 4
    assert isinstance(row["inner"]["size"], int)


def test_empty_tables_stand_for_lists_and_maps_alike() -> None:
    row = SHAPE.fill({"name": "x", "labels": {}, "words": [], "inner": []})
    assert (row["labels"], row["words"], row["inner"]["size"]) == ([], {}, 3)
    assert SHAPE.violations(row) == {}


def test_every_violation_is_told_at_once() -> None:
    assert errors_of(
        labels=["a", 5],
        inner={"size": 10, "colour": "green"},
        parts=[{}, {"nosuch": 1}],
        words={"k": "x"},
        mode="c",
        zz=1,
    ) == {
        "name": "required field missing",
        "labels": [None, "expected a string"],
        "inner": {"size": "value should be between 1 and 9", "colour": "expected one of: red, blue"},
        "parts": [None, {"nosuch": "unknown field"}],
        "words": "expected an array",
        "mode": "expected one of: a, b",
        "zz": "unknown field",
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("x", {"id": "missing primary key"}),
        ({}, {"id": "missing primary key"}),
        ({"id": None}, {"id": "required field missing"}),
        ({"id": 5}, {"id": "expected a string"}),
        ({"id": "x"}, {"id": "expected a valid UUID"}),
        ({"id": "00000000-0000-4000-8000-000000000001"}, None),
    ],
)
def test_references_name_an_id(value: object, error: object) -> None:
    assert errors_of(name="x", owner=value).get("owner") == error


def test_a_list_given_for_a_record_is_told_by_its_places() -> None:
    assert errors_of(name="x", inner=["y"]) == {"inner": ["unknown field"]}


def test_aliases_are_spelled_out_and_shown_again() -> None:
    row = SHAPE.fill({"title": "x", "both": "y"})
    assert (row["name"], row["left"], row["right"]) == ("x", "y", "y")
    assert answer(SHAPE, row, beyond=True)["title"] == "x"


def test_an_alias_that_contradicts_its_successor_is_refused() -> None:
    with pytest.raises(AliasRefused) as refused:
        SHAPE.fill({"title": "x", "name": "y"})
    assert "mismatch: title = x vs name = y" in refused.value.errors["title"]


def test_a_patch_merges_records_and_replaces_all_else() -> None:
    row = SHAPE.fill({"name": "x", "inner": {"colour": "red"}, "words": {"k": ["v"]}})
    patch = SHAPE.fill_given({"inner": {"size": 5}, "words": {"l": []}})
    merged = SHAPE.merge(patch, row)
    assert merged["inner"] == {"size": 5, "colour": "red"}
    assert merged["words"] == {"l": []}
    assert merged["name"] == "x"


class Checked(Record):
    """Fields that depend on each other."""

    kind: Annotated[str | None, "Kind."] = None
    value: Annotated[str | None, Length(minimum=1), "Value."] = None
    a: Annotated[str | None, "A."] = None
    b: Annotated[str | None, "B."] = None


def checked(*checks: object) -> dict[str, object]:
    class Case(Checked):
        """One case."""

    Case.checks = checks  # type: ignore[assignment]
    return {"shape": shape_of(Case)}


@pytest.mark.parametrize(
    ("check", "body", "errors"),
    [
        (at_least_one_of("a", "b"), {}, {"@entity": ["at least one of these fields must be non-empty: 'a', 'b'"]}),
        (at_least_one_of("a", "b"), {"a": "x"}, {}),
        (
            only_one_of("a", "b"),
            {"a": "x", "b": "y"},
            {"@entity": ["exactly one of these fields must be non-empty: 'a', 'b'"]},
        ),
        (
            mutually_exclusive("a", "b"),
            {"a": "x", "b": "y"},
            {"@entity": ["only one or none of these fields must be set: 'a', 'b'"]},
        ),
        (mutually_required("a", "b"), {"a": "x"}, {"@entity": ["all or none of these fields must be set: 'a', 'b'"]}),
        (distinct("a", "b"), {"a": "x", "b": "x"}, {"@entity": ["values of these fields must be distinct: 'a', 'b'"]}),
        (
            when("kind", Equals("k")).then("value", Required()),
            {"kind": "k"},
            {
                "value": "required field missing",
                "@entity": ["failed conditional validation given value of field 'kind'"],
            },
        ),
        (
            when("kind", one_of("k")).then("value", one_of("v"), error="no"),
            {"kind": "k", "value": "w"},
            {"value": "expected one of: v", "@entity": ["no"]},
        ),
        (when("kind", Equals("k")).then("value", Required()), {"kind": "other"}, {}),
        (
            when("kind", Equals("k")).then_at_least_one_of("a", "b", error="must set %s"),
            {"kind": "k"},
            {"@entity": ["must set 'a', 'b'"]},
        ),
    ],
)
def test_checks_between_fields(check: object, body: dict[str, object], errors: dict[str, object]) -> None:
    shape = checked(check)["shape"]
    assert shape.violations(shape.fill(body)) == errors  # type: ignore[attr-defined]
