"""Certificates and keys are loaded for real before they are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from twinplane.registry import entity_type
from twinplane.schema import SchemaViolation

NOW = 1_700_000_000.0
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])


def key_pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def certificate_pem(key: Any, *, ca: bool = False, days: int = 10) -> str:
    until = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=20))
        .not_valid_after(until)
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def rsa_key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def errors(name: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        entity_type(name).prepare_insert(body, now=NOW)
    except SchemaViolation as violation:
        return violation.errors
    return {}


def test_a_key_fits_its_certificate(rsa_key: Any, ec_key: Any) -> None:
    pair = {"cert": certificate_pem(rsa_key), "key": key_pem(rsa_key)}
    assert errors("certificates", pair) == {}
    assert errors("certificates", {**pair, "key": key_pem(ec_key)}) == {"@entity": ["certificate does not match key"]}
    assert errors("certificates", {"cert": "junk", "key": "junk"}).keys() == {"cert", "key"}
    assert errors("certificates", {"cert": "{vault://env/c}", "key": "{vault://env/k}"}) == {}


def test_a_second_pair_is_of_another_kind(rsa_key: Any, ec_key: Any) -> None:
    pair = {"cert": certificate_pem(rsa_key), "key": key_pem(rsa_key)}
    assert errors("certificates", {**pair, "cert_alt": certificate_pem(ec_key), "key_alt": key_pem(ec_key)}) == {}
    (text,) = errors("certificates", {**pair, "cert_alt": pair["cert"], "key_alt": pair["key"]})["@entity"]
    assert "different type" in text


def test_a_ca_is_alive_alone_and_a_ca(rsa_key: Any) -> None:
    living = certificate_pem(rsa_key, ca=True)
    row = entity_type("ca_certificates").prepare_insert({"cert": living}, now=NOW)
    assert len(row["cert_digest"]) == 64
    assert "expired" in errors("ca_certificates", {"cert": certificate_pem(rsa_key, ca=True, days=-1)})["@entity"][0]
    assert "basic constraint" in errors("ca_certificates", {"cert": certificate_pem(rsa_key)})["@entity"][0]
    assert "only one" in errors("ca_certificates", {"cert": living + living})["@entity"][0]


def test_keys_are_pairs_or_web_keys(rsa_key: Any, ec_key: Any) -> None:
    assert errors("keys", {"kid": "k", "pem": {"public_key": public_pem(ec_key), "private_key": key_pem(ec_key)}}) == {}
    assert errors("keys", {"kid": "k", "pem": {"public_key": public_pem(ec_key), "private_key": key_pem(rsa_key)}}) == {
        "pem": "public key does not match private key"
    }
    assert errors("keys", {"kid": "k", "jwk": '{"kid":"other"}'}) == {
        "@entity": ["kid in jwk.kid must be equal to keys.kid"]
    }
    assert errors("keys", {"kid": "k", "jwk": '{"kid":"k","kty":"oct","k":"eA"}'}) == {
        "@entity": ["could not load JWK, likely not a valid key"]
    }


def test_asymmetric_tokens_need_a_public_key(rsa_key: Any) -> None:
    body = {"consumer": {"id": "00000000-0000-4000-8000-000000000001"}, "algorithm": "RS256"}
    assert errors("jwt_secrets", body)["rsa_public_key"] == "required field missing"
    assert errors("jwt_secrets", {**body, "rsa_public_key": "junk"})["rsa_public_key"] == "invalid key"
    assert errors("jwt_secrets", {**body, "rsa_public_key": public_pem(rsa_key)}) == {}
