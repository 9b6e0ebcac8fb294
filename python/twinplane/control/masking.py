"""What nobody who reads needs to learn: secrets in rows, replaced at every depth. Pure.

A field is secret where its declaration says so (`encrypted`), where the collection is known to hold one in it, or, in
the free parts of a configuration, where its name says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.registry import entity_type, entity_types
from twinplane.schema import Field, SchemaViolation, Shape

MASK = "***"

SECRET_FIELDS: Mapping[str, frozenset[str]] = {
    "certificates": frozenset({"key", "key_alt"}),
    "keyauth_credentials": frozenset({"key"}),
    "basicauth_credentials": frozenset({"password"}),
    "hmacauth_credentials": frozenset({"secret"}),
    "jwt_secrets": frozenset({"secret"}),
    "oauth2_credentials": frozenset({"client_secret"}),
    "oauth2_tokens": frozenset({"access_token", "refresh_token"}),
    "keys": frozenset({"jwk", "pem"}),
    "acme_storage": frozenset({"value"}),
    "licenses": frozenset({"payload"}),
}
"""By collection, fields that are secret whole."""

_HOLDERS = ("config", "filters")
_WORDS = (
    "password", "secret", "token", "private_key", "api_key", "apikey", "credential", "header_value", "aws_key",
    "hmac_key", "provision_key",
)  # fmt: skip


def masked(type_name: str, row: Mapping[str, Any], mask: str = MASK) -> dict[str, Any]:
    """The row with every secret that is set replaced."""
    shape = _shape(type_name, row)
    found = _by_shape(shape, row, mask) if shape is not None else dict(row)
    for field in SECRET_FIELDS.get(type_name, ()):
        if found.get(field) is not None:
            found[field] = mask
    for field in _HOLDERS:
        if field in found:
            found[field] = _by_words(found[field], mask)
    return found


def _shape(type_name: str, row: Mapping[str, Any]) -> Shape | None:
    if type_name not in entity_types():
        return None
    entity = entity_type(type_name)
    try:
        return entity.shape_for(row)
    except SchemaViolation:
        return entity.shape


def _by_shape(shape: Shape, row: Mapping[str, Any], mask: str) -> dict[str, Any]:
    return {
        name: _value(shape.fields[name], value, mask) if name in shape.fields else value for name, value in row.items()
    }


def _value(known: Field, value: Any, mask: str) -> Any:
    if value in (None, [], {}, ""):
        return value
    if known.encrypted:
        return mask
    if known.record is not None and isinstance(value, Mapping):
        return _by_shape(known.record, value, mask)
    if known.elements is not None and isinstance(value, list):
        return [_value(known.elements, one, mask) for one in value]
    if known.values is not None and isinstance(value, Mapping):
        return {name: _value(known.values, one, mask) for name, one in value.items()}
    return value


def _by_words(value: Any, mask: str) -> Any:
    if isinstance(value, Mapping):
        return {
            name: mask if _is_named_secret(str(name), inner) else _by_words(inner, mask)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_by_words(inner, mask) for inner in value]
    return value


def _is_named_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and value != "" and any(word in name for word in _WORDS)
