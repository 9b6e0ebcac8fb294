"""The one line that sums violations up, as clients of Kong read it."""

from __future__ import annotations

from twinplane.schema import SchemaViolation


def test_one_violation_has_no_count() -> None:
    assert (
        SchemaViolation({"host": "required field missing"}).message()
        == "schema violation (host: required field missing)"
    )


def test_several_are_counted_and_sorted_with_those_of_the_whole_first() -> None:
    violation = SchemaViolation({"b": "x", "a": "y", "@entity": ["whole"]})
    assert violation.message() == "3 schema violations (whole; a: y; b: x)"


def test_places_in_lists_count_from_one() -> None:
    assert SchemaViolation({"paths": [None, "bad"]}).message() == "schema violation (paths.2: bad)"


def test_deep_violations_are_shown_as_a_table() -> None:
    violation = SchemaViolation({"healthchecks": {"active": {"unhealthy": {"http_statuses": ["x"]}}}})
    assert violation.message() == (
        'schema violation (healthchecks.active: {\n  unhealthy = {\n    http_statuses = {\n      "x"\n    }\n  }\n})'
    )


def test_gaps_in_deep_lists_name_the_place() -> None:
    violation = SchemaViolation({"config": {"origins": [None, "x"]}})
    assert violation.message() == 'schema violation (config.origins: {\n  [2] = "x"\n})'
