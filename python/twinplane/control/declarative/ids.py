"""Ids of entities that a document does not give: version 5 UUIDs of what the entity is called, the same at every load.

The namespaces and the form of the name are Kong's, so that a document gets the same ids on either. Pure.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from twinplane.registry import EntityType

_ROOT = uuid.UUID("fd02801f-0957-4a15-a55a-c8d9606f30b5")
_ANY_WORKSPACE = "*"

# Their key makes itself where none is given, so it names nothing; see vectors/admin, surprise 34.
_RANDOM = frozenset({"keyauth_credentials", "jwt_secrets", "oauth2_credentials"})


def entity_id(entity: EntityType, body: Mapping[str, Any], references: Mapping[str, str]) -> str:
    """The id of an entity: from its name where it has one, else at random. `references` are ids by field."""
    name = _name(entity, body, references)
    if name is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(uuid.uuid5(_ROOT, entity.name), name))


def _name(entity: EntityType, body: Mapping[str, Any], references: Mapping[str, str]) -> str | None:
    if entity.name in _RANDOM:
        return None
    key = entity.endpoint_key
    if key is not None and isinstance(body.get(key), str):
        if key in entity.unique_fields or key in entity.unique_across_workspaces:
            return str(body[key])
        parents = [
            references[field]
            for field, foreign in entity.foreign.items()
            if foreign.on_delete == "cascade" and field in references
        ]
        return ":".join([body[key], *parents])
    if len(entity.cache_key) < 2:
        return None
    # Fields that Kong 3.9 does not know are part of the name only where they say something.
    values = {field: references.get(field) or body.get(field) for field in entity.cache_key}
    parts = [value or "" for field, value in values.items() if value or field not in entity.beyond]
    if not all(isinstance(part, str) for part in parts):
        return None
    return ":".join([entity.name, _ANY_WORKSPACE, *parts])
