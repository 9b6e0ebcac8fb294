"""The built-in certificate authority of an installation: `ca.pem` and the leaves that the front door serves.

Used where the operator gives no certificate of their own. Keys never leave the data directory.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from twinplane.settings.network import SHARED_NAME

CA_DAYS = 3650
LEAF_DAYS = 397
RENEW_BEFORE = datetime.timedelta(days=30)
_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain and its private key, both PEM."""

    certificate: str
    key: str


class Authority:
    """Issues the certificates of one installation, kept in `directory` as `ca.pem` and `ca.key` (mode 0600)."""

    def __init__(self, directory: Path) -> None:
        self._certificate_path = directory / "ca.pem"
        self._key_path = directory / "ca.key"
        if self._certificate_path.exists() and self._key_path.exists():
            self._certificate = x509.load_pem_x509_certificate(self._certificate_path.read_bytes())
            self._key = _load_key(self._key_path.read_bytes())
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = _sign_authority(self._key)
            write_private(self._key_path, _key_pem(self._key))
            write_whole(self._certificate_path, self._certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    @property
    def certificate_path(self) -> Path:
        """Where clients find the authority's certificate."""
        return self._certificate_path

    def leaf(self, path: Path, names: Sequence[str]) -> Identity:
        """The leaf kept at `path`, made anew where it is absent, near its end, or lacks one of `names`."""
        key_path = path.with_suffix(".key")
        if path.exists() and key_path.exists():
            identity = Identity(path.read_text(), key_path.read_text())
            if self._is_usable(identity, names):
                return identity
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign_leaf(key.public_key(), names)
        identity = Identity(_pem(certificate) + _pem(self._certificate), _key_pem(key).decode())
        write_private(key_path, identity.key.encode())
        write_whole(path, identity.certificate.encode(), 0o644)
        return identity

    def _is_usable(self, identity: Identity, names: Sequence[str]) -> bool:
        leaf = x509.load_pem_x509_certificate(identity.certificate.encode())
        if leaf.not_valid_after_utc - _now() < RENEW_BEFORE or leaf.issuer != self._certificate.subject:
            return False
        present = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return {str(name.value) for name in present} >= set(names)

    def _sign_leaf(self, public_key: ec.EllipticCurvePublicKey, names: Sequence[str]) -> x509.Certificate:
        now = _now()
        end = min(now + datetime.timedelta(days=LEAF_DAYS), self._certificate.not_valid_after_utc)
        issuer_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def self_signed(common_name: str, *, days: int, client: bool) -> Identity:
    """A self-signed certificate of one name: a node's own identity, or a listener's stand-in where none is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = _now()
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(common_name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Identity(_pem(certificate), _key_pem(key).decode())


def vouched_for(common_name: str, *, days: int) -> tuple[str, Identity]:
    """An authority's certificate and the one identity of a node that it vouches for: its key is forgotten here."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign_authority(key)
    now = _now()
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + datetime.timedelta(days=days), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(common_name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(authority), Identity(_pem(certificate), _key_pem(leaf_key).decode())


def clustering_pair(*, days: int) -> Identity:
    """A pair for both ends of a link in shared mode, which know each other by this one name and certificate."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SHARED_NAME)])
    now = _now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SHARED_NAME)]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        # No key usage and no basic constraints: it is its own authority to the other end, and no authority else.
        .sign(key, hashes.SHA384())
    )
    return Identity(_pem(certificate), _key_pem(key).decode())


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    write_whole(path, data, 0o600)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all: a new file, fsync, rename."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sign_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # The serial in the name keeps two installations apart in one trust store.
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"twinplane authority {serial:x}"[:40])])
    now = _now()
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
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(data, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("ca.key does not hold an elliptic curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
