"""Refusals as problem details."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from twinplane.api.konnect.errors import Problem, invalid_parameters, problem_answer, problem_for
from twinplane.api.konnect.models import CreateControlPlane
from twinplane.control import errors as refused


def test_every_fault_of_a_body_is_told_with_its_rule() -> None:
    body = {
        "name": "x",
        "description": "d" * 3000,
        "cluster_type": "NOSUCH",
        "cloud_gateway": "yes",
        "proxy_urls": [{"host": "", "port": 0}] * 6,
        "labels": {"a": 1},
        "nosuch": 1,
    }
    with pytest.raises(ValidationError) as caught:
        CreateControlPlane.model_validate(body)
    found = invalid_parameters({**error, "loc": ("body", *error["loc"])} for error in caught.value.errors())
    rules = {entry.field: entry.rule for entry in found}
    assert rules == {
        "name": "min_length",
        "description": "max_length",
        "cluster_type": "enum",
        "cloud_gateway": "is_boolean",
        "proxy_urls": "max_items",
        "labels.a": "is_string",
        "nosuch": "unknown_property",
    }
    choices = next(entry.extra["choices"] for entry in found if entry.rule == "enum")
    assert "CLUSTER_TYPE_SERVERLESS" in choices
    assert all(entry.source == "body" for entry in found)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Problem(403, "no"), 403),
        (refused.NotFound("control_planes", {"id": "x"}), 404),
        (refused.NameTaken("control_planes", "name", "x"), 409),
        (refused.Predefined("control_planes", "default"), 403),
        (refused.InvalidParameters([refused.InvalidParameter("name", "required", "is missing")]), 400),
        (refused.TokenExpired(), 401),
        (refused.StoreError(), 503),
    ],
)
def test_refusal_is_a_problem(error: Exception, status: int) -> None:
    problem = problem_for(error)
    assert problem is not None
    answer = problem_answer(problem)
    body = json.loads(answer.body)
    assert body["status"] == answer.status == status
    assert {"title", "instance", "detail"} <= body.keys()
    assert ("invalid_parameters" in body) == (status == 400)


def test_error_of_our_own_is_no_problem_of_the_client() -> None:
    assert problem_for(ValueError("x")) is None
