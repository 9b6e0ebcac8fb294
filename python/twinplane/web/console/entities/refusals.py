"""Refusals of `control` as problems beside fields: the same violations that the API tells, in the form's own shape."""

from __future__ import annotations

from typing import Any

import orjson

from twinplane.api.core.errors import answer_for
from twinplane.control.errors import (
    ForeignKeyViolation,
    NotFound,
    ReferencedViolation,
    StillReferenced,
    UniqueViolation,
)
from twinplane.schema import ENTITY, SchemaViolation
from twinplane.web.console.entities.kinds import KINDS


def problems_of(error: Exception) -> dict[str, Any]:
    """Problems by field; what belongs to no field stands under the name for the whole."""
    if isinstance(error, SchemaViolation):
        return dict(error.errors)
    if isinstance(error, UniqueViolation):
        return dict.fromkeys(error.fields, "is taken already") or {ENTITY: "Something alike is there already."}
    if isinstance(error, ForeignKeyViolation):
        return {error.field: "does not exist"}
    if isinstance(error, ReferencedViolation | StillReferenced):
        return {ENTITY: _still_named(error)}
    if isinstance(error, NotFound):
        return {ENTITY: "It does not exist any more."}
    answer = answer_for(error)
    if answer is not None and answer.body:
        body = orjson.loads(answer.body)
        if isinstance(body, dict) and body.get("message"):
            return {ENTITY: str(body["message"])}
    return {ENTITY: "It was refused."}


def _still_named(error: ReferencedViolation | StillReferenced) -> str:
    by = error.by
    plural = KINDS[by].plural.lower() if by in KINDS else "other entities"
    return f"It cannot be deleted: {plural} still name it."
