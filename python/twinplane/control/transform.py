"""Values that are not kept as they were given: a password becomes its hash. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

PASSWORDS: Mapping[str, str] = {"basicauth_credentials": "password"}


def hash_secrets(type_name: str, row: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Replace the secrets that a body gave by what is kept of them, in place.

    Basic auth keeps SHA-1 over password and consumer id, as nodes of every version compare it.
    """
    field = PASSWORDS.get(type_name)
    if field is None or given.get(field) is None or not isinstance(row.get(field), str):
        return
    consumer = row.get("consumer")
    salt = consumer.get("id", "") if isinstance(consumer, Mapping) else (consumer or "")
    row[field] = basic_auth_hash(row[field], salt)


def basic_auth_hash(password: str, consumer_id: str) -> str:
    """Hex SHA-1 of password and consumer id."""
    return hashlib.sha1((password + consumer_id).encode(), usedforsecurity=False).hexdigest()
