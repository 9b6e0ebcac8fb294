"""Who a node is: what the front door saw of it, and which control plane that lets it into.

The handshake proves possession of a key only; here the certificate is matched to a control plane, by fingerprint where
it is pinned or by chain where the control plane trusts authorities. Never trusts what a node says of itself.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from twinplane.control import ControlPlane, NodeCertificate
from twinplane.hybrid.errors import IdentityRefused

CERT_HEADER = "Client-Cert"
CHAIN_HEADER = "Client-Cert-Chain"
SNI_HEADER = "Twinplane-Sni"
PEER_HEADER = "Twinplane-Peer"
CHAIN_MAX = 8
_DEPTH_MAX = 4

NO_CERTIFICATE = "no_certificate"
CERTIFICATE_MALFORMED = "certificate_malformed"
CERTIFICATE_UNKNOWN = "certificate_unknown"
CERTIFICATE_EXPIRED = "certificate_expired"
NAME_DISAGREES = "server_name_disagrees"

Use = Literal["cp0", "tp0"]


class Directory(Protocol):
    """What must be known of certificates and control planes; `control` has it."""

    def find_by_fingerprint(self, sha256: str) -> tuple[ControlPlane, NodeCertificate] | None:
        """The control plane that a leaf is pinned to."""

    def authorities(self, control_plane_id: str) -> Sequence[NodeCertificate]:
        """The authorities that a control plane trusts."""


class Planes(Protocol):
    """Control planes by what stands in a server name."""

    def find(self, control_plane_id: str) -> ControlPlane | None:
        """By id."""

    def find_by_prefix(self, prefix: str) -> ControlPlane | None:
        """By the prefix of its host names."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What the front door saw of a peer. Certificates are DER."""

    certificate: bytes | None
    chain: Sequence[bytes]
    server_name: str
    ip: str

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the leaf; empty where there is none."""
        return hashlib.sha256(self.certificate).hexdigest() if self.certificate else ""


@dataclass(frozen=True, slots=True)
class Admission:
    """Where a peer may go."""

    control_plane: ControlPlane
    certificate_id: str | None
    expires_at: float


def read_presented(headers: Mapping[str, str]) -> Presented:
    """What the front door's headers say. It strips them from whatever comes from outside."""
    certificates = [_binary(item) for item in _items(headers.get(CERT_HEADER, ""))]
    chain = [_binary(item) for item in _items(headers.get(CHAIN_HEADER, ""))]
    if len(certificates) > 1 or len(chain) > CHAIN_MAX:
        raise IdentityRefused(CERTIFICATE_MALFORMED, "too many certificates")
    ip = headers.get(PEER_HEADER, "").rpartition(":")[0].strip("[]")
    name = headers.get(SNI_HEADER, "").lower().rstrip(".")
    return Presented(certificates[0] if certificates else None, chain, name, ip)


def admit(
    presented: Presented, use: Use, *, directory: Directory, planes: Planes, domain: str, now: float
) -> Admission:
    """Which control plane the peer belongs to. Raises IdentityRefused."""
    if presented.certificate is None:
        raise IdentityRefused(NO_CERTIFICATE)
    named = _named_plane(presented.server_name, use, planes, domain)
    found = directory.find_by_fingerprint(presented.fingerprint)
    if found is not None:
        plane, pinned = found
        if named is not None and named.id != plane.id:
            raise IdentityRefused(NAME_DISAGREES, f"pinned to {plane.id}, asked for {presented.server_name}")
        return Admission(plane, pinned.id, _check_dates(presented.certificate, now))
    if named is None:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "pinned nowhere, and the server name says no control plane")
    expires_at = _check_chain(presented, directory.authorities(named.id), now)
    return Admission(named, None, expires_at)


def admit_controller(
    presented: Presented, control_plane_id: str, *, directory: Directory, planes: Planes, now: float
) -> Admission:
    """Which control plane an ingress controller's certificate belongs to; `control_plane_id` is the one it asks for.

    A pinned certificate says so itself, and may belong to another one; a chain is verified for the one asked for.
    Raises IdentityRefused.
    """
    if presented.certificate is None:
        raise IdentityRefused(NO_CERTIFICATE)
    found = directory.find_by_fingerprint(presented.fingerprint)
    if found is not None:
        plane, pinned = found
        return Admission(plane, pinned.id, _check_dates(presented.certificate, now))
    asked = planes.find(control_plane_id)
    if asked is None:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "pinned nowhere, and no control plane has this id")
    return Admission(asked, None, _check_chain(presented, directory.authorities(asked.id), now))


def _named_plane(server_name: str, use: Use, planes: Planes, domain: str) -> ControlPlane | None:
    """The control plane in a server name of ours; None for any other name, which says nothing."""
    host = re.fullmatch(rf"([0-9a-z-]+)\.([0-9a-z-]+)\.(cp|tp)0?\.{re.escape(domain.lower())}", server_name)
    if host is None:
        return None
    prefix, region, kind = host.groups()
    if not use.startswith(kind):
        raise IdentityRefused(NAME_DISAGREES, f"{server_name} is not for this")
    plane = planes.find_by_prefix(prefix) or planes.find(prefix)
    if plane is None or plane.region != region:
        raise IdentityRefused(NAME_DISAGREES, f"no control plane has the name {server_name}")
    return plane


def _check_dates(der: bytes, now: float) -> float:
    try:
        certificate = x509.load_der_x509_certificate(der)
        begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    except ValueError as error:
        raise IdentityRefused(CERTIFICATE_MALFORMED, str(error)) from error
    if not begins <= now < ends:
        raise IdentityRefused(CERTIFICATE_EXPIRED, f"valid from {begins:.0f} to {ends:.0f}")
    return ends


def _check_chain(presented: Presented, authorities: Sequence[NodeCertificate], now: float) -> float:
    if not authorities:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "not pinned")
    assert presented.certificate is not None
    expires_at = _check_dates(presented.certificate, now)
    try:
        leaf = x509.load_der_x509_certificate(presented.certificate)
        between = [x509.load_der_x509_certificate(der) for der in presented.chain]
        trusted = [x509.load_pem_x509_certificate(authority.cert.encode()) for authority in authorities]
        # Node certificates carry a common name at will and often no other name: the chain is what counts.
        policy = PolicyBuilder().store(Store(trusted)).time(datetime.datetime.fromtimestamp(now, datetime.UTC))
        policy = policy.max_chain_depth(_DEPTH_MAX).extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        policy.build_client_verifier().verify(leaf, between)
    except (VerificationError, ValueError) as error:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, f"no chain to an authority: {error}") from error
    _check_purpose(leaf)
    return expires_at


def _check_purpose(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "not made for clients")


def _items(value: str) -> list[str]:
    return [item for item in (part.strip() for part in value.split(",")) if item]


def _binary(item: str) -> bytes:
    """A binary item of a structured field: base64 between colons."""
    if len(item) < 2 or item[0] != ":" or item[-1] != ":":
        raise IdentityRefused(CERTIFICATE_MALFORMED, "not a binary item")
    try:
        return base64.b64decode(item[1:-1], validate=True)
    except binascii.Error as error:
        raise IdentityRefused(CERTIFICATE_MALFORMED, "not base64") from error
