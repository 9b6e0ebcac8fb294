"""Keys and the sets they are kept in."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from twinplane.schema import (
    Encrypted,
    Entity,
    Record,
    Reference,
    Referenceable,
    References,
    Since,
    Unique,
    at_least_one_of,
    check,
    mutually_exclusive,
)
from twinplane.schema.pem import bad_jwk, bad_key_pair
from twinplane.schema.shared import AutoId, CreatedAt, Tags, UpdatedAt
from twinplane.schema.testers import is_reference


class KeySet(Entity, collection="key_sets", admin_path="key-sets", endpoint_key="name"):
    """Keys that are used together."""

    id: AutoId = None
    name: Annotated[str | None, Unique(), "Name of the set."] = None
    tags: Tags = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None


class KeyPair(Record):
    """A public and a private key in PEM form; one half is enough."""

    private_key: Annotated[str | None, Encrypted(), Referenceable(), "Private key."] = None
    public_key: Annotated[str | None, Referenceable(), "Public key."] = None

    checks: ClassVar = (at_least_one_of("private_key", "public_key"),)


def _held(value: Any) -> str | None:
    return None if value is None or is_reference(value) else str(value)


def _key_loads(row: Mapping[Any, Any]) -> str | dict[str, Any] | None:
    jwk, pem = _held(row.get("jwk")), row.get("pem")
    if jwk is not None:
        return bad_jwk(jwk, row["kid"])
    if isinstance(pem, Mapping):
        wrong = bad_key_pair(_held(pem.get("public_key")), _held(pem.get("private_key")))
        return None if wrong is None else {"pem": wrong}
    return None


class Key(Entity, collection="keys", endpoint_key="name", cache_key=("kid", "set")):
    """A key, as JWK or PEM."""

    id: AutoId = None
    set: Annotated[Reference | None, References("key_sets", on_delete="cascade"), "Set the key belongs to."] = None
    name: Annotated[str | None, Unique(), "Name of the key."] = None
    kid: Annotated[str, "Id of the key, unique in its set."]
    jwk: Annotated[str | None, Referenceable(), Encrypted(), "JSON Web Key as text."] = None
    pem: Annotated[KeyPair | None, "Key pair in PEM form."] = None
    x5t: Annotated[str | None, Since("3.15"), "Thumbprint of the certificate that holds the key."] = None
    tags: Tags = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None

    checks: ClassVar = (
        mutually_exclusive("pem", "jwk"),
        at_least_one_of("pem", "jwk"),
        check(_key_loads, "jwk", "pem", "kid"),
    )
