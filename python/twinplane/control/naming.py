"""How entities are called: what a key in a path can be, which fields no two of a type may share. Pure."""

from __future__ import annotations

import re

from twinplane.control.errors import InvalidKey
from twinplane.registry import EntityType

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    """Whether a key is an id rather than a name."""
    return _UUID.fullmatch(text) is not None


def unique_sets(entity: EntityType) -> list[tuple[str, ...]]:
    """The sets of fields that are unique only together; the cache key is one where it has several fields."""
    found = list(entity.composite_unique)
    if len(entity.cache_key) > 1 and entity.cache_key not in found:
        found.append(entity.cache_key)
    return found


def name_field(entity: EntityType) -> str | None:
    """The field by which an entity can be named in a path: its endpoint key, or what is unique beside its parent."""
    if entity.endpoint_key is not None:
        return entity.endpoint_key
    for fields in unique_sets(entity):
        rest = [field for field in fields if field not in entity.foreign]
        if len(fields) == 2 and len(rest) == 1:
            return rest[0]
    return None


def check_name(entity: EntityType, field: str, name: str) -> None:
    """Raise InvalidKey where a name in a path can be no value of its field."""
    reason = entity.key_violation(field, name)
    if reason is not None:
        raise InvalidKey(field, reason)
