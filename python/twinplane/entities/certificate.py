"""Certificates, the server names they serve, and the CAs that are trusted."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from twinplane.schema import (
    Check,
    Encrypted,
    Entity,
    Reference,
    Referenceable,
    References,
    Transformation,
    Transient,
    Unique,
    check,
    mutually_required,
)
from twinplane.schema.pem import (
    bad_ca,
    bad_certificate,
    bad_private_key,
    certificate_digest,
    key_matches,
    same_key_type,
)
from twinplane.schema.shared import AutoId, CreatedAt, Tags, UpdatedAt, WildcardHost
from twinplane.schema.testers import is_reference

Pem = Annotated[str, Check(bad_certificate), Referenceable()]
PrivateKey = Annotated[str, Check(bad_private_key), Referenceable(), Encrypted()]


def _held(row: Mapping[Any, Any], *names: str) -> list[str] | None:
    """The values, if all of them are here and none lies in a vault."""
    values = [row.get(name) for name in names]
    return None if any(value is None or is_reference(value) for value in values) else [str(value) for value in values]


def _key_fits(row: Mapping[Any, Any]) -> str | None:
    held = _held(row, "cert", "key")
    return None if held is None or key_matches(*held) else "certificate does not match key"


def _alternative_key_fits(row: Mapping[Any, Any]) -> str | None:
    held = _held(row, "cert_alt", "key_alt")
    return None if held is None or key_matches(*held) else "alternative certificate does not match key"


def _types_differ(row: Mapping[Any, Any]) -> str | None:
    held = _held(row, "cert", "cert_alt")
    if held is None or not same_key_type(*held):
        return None
    return (
        "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "
        "the provided certificates were both of the same type"
    )


class Certificate(Entity, collection="certificates"):
    """A certificate with its private key, perhaps a second pair of another key type."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    cert: Annotated[Pem, "Certificate, its chain after it."]
    key: Annotated[PrivateKey, "Private key of the certificate."]
    cert_alt: Annotated[Pem | None, "Second certificate, with a key of another type."] = None
    key_alt: Annotated[PrivateKey | None, "Private key of the second certificate."] = None
    tags: Tags = None
    snis: Annotated[list[WildcardHost] | None, Transient(), "Server names to create for it."] = None

    checks: ClassVar = (
        mutually_required("cert_alt", "key_alt"),
        check(_key_fits, "cert", "key"),
        check(_alternative_key_fits, "cert_alt", "key_alt"),
        check(_types_differ, "cert", "cert_alt"),
    )


class Sni(Entity, collection="snis", endpoint_key="name"):
    """A server name for which a certificate is shown."""

    id: AutoId = None
    name: Annotated[WildcardHost, Unique(across_workspaces=True), "Server name, perhaps with a wildcard at one end."]
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    tags: Tags = None
    certificate: Annotated[Reference, References("certificates"), "Certificate shown for the name."]


def _one_living_ca(row: Mapping[Any, Any]) -> str | None:
    return bad_ca(row["cert"])


def _fill_digest(row: dict[str, Any]) -> None:
    """The digest is what makes a CA certificate unique."""
    row["cert_digest"] = certificate_digest(row["cert"])


class CaCertificate(Entity, collection="ca_certificates", cache_key=("cert_digest",), workspaced=False):
    """A CA certificate that may be trusted."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    cert: Annotated[str, Check(bad_certificate), "Certificate of the CA."]
    cert_digest: Annotated[str | None, Unique(), "SHA-256 of the certificate; filled in."] = None
    tags: Tags = None

    checks: ClassVar = (check(_one_living_ca, "cert"),)
    transformations: ClassVar = (Transformation(_fill_digest, of="cert"),)
