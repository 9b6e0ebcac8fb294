"""Who a node is: what the front door saw of it, and which control plane that lets it into.

The handshake proves possession of a key only; here the certificate is matched to a control plane: by fingerprint where
it is pinned or shared, by chain where the control plane trusts authorities. Never trusts what a node says of itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from twinplane.control import ControlPlane, NodeCertificate
from twinplane.hybrid.chain import Issued, check_common_name, load, verify_chain
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.refusals import (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_MALFORMED,
    CERTIFICATE_UNKNOWN,
    NAME_DISAGREES,
    NO_CERTIFICATE,
    SHARED_MODE_OFF,
)
from twinplane.settings.network import SHARED_NAME

CERT_HEADER = "Client-Cert"
CHAIN_HEADER = "Client-Cert-Chain"
SNI_HEADER = "Twinplane-Sni"
PEER_HEADER = "Twinplane-Peer"
CHAIN_MAX = 8

Use = Literal["cp0", "tp0"]
Mode = Literal["pinned", "pki", "shared"]


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

    def named(self, name: str) -> Sequence[ControlPlane]:
        """All of this name, of every organization and region."""


@dataclass(frozen=True, slots=True)
class SharedMode:
    """One certificate that both ends hold, and the one control plane that it lets nodes into."""

    fingerprint: str
    control_plane: str
    """Its id, or its name where no other has it."""


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """What an operator decided about nodes of the whole process."""

    domain: str
    shared: SharedMode | None = None
    common_names: Sequence[str] | None = None
    """Common names that certificates of authorities may carry, `*.` and a domain for all just below it; None: any."""


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
    mode: Mode = "pinned"
    issued: Issued | None = None
    """The certificate and its issuer, where an authority vouches for it."""


def fingerprint(pem: str) -> str:
    """Hex SHA-256 of a certificate. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


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
    presented: Presented, use: Use, *, directory: Directory, planes: Planes, rules: AdmissionRules, now: float
) -> Admission:
    """Which control plane the peer belongs to. Raises IdentityRefused."""
    if presented.certificate is None:
        raise IdentityRefused(NO_CERTIFICATE)
    named = _named_plane(presented.server_name, use, planes, rules.domain)
    shared = rules.shared
    if presented.server_name == SHARED_NAME or (shared and shared.fingerprint == presented.fingerprint):
        return _admit_shared(presented.certificate, named, planes, shared, now)
    found = directory.find_by_fingerprint(presented.fingerprint)
    if found is not None:
        plane, pinned = found
        if named is not None and named.id != plane.id:
            raise IdentityRefused(NAME_DISAGREES, f"pinned to {plane.id}, asked for {presented.server_name}")
        return Admission(plane, pinned.id, _check_dates(presented.certificate, now))
    if named is None:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "pinned nowhere, and the server name says no control plane")
    return _admit_issued(presented.certificate, presented.chain, named, directory=directory, rules=rules, now=now)


def shared_plane(shared: SharedMode, planes: Planes) -> ControlPlane:
    """The control plane in shared mode. Raises IdentityRefused where there is not exactly one."""
    plane = planes.find(shared.control_plane)
    if plane is not None:
        return plane
    found = planes.named(shared.control_plane)
    if len(found) != 1:
        text = f"{len(found)} control planes are called {shared.control_plane}, shared mode is for exactly one"
        raise IdentityRefused(SHARED_MODE_OFF, text)
    return found[0]


def _admit_issued(
    certificate: bytes,
    chain: Sequence[bytes],
    plane: ControlPlane,
    *,
    directory: Directory,
    rules: AdmissionRules,
    now: float,
) -> Admission:
    authorities = directory.authorities(plane.id)
    if not authorities:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "not pinned")
    expires_at = _check_dates(certificate, now)
    issued = verify_chain(certificate, chain, [authority.cert for authority in authorities], now=now)
    if rules.common_names is not None:
        check_common_name(issued.leaf, rules.common_names)
    return Admission(plane, None, expires_at, "pki", issued)


def _admit_shared(
    certificate: bytes, named: ControlPlane | None, planes: Planes, shared: SharedMode | None, now: float
) -> Admission:
    if shared is None:
        raise IdentityRefused(SHARED_MODE_OFF, f"{SHARED_NAME} is asked for, and no control plane shares")
    if hashlib.sha256(certificate).hexdigest() != shared.fingerprint:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "not the shared certificate")
    plane = shared_plane(shared, planes)
    if named is not None and named.id != plane.id:
        raise IdentityRefused(NAME_DISAGREES, f"shared by {plane.id}, asked for {named.id}")
    return Admission(plane, None, _check_dates(certificate, now), "shared")


def admit_controller(
    presented: Presented,
    control_plane_id: str,
    *,
    directory: Directory,
    planes: Planes,
    rules: AdmissionRules,
    now: float,
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
    return _admit_issued(presented.certificate, presented.chain, asked, directory=directory, rules=rules, now=now)


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
    certificate = load(der)
    try:
        begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    except ValueError as error:
        raise IdentityRefused(CERTIFICATE_MALFORMED, str(error)) from error
    if not begins <= now < ends:
        raise IdentityRefused(CERTIFICATE_EXPIRED, f"valid from {begins:.0f} to {ends:.0f}")
    return ends


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
