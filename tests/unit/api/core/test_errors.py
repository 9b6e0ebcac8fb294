"""Refusals in Kong's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from twinplane.api.core.errors import answer_for, key_text, not_found_by_key
from twinplane.api.core.paging import BadSize, BadTags
from twinplane.control import errors as refused
from twinplane.schema import SchemaViolation

ID = "00000000-0000-4000-8000-000000000001"


def body_of(error: Exception) -> tuple[int, Any]:
    answer = answer_for(error)
    assert answer is not None
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (
            SchemaViolation({"host": "required field missing"}),
            400,
            2,
            "schema violation (host: required field missing)",
        ),
        (refused.PrimaryKeyViolation({"id": ID}), 400, 3, f"primary key violation on key '{{id=\"{ID}\"}}'"),
        (refused.PrimaryKeyViolation({"id": None}), 400, 3, "primary key violation on key '{id=\"userdata: NULL\"}'"),
        (
            refused.ForeignKeyViolation("service", "services", {"id": ID}),
            400,
            4,
            f"the foreign key '{{id=\"{ID}\"}}' does not reference an existing 'services' entity.",
        ),
        (
            refused.ReferencedViolation("services", "routes"),
            400,
            4,
            "an existing 'routes' entity references this 'services' entity",
        ),
        (refused.UniqueViolation({"name": "a"}), 409, 5, "UNIQUE violation detected on '{name=\"a\"}'"),
        (
            refused.UniqueViolation({"name": "acl", "route": None, "service": {"id": ID}}),
            409,
            5,
            f'UNIQUE violation detected on \'{{name="acl",route=null,service={{id="{ID}"}}}}\'',
        ),
        (refused.InvalidOffset("bad"), 400, 7, "'bad' is not a valid offset: bad json encoding"),
        (BadSize(is_number=False), 400, 9, "size must be a number"),
        (BadSize(is_number=True), 400, 9, "size must be an integer between 1 and 1000"),
        (BadTags("cannot be null"), 400, 11, "invalid option (tags: cannot be null)"),
        (
            refused.ForeignKeysUnresolved({"service": ("name", "nope", "services")}),
            400,
            13,
            "foreign key unresolved (service.name: the foreign key cannot be resolved with '{name=\"nope\"}'"
            " for an existing 'services' entity)",
        ),
        (
            refused.StillReferenced("ca_certificates", "x", "services", "y"),
            400,
            19,
            "ca certificate x is still referenced by services (id = y)",
        ),
    ],
)
def test_refusal_is_worded(error: Exception, status: int, code: int, text: str) -> None:
    answered, body = body_of(error)
    assert (answered, body["code"], body["message"]) == (status, code, text)
    assert body["name"]


def test_absent_entity_is_told_with_the_key_it_was_sought_by() -> None:
    assert b"could not find the entity with primary key '{id=" in not_found_by_key({"id": ID}).body
    assert b"could not find the entity with '{name=" in not_found_by_key({"name": "a"}).body


def test_key_text_sorts_and_quotes() -> None:
    assert key_text({"b": 1, "a": 'x"y'}) == '{a="x\\"y",b=1}'


def test_error_of_our_own_has_no_wording() -> None:
    assert answer_for(ValueError("x")) is None
