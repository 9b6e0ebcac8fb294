"""Problem details: the one place that words what a user of a Konnect resource is told.

Core entities do not pass here; they answer in Kong's form (`api/core/errors.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from twinplane.api.core.message import Answer, encode_json
from twinplane.api.core.workers import WorkersBusy
from twinplane.control import errors as refused
from twinplane.control.errors import InvalidParameter

PROBLEM_TYPE: Final = (b"content-type", b"application/problem+json")

_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_TYPES: Final = {
    400: "https://httpstatuses.io/400",
    401: "https://httpstatuses.io/401",
    404: "https://httpstatuses.io/404",
    409: "https://httpstatuses.io/409",
}


class Problem(Exception):
    """An answer other than success, raised anywhere in this face."""

    def __init__(self, status: int, detail: str, invalid: Sequence[InvalidParameter] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.invalid = tuple(invalid)

    def as_json(self, trace: str) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {
            "status": self.status,
            "title": _TITLES.get(self.status, "Error"),
            "type": _TYPES.get(self.status, "about:blank"),
            "instance": f"kong:trace:{trace}",
            "detail": self.detail,
        }
        if self.status == 400:
            told = self.invalid or (InvalidParameter("body", "invalid", self.detail),)
            body["invalid_parameters"] = [_parameter_json(entry) for entry in told]
        return body


def _parameter_json(entry: InvalidParameter) -> dict[str, Any]:
    named = {"field": entry.field, "rule": entry.rule, "reason": entry.reason, "source": entry.source}
    return {**named, **entry.extra}


def problem_answer(problem: Problem) -> Answer:
    """A problem as an answer."""
    return Answer(problem.status, encode_json(problem.as_json(uuid.uuid4().hex)), (PROBLEM_TYPE,))


_KINDS: Final = {
    "control_planes": "Control plane",
    "nodes": "Node",
    "node_certificates": "Data plane client certificate",
    "tokens": "Token",
    "users": "User",
    "organizations": "Organization",
}


def problem_for(error: Exception) -> Problem | None:
    """The problem that words a refusal of a use case; None for an error that no client caused."""
    match error:
        case Problem():
            return error
        case refused.InvalidParameters():
            return Problem(400, "Invalid parameters", error.parameters)
        case refused.NotFound():
            shown = ", ".join(str(value) for value in error.key.values())
            return Problem(404, f"{_KINDS.get(error.kind, error.kind)} [{shown}] was not found")
        case refused.NameTaken():
            kind = _KINDS.get(error.kind, error.kind)
            return Problem(409, f"{kind} with {error.field} [{_shortened(error.value)}] exists already")
        case refused.Predefined():
            return Problem(403, f"{_KINDS.get(error.kind, error.kind)} [{error.name}] is predefined and stays")
        case refused.ReadOnly():
            return Problem(403, f"Control plane [{error.control_plane}] is written by its ingress controller alone")
        case refused.LimitExceeded():
            return Problem(403, f"The limit of {error.limit} {error.what} is reached")
        case refused.InvalidOffset():
            return Problem(
                400, "Invalid parameters", [InvalidParameter("page[after]", "invalid", error.reason, "query")]
            )
        case refused.TokenInvalid():
            return Problem(401, "Unauthenticated")
        case refused.StoreError() | WorkersBusy():
            return Problem(503, "The service is busy or its store cannot be used, try again")
    return None


def _shortened(value: str) -> str:
    return value if len(value) <= 80 else value[:77] + "..."


def invalid_parameters(errors: Iterable[Mapping[str, Any]]) -> list[InvalidParameter]:
    """The errors of a pydantic model in the words of this API."""
    found = []
    for error in errors:
        place = list(error["loc"])
        source = str(place.pop(0)) if place and place[0] in {"body", "query", "path", "header"} else "body"
        name = ".".join(str(part) for part in place) or source
        rule, more = _rule(error)
        found.append(InvalidParameter(name, rule, _reason(error, name), source, more))
    return found


_RULES: Final = {
    "missing": "required",
    "string_type": "is_string",
    "int_type": "is_integer",
    "int_parsing": "is_integer",
    "int_from_float": "is_integer",
    "float_type": "is_number",
    "float_parsing": "is_number",
    "bool_type": "is_boolean",
    "bool_parsing": "is_boolean",
    "list_type": "is_array",
    "dict_type": "is_object",
    "model_type": "is_object",
    "model_attributes_type": "is_object",
    "uuid_parsing": "is_uuid",
    "uuid_type": "is_uuid",
    "datetime_parsing": "is_date_time",
    "datetime_from_date_parsing": "is_date_time",
    "string_pattern_mismatch": "matches_regex",
    "extra_forbidden": "unknown_property",
    "label": "is_label",
}
_BOUNDS: Final = {
    "string_too_short": ("min_length", "minimum", "min_length"),
    "string_too_long": ("max_length", "maximum", "max_length"),
    "too_short": ("min_items", "minimum", "min_length"),
    "too_long": ("max_items", "maximum", "max_length"),
    "greater_than_equal": ("min", "minimum", "ge"),
    "less_than_equal": ("max", "maximum", "le"),
}


def _rule(error: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, context = error["type"], error.get("ctx") or {}
    if kind in _BOUNDS:
        rule, name, source = _BOUNDS[kind]
        return rule, {name: context[source]}
    if kind in {"enum", "literal_error"}:
        listed = str(context.get("expected", ""))
        return "enum", {"choices": [part.strip(" '") for part in listed.replace(" or ", ",").split(",")]}
    return _RULES.get(kind, "invalid"), {}


def _reason(error: Mapping[str, Any], name: str) -> str:
    if error["type"] == "extra_forbidden":
        return f"must NOT have additional property '{name}'"
    if error["type"] == "missing":
        return f"must have required property '{name}'"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
