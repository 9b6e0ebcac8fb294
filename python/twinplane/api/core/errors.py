"""Kong's error bodies: the one place that words what a user of an entity endpoint is told.

Codes, names and texts are Kong's, since clients read them. Takes errors as data; decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from twinplane.api.core.decode import SeveralTypes, UnreadableBody, UnsupportedType
from twinplane.api.core.dispatch import MalformedPath
from twinplane.api.core.message import NOT_FOUND, Answer, html_page, json_answer, message
from twinplane.api.core.paging import BadSize, BadTags
from twinplane.api.core.workers import WorkersBusy
from twinplane.control import errors as refused
from twinplane.schema import SchemaViolation

_NAMES: Final = {
    1: "invalid primary key",
    2: "schema violation",
    3: "primary key violation",
    4: "foreign key violation",
    5: "unique constraint violation",
    6: "not found",
    7: "invalid offset",
    9: "invalid size",
    10: "invalid unique",
    11: "invalid options",
    12: "operation unsupported",
    13: "foreign keys unresolved",
    14: "invalid declarative configuration",
    19: "referenced by others",
}
_SNI_NOT_FOUND: Final = message(404, "SNI not found")
_STATUSES: Final = {5: 409, 6: 404, 8: 500, 12: 405}


def kong_error(code: int, text: str, more: Mapping[str, Any] | None = None, *, name: str | None = None) -> Answer:
    """An error body with a code, its name, a message, and what the code carries besides."""
    body = {"code": code, "name": name or _NAMES[code], "message": text, **(more or {})}
    return json_answer(_STATUSES.get(code, 400), body)


def key_text(value: Any) -> str:
    """A key as messages show it: `{name="x",upstream={id="…"}}`."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}={key_text(inner)}" for name, inner in sorted(value.items())) + "}"
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def schema_violation(fields: Mapping[str, Any], text: str) -> Answer:
    """Everything that is wrong with a body."""
    return kong_error(2, text, {"fields": fields})


def answer_for(error: Exception) -> Answer | None:
    """The answer to a refusal; None for an error that no client caused."""
    for kind in type(error).__mro__:
        if kind in _FIXED:
            return _FIXED[kind]
        if kind in _WORDED:
            return _WORDED[kind](error)
    return None


def _schema(error: SchemaViolation) -> Answer:
    return schema_violation(error.errors, error.message())


def _invalid_primary_key(error: refused.InvalidPrimaryKey) -> Answer:
    listed = ",".join(f'{name}="{reason}"' for name, reason in sorted(error.fields.items()))
    return kong_error(1, f"invalid primary key: '{{{listed}}}'", {"fields": error.fields})


def _primary_key(error: refused.PrimaryKeyViolation) -> Answer:
    # A null id is spelt as the real node's runtime spells it (vectors: services/create-id-null).
    shown = {name: "userdata: NULL" if value is None else value for name, value in error.key.items()}
    return kong_error(3, f"primary key violation on key '{key_text(shown)}'", {"fields": error.key})


def _foreign_key(error: refused.ForeignKeyViolation) -> Answer:
    text = f"the foreign key '{key_text(error.key)}' does not reference an existing '{error.target}' entity."
    return kong_error(4, text, {"fields": {error.field: error.key}})


def _referenced(error: refused.ReferencedViolation) -> Answer:
    text = f"an existing '{error.by}' entity references this '{error.type_name}' entity"
    return kong_error(4, text, {"fields": {"@referenced_by": error.by}})


def _unique(error: refused.UniqueViolation) -> Answer:
    return kong_error(5, f"UNIQUE violation detected on '{key_text(error.fields)}'", {"fields": error.fields})


def absent(error: refused.NotFound) -> Answer:
    """What asking for something absent is told. Only a certificate is reached through a name that is not its own."""
    return _SNI_NOT_FOUND if error.kind == "snis" and "name" in error.key else NOT_FOUND


def not_found_by_key(key: Mapping[str, Any]) -> Answer:
    """What changing something absent is told, with the key it was looked up by."""
    what = "primary key " if set(key) == {"id"} else ""
    return kong_error(6, f"could not find the entity with {what}'{key_text(key)}'", {"fields": key})


def _offset(error: refused.InvalidOffset) -> Answer:
    return kong_error(7, f"'{error.offset}' is not a valid offset: {error.reason}")


def _control_size(error: refused.InvalidSize) -> Answer:
    return kong_error(9, f"size must be an integer between 1 and {error.size_max}")


def _size(error: BadSize) -> Answer:
    return kong_error(9, "size must be an integer between 1 and 1000" if error.is_number else "size must be a number")


def _invalid_key(error: refused.InvalidKey) -> Answer:
    return kong_error(10, error.reason, name=f"{_NAMES[10]} {error.field}")


def _without_store(error: refused.WithoutStore) -> Answer:
    by = "" if error.by is None else f" by '{error.by}'"
    return kong_error(12, f"cannot {error.doing} '{error.type_name}' entities{by} when not using a database")


def _options(options: Mapping[str, str]) -> Answer:
    many = len(options) > 1
    listed = "; ".join(f"{name}: {reason}" for name, reason in sorted(options.items()))
    text = f"{len(options)} invalid options ({listed})" if many else f"invalid option ({listed})"
    return kong_error(11, text, {"options": options})


def _unresolved(error: refused.ForeignKeysUnresolved) -> Answer:
    reasons, fields = [], {}
    for field, (key, value, target) in sorted(error.references.items()):
        reason = f"the foreign key cannot be resolved with '{key_text({key: value})}' for an existing '{target}' entity"
        reasons.append(f"{field}.{key}: {reason}")
        fields[field] = {key: reason}
    head = "foreign key unresolved" if len(reasons) == 1 else f"{len(reasons)} foreign keys unresolved"
    return kong_error(13, f"{head} ({'; '.join(reasons)})", {"fields": fields})


def _still_referenced(error: refused.StillReferenced) -> Answer:
    what = error.type_name.removesuffix("s").replace("_", " ")
    return kong_error(19, f"{what} {error.id} is still referenced by {error.by} (id = {error.by_id})")


def _declarative(error: refused.DeclarativeViolation) -> Answer:
    more: dict[str, Any] = {"fields": error.fields}
    if error.flattened:
        more["flattened_errors"] = list(error.flattened)
    return kong_error(14, "declarative config is invalid", more)


_WORDED: Final[Mapping[type, Callable[[Any], Answer]]] = {
    SchemaViolation: _schema,
    refused.InvalidPrimaryKey: _invalid_primary_key,
    refused.PrimaryKeyViolation: _primary_key,
    refused.ForeignKeyViolation: _foreign_key,
    refused.ReferencedViolation: _referenced,
    refused.UniqueViolation: _unique,
    refused.NotFound: lambda error: absent(error) if error.parent else NOT_FOUND,
    refused.UnknownType: lambda error: message(404, f"No entity named '{error.type_name}'"),
    refused.InvalidOffset: _offset,
    refused.InvalidSize: _control_size,
    refused.InvalidKey: _invalid_key,
    refused.WithoutStore: _without_store,
    refused.InvalidOptions: lambda error: _options(error.options),
    refused.ForeignKeysUnresolved: _unresolved,
    refused.StillReferenced: _still_referenced,
    refused.DeclarativeViolation: _declarative,
    refused.ReadOnly: lambda error: message(
        403, f"The entities of control plane {error.control_plane} are written by its ingress controller alone"
    ),
    refused.LimitExceeded: lambda error: message(413, f"{error.what} exceeds the limit of {error.limit}"),
    BadSize: _size,
    BadTags: lambda error: _options({"tags": error.reason}),
}
_FIXED: Final[Mapping[type, Answer]] = {
    refused.StoreBusy: message(503, "The store is busy, try again"),
    refused.StoreError: message(503, "The store cannot be used"),
    UnsupportedType: html_page(415),
    UnreadableBody: message(400, "Cannot parse JSON body"),
    SeveralTypes: message(400, "Several Content-Type headers"),
    MalformedPath: html_page(400, closes=True),
    WorkersBusy: message(503, "Too many requests at once, try again"),
}
