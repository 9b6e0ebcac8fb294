"""Certificates made for a test."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
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

    @staticmethod
    def version_1(name: str, directory: Path) -> Leaf:
        """One of X.509 version 1, without any extension, as tools of self-managed installations make them."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl not present")
        key, request, certificate = (directory / end for end in ("v1.key", "v1.csr", "v1.pem"))
        extensions = directory / "none.cnf"
        extensions.write_text("")
        curve: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", key]
        sign: list[str | Path] = ["-req", "-in", request, "-signkey", key, "-out", certificate, "-extfile", extensions]
        for words in (["req", *curve, "-out", request, "-subj", f"/CN={name}"], ["x509", *sign]):
            subprocess.run(["openssl", *words], check=True, capture_output=True)
        if x509.load_pem_x509_certificate(certificate.read_bytes()).version is not x509.Version.v1:
            pytest.skip("this openssl makes no version 1 certificates")
        return Leaf(certificate.read_text(), key.read_text())


class Authority:
    """A certificate authority. `rsa_bits` gives it, and what it signs, RSA keys of that size."""

    def __init__(
        self, name: str, issuer: Authority | None = None, *, rsa_bits: int = 0, path_length: int | None = None
    ) -> None:
        self.name = name
        self.rsa_bits = rsa_bits
        self.key = _key(rsa_bits)
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
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if issuer is not None:
            builder = builder.add_extension(_issuer_id(issuer), critical=False)
        self.certificate = _leaf(builder.sign(signer.key, hashes.SHA256()), self.key).certificate

    def intermediate(self, name: str) -> Authority:
        """An authority below this one."""
        return Authority(name, self, rsa_bits=self.rsa_bits)

    def leaf(
        self,
        name: str,
        *,
        days: float = 1,
        seconds: float = 0,
        is_client: bool = True,
        names: tuple[str, ...] = (),
        uris: tuple[str, ...] = (),
        responder: str = "",
        is_responder: bool = False,
    ) -> Leaf:
        """A certificate of this authority. `responder` is where its revocation is asked about."""
        key = _key(self.rsa_bits)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        if is_responder:
            purpose = ExtendedKeyUsageOID.OCSP_SIGNING
        builder = (
            _builder(name, self.name, key, seconds or days * _ONE_DAY_S)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_issuer_id(self), critical=False)
        )
        if names or uris:
            given = [*map(x509.DNSName, names), *map(x509.UniformResourceIdentifier, uris)]
            builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=False)
        if responder:
            url = x509.UniformResourceIdentifier(responder)
            place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)
            builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
        return _leaf(builder.sign(self.key, hashes.SHA256()), key)


def _key(rsa_bits: int) -> Key:
    if rsa_bits:
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


def _builder(subject: str, issuer: str, key: Key, lifetime_s: float) -> x509.CertificateBuilder:
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


def _leaf(certificate: x509.Certificate, key: Key) -> Leaf:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Leaf(certificate.public_bytes(Encoding.PEM).decode(), text)
