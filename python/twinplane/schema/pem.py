"""Certificates and keys in PEM and JWK form: what can be loaded, and what belongs together."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PublicKey = Any

_CERTIFICATE = re.compile(r"^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.+?^-----END", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"^-----BEGIN [A-Z ]*(?:PRIVATE|PUBLIC) KEY-----", re.MULTILINE)
_FAILURES = (ValueError, TypeError, UnsupportedAlgorithm)


def bad_certificate(value: str) -> str | None:
    """A certificate, perhaps with its chain after it."""
    return None if _certificate(value) else "invalid certificate: x509.new: error: not a PEM certificate"


def bad_private_key(value: str) -> str | None:
    """A private key."""
    return None if _private_key(value) else "invalid key: pkey.new:load_key: error: not a PEM private key"


def bad_any_key(value: str) -> str | None:
    """A public or private key."""
    return None if _public_key(value) or _private_key(value) else "invalid key"


def key_matches(certificate: str, key: str) -> bool:
    """Whether the private key belongs to the certificate. What cannot be loaded is judged elsewhere."""
    loaded, private = _certificate(certificate), _private_key(key)
    return loaded is None or private is None or _bytes(loaded.public_key()) == _bytes(private.public_key())


def same_key_type(one: str, other: str) -> bool:
    """Whether two certificates hold keys of one algorithm."""
    first, second = _certificate(one), _certificate(other)
    return first is not None and second is not None and type(first.public_key()) is type(second.public_key())


def bad_ca(value: str) -> str | None:
    """One certificate of a CA that has not expired."""
    certificate = _certificate(value)
    if certificate is None:
        return None
    if len(_CERTIFICATE.findall(value)) > 1:
        return "please submit only one certificate at a time"
    if certificate.not_valid_after_utc < datetime.now(UTC):
        return 'certificate expired, "Not After" time is in the past'
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        authority = False
    return (
        None if authority else 'certificate does not appear to be a CA because it is missing the "CA" basic constraint'
    )


def certificate_digest(value: str) -> str | None:
    """SHA-256 of the first certificate, in hexadecimal."""
    certificate = _certificate(value)
    return (
        None
        if certificate is None
        else hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    )


def bad_jwk(text: str, kid: str) -> str | None:
    """A JSON Web Key as text, whose `kid` must be the given one."""
    try:
        jwk = json.loads(text)
    except ValueError:
        return "could not json decode jwk string"
    if not isinstance(jwk, dict) or jwk.get("kid") != kid:
        return "kid in jwk.kid must be equal to keys.kid"
    try:
        _load_jwk(jwk)
    except (*_FAILURES, KeyError, ArithmeticError):
        return "could not load JWK, likely not a valid key"
    return None


def bad_key_pair(public: str | None, private: str | None) -> str | None:
    """A public and a private key that belong together; either may be absent."""
    public_key = None if public is None else _public_key(public)
    if public is not None and public_key is None:
        return "could not load public key"
    private_key = None if private is None else _private_key(private)
    if private is not None and private_key is None:
        return "could not load private keypkey.new:load_key: error: not a PEM private key"
    if public_key is not None and private_key is not None and _bytes(public_key) != _bytes(private_key.public_key()):
        return "public key does not match private key"
    return None


def _certificate(value: str) -> x509.Certificate | None:
    if _CERTIFICATE.search(value) is None:
        return None
    try:
        return x509.load_pem_x509_certificate(value.encode())
    except ValueError:
        return None


def _private_key(value: str) -> Any:
    if _KEY.search(value) is None:
        return None
    try:
        return serialization.load_pem_private_key(value.encode(), password=None)
    except _FAILURES:
        return None


def _public_key(value: str) -> PublicKey | None:
    if _KEY.search(value) is None:
        return None
    try:
        return serialization.load_pem_public_key(value.encode())
    except _FAILURES:
        return None


def _bytes(key: PublicKey) -> bytes:
    der: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der


_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def _load_jwk(jwk: dict[str, Any]) -> None:
    match jwk["kty"]:
        case "RSA":
            rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
        case "EC":
            ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]]).public_key()
        case "OKP":
            loaders: dict[str, Any] = {"Ed25519": Ed25519PublicKey, "Ed448": Ed448PublicKey}
            loaders[jwk["crv"]].from_public_bytes(_decoded(jwk["x"]))
        case other:
            raise ValueError(f"no public key in a JWK of type {other}")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")
