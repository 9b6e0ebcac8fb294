"""Whether a chain of certificates leads from a node to an authority that its control plane trusts. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.refusals import CERTIFICATE_MALFORMED, CERTIFICATE_UNKNOWN, COMMON_NAME_REFUSED

DEPTH_MAX = 4
"""Certificates of authorities between a node's own and the one that is trusted."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, and the one whose key signed it."""

    leaf: x509.Certificate
    issuer: x509.Certificate


def load(der: bytes) -> x509.Certificate:
    """A certificate of any version. Raises IdentityRefused."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise IdentityRefused(CERTIFICATE_MALFORMED, str(error)) from error


def verify_chain(der: bytes, between: Sequence[bytes], trusted: Sequence[str], *, now: float) -> Issued:
    """Find a chain from a certificate to one of `trusted` (PEM). Raises IdentityRefused."""
    leaf = load(der)
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([x509.load_pem_x509_certificate(pem.encode()) for pem in trusted]))
            .time(datetime.datetime.fromtimestamp(now, datetime.UTC))
            .max_chain_depth(DEPTH_MAX)
            # Node certificates carry a common name at will and often no other name: the chain is what counts.
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        chain = verifier.verify(leaf, [load(one) for one in between]).chain
    except (VerificationError, ValueError) as error:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, f"no chain to an authority: {error}") from error
    _check_purpose(leaf)
    if len(chain) < 2:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "an authority is no node")
    return Issued(leaf, chain[1])


def check_common_name(leaf: x509.Certificate, allowed: Sequence[str]) -> None:
    """Whether the common name is among those allowed; `*.` and a domain stands for each name just below it."""
    names = [str(name.value).lower() for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    wanted = {name.lower() for name in allowed}
    if not any(name in wanted or f"*.{name.partition('.')[2]}" in wanted for name in names):
        shown = ", ".join(names) or "none"
        raise IdentityRefused(COMMON_NAME_REFUSED, f"the common name {shown:.100} is not among those allowed")


def _check_purpose(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError as error:
        raise IdentityRefused(CERTIFICATE_MALFORMED, str(error)) from error
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage:
        raise IdentityRefused(CERTIFICATE_UNKNOWN, "not made for clients")


def _is_authority(_policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("a certificate of the chain is no authority's")


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a certificate of the chain may not sign others")


# Authorities that were made with simple tools name no key usage: what they do say must hold.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
)
