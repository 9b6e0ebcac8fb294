"""Certificates that are renewed while the process runs: read where they were given, looked at again, put in force.

What cannot be used is refused with the reason, and the one before stays.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from twinplane.hybrid.node_conditions import ConditionCode
from twinplane.node.authority import Identity
from twinplane.node.conditions import Conditions

T = TypeVar("T")
# What a node tells of a renewal that was refused, by what was to be renewed.
_CONDITIONS: Mapping[str, ConditionCode] = {
    "cluster_certificate": "cluster_certificate_refused",
    "ssl_certificate": "ssl_certificate_refused",
    "status_ssl_certificate": "status_ssl_certificate_refused",
    "admin_ssl_certificate": "admin_ssl_certificate_refused",
}
_BEGIN = "-----BEGIN"
# What every PEM text begins with, in base64.
_BEGIN_BASE64 = "LS0tLS1CRUdJTi"
_log = logging.getLogger(__name__)


def read_pem(given: str) -> str:
    """A certificate or key that is given as a path, as PEM text, or as base64 of it. Raises OSError, ValueError."""
    if _BEGIN in given:
        return given
    if given.lstrip().startswith(_BEGIN_BASE64):
        try:
            return base64.b64decode("".join(given.split()), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("neither a path, nor PEM text, nor base64 of it") from error
    return Path(given).read_text(encoding="utf-8")


def check_pair(pair: Identity) -> None:
    """Raises ValueError where the key is not the certificate's."""
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    try:
        key = serialization.load_pem_private_key(pair.key.encode(), password=None)
    except TypeError as error:
        raise ValueError("the private key is encrypted") from error
    if _encoded(key.public_key()) != _encoded(certificate.public_key()):
        raise ValueError("the private key is not the certificate's")


def check_dates(pair: Identity, *, now: float | None = None) -> None:
    """Raises ValueError where the certificate is not valid at this time."""
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    moment = time.time() if now is None else now
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin.timestamp() <= moment < end.timestamp():
        raise ValueError(f"the certificate is valid from {begin:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}")


@dataclass(slots=True)
class RenewalFacts:
    """What became of new certificates; read by the status port."""

    renewed_total: int = 0
    refused_total: int = 0
    last_error: str = ""


class Renewal(Generic[T]):
    """One thing that is read from files and in force."""

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        use: Callable[[T], Awaitable[None]],
        in_force: T,
        conditions: Conditions | None = None,
        *,
        on_renewed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_renewed` is told the name.

        `read` raises OSError or ValueError, and is called in a thread; `use` raises ValueError to refuse.
        """
        self.facts = RenewalFacts()
        self.name = name
        self._conditions = conditions or Conditions()
        self._code = _CONDITIONS.get(name)
        self._on_renewed = on_renewed
        self._read = read
        self._use = use
        self._in_force = in_force
        self._seen: T | Exception | None = None
        self._refused: T | None = None
        self._problem = ""

    async def run(self, interval_s: float) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                found = await asyncio.to_thread(self._read)
            except (OSError, ValueError) as error:
                self._note_unreadable(error)
            else:
                await self._consider(found)

    async def _consider(self, found: T) -> None:
        """Put what was found in force once it was found twice: files are replaced one after another."""
        is_settled, self._seen = found == self._seen, found
        if found == self._in_force:
            self._refused, self._problem = None, ""
            self._clear()
            return
        if not is_settled or found == self._refused:
            return
        try:
            await self._use(found)
        except ValueError as error:
            self._refused = found
            self._note_refusal(str(error))
            return
        self._in_force, self._refused, self._problem = found, None, ""
        self.facts.renewed_total += 1
        self._clear()
        _log.info("certificate_renewed name=%s", self.name)
        self._on_renewed(self.name)

    def _note_unreadable(self, error: Exception) -> None:
        # Once may be the moment between the removal of the old file and the arrival of the new one.
        text = str(error)
        if self._problem == text:
            return
        is_repeated = isinstance(self._seen, Exception) and str(self._seen) == text
        self._seen = error
        if is_repeated:
            self._problem = text
            self._note_refusal(text)

    def _note_refusal(self, reason: str) -> None:
        self.facts.refused_total += 1
        self.facts.last_error = reason
        if self._code is not None:
            self._conditions.note(self._code, f"a new certificate is refused, the one before stays: {reason}")
        _log.error("certificate_refused name=%s detail=%s; the one before stays in use", self.name, reason)

    def _clear(self) -> None:
        if self._code is not None:
            self._conditions.clear(self._code)


def _encoded(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded
