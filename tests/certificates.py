"""Certificates made for a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ONE_DAY_S = 86_400.0


def self_signed(name: str) -> str:
    """A self-signed certificate as PEM."""
    return Leaf.self_signed(name).certificate


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, both PEM."""

    certificate: str
    key: str

    @staticmethod
    def self_signed(name: str, *, days: float = 1, seconds: float = 0, names: tuple[str, ...] = ()) -> Leaf:
        """One that is its own issuer. `names` become DNS names; without them it has a common name only."""
        key = ec.generate_private_key(ec.SECP256R1())
        lifetime = seconds or days * _ONE_DAY_S
        builder = _builder(name, name, key, lifetime)
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(alternative, critical=False)
        return _leaf(builder.sign(key, hashes.SHA256()), key)


class Authority:
    """A certificate authority."""

    def __init__(self, name: str, issuer: Authority | None = None) -> None:
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer or self
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(name, signer.name, self.key, _ONE_DAY_S)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if issuer is not None:
            builder = builder.add_extension(_issuer_id(issuer), critical=False)
        self.certificate = _leaf(builder.sign(signer.key, hashes.SHA256()), self.key).certificate

    def intermediate(self, name: str) -> Authority:
        """An authority below this one."""
        return Authority(name, self)

    def leaf(self, name: str, *, days: float = 1, is_client: bool = True, names: tuple[str, ...] = ()) -> Leaf:
        """A certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(name, self.name, key, days * _ONE_DAY_S)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_issuer_id(self), critical=False)
        )
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(alternative, critical=False)
        return _leaf(builder.sign(self.key, hashes.SHA256()), key)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, lifetime_s: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    # What is past was valid for a day before.
    begin = now - timedelta(minutes=1) if lifetime_s > 0 else now + timedelta(seconds=lifetime_s - _ONE_DAY_S)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + timedelta(seconds=lifetime_s))
    )


def _issuer_id(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _leaf(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Leaf:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Leaf(certificate.public_bytes(Encoding.PEM).decode(), text)
