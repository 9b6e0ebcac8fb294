"""What a peer presents in the TLS handshake, and whether somebody in between presents it. Pure."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

_CHAIN_MAX = 10
_NAMES_SHOWN = 4
# Makers of devices and programs that open TLS, as they name themselves in the certificates that they make up.
_OPENERS = (
    "avast",
    "barracuda",
    "blue coat",
    "bluecoat",
    "charles proxy",
    "check point",
    "checkpoint",
    "cisco",
    "eset",
    "fiddler",
    "forcepoint",
    "fortigate",
    "fortinet",
    "kaspersky",
    "mcafee",
    "menlo",
    "mitmproxy",
    "netskope",
    "palo alto",
    "sonicwall",
    "sophos",
    "squid",
    "symantec web",
    "trend micro",
    "umbrella",
    "untangle",
    "watchguard",
    "websense",
    "zscaler",
)


@dataclass(frozen=True, slots=True)
class Presented:
    """The certificates of a handshake, the peer's own first, as DER, and the version that was agreed on."""

    chain: Sequence[bytes]
    tls_version: str

    @property
    def leaf(self) -> x509.Certificate | None:
        """The peer's own certificate; None where it cannot be read (X.509 version 1 may be odd)."""
        return read(self.chain[0]) if self.chain else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the peer's own certificate, in hex."""
        return hashlib.sha256(self.chain[0]).hexdigest() if self.chain else ""


def presented_by(tls: ssl.SSLObject) -> Presented:
    """What stands in a finished handshake. Without the whole chain (older versions of Python) the leaf alone."""
    leaf = tls.getpeercert(binary_form=True)
    chain: list[bytes] = [] if leaf is None else [leaf]
    # Public from Python 3.13 on; before, on the object within.
    getter = getattr(tls, "get_unverified_chain", None) or getattr(
        getattr(tls, "_sslobj", None), "get_unverified_chain", None
    )
    told = getter() if getter is not None else None
    if told:
        chain = [_der(each) for each in told[:_CHAIN_MAX]]
    return Presented([each for each in chain if each], tls.version() or "unknown version")


def read(der: bytes) -> x509.Certificate | None:
    """A certificate, or None where it is none."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def shown_name(name: x509.Name) -> str:
    """A subject or issuer in a few words: its common name, else its organization, else all of it."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return name.rfc4514_string() or "(no name)"


def described(presented: Presented) -> str:
    """The chain in words: names, issuers, dates."""
    leaf = presented.leaf
    if leaf is None:
        return f"{presented.tls_version}, a certificate that cannot be read"
    names = _names(leaf)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    chain = " <- ".join(shown_name(each.issuer) for each in (read(der) for der in presented.chain) if each is not None)
    ends = leaf.not_valid_after_utc.strftime("%Y-%m-%d")
    return (
        f"{presented.tls_version}, certificate of {shown_name(leaf.subject)}"
        f" for {', '.join(names[:_NAMES_SHOWN]) or 'no host name'}{more}, issued by {chain}, valid to {ends},"
        f" SHA-256 {presented.fingerprint[:16]}"
    )


def opener(presented: Presented) -> str | None:
    """Who opens TLS in between, where an issuer is known for it."""
    for der in presented.chain:
        certificate = read(der)
        if certificate is None:
            continue
        text = f"{certificate.issuer.rfc4514_string()} {certificate.subject.rfc4514_string()}".lower()
        if any(word in text for word in _OPENERS):
            return shown_name(certificate.issuer)
    return None


def covers(presented: Presented, host: str) -> bool:
    """Whether the certificate is made out to a host."""
    leaf = presented.leaf
    if leaf is None:
        return False
    wanted = host.lower()
    return any(
        name.lower() == wanted or (name.startswith("*.") and wanted.partition(".")[2] == name[2:].lower())
        for name in _names(leaf)
    )


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(each.value) for each in alternative]


def _der(told: object) -> bytes:
    if isinstance(told, bytes):
        return told
    public = getattr(told, "public_bytes", None)
    if public is None:
        return b""
    text = public()
    return text if isinstance(text, bytes) else ssl.PEM_cert_to_DER_cert(text)
