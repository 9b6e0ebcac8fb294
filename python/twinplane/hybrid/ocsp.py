"""Whether an authority has revoked a certificate: asked of its responder (OCSP), believed for a while, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import h11
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from twinplane.control.egress import Destination, EgressPolicy, EgressRefused, resolve
from twinplane.hybrid.chain import Issued
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.refusals import CERTIFICATE_REVOKED, REVOCATION_UNKNOWN

_ANSWER_BYTES_MAX = 65_536
_SIGNERS_MAX = 4
_SKEW = datetime.timedelta(minutes=5)
# A responder that failed is left alone for a moment: a fleet that reconnects must not wait for it one by one.
_PAUSE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OcspSettings:
    """`on` lets nobody in whose state is not known to be good; `optional` only refuses what is known to be revoked."""

    mode: Literal["on", "optional"]
    allows_loopback: bool = False
    believed_s: float = 30.0
    """How long an answer is not asked for again. What is valid longer is fallen back on while nobody answers."""
    timeout_s: float = 5.0
    entries_max: int = 10_000
    at_once: int = 32


@dataclass(slots=True)
class OcspFacts:
    """What was asked; read by metrics."""

    asked_total: int = 0
    failed_total: int = 0
    remembered_total: int = 0
    refused_total: int = 0


class OcspFailed(Exception):
    """No usable answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    is_revoked: bool
    believed_until: float
    valid_until: float


_Key = tuple[bytes, int]


class OcspChecker:
    """Asks responders, each certificate once at a time."""

    def __init__(self, settings: OcspSettings, *, clock: Callable[[], float] = time.time) -> None:
        self.facts = OcspFacts()
        self._settings = settings
        self._clock = clock
        self._policy = EgressPolicy(allows_loopback=settings.allows_loopback, allows_private=True)
        self._answers: OrderedDict[_Key, _Answer] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[_Answer]] = {}
        self._paused: OrderedDict[str, float] = OrderedDict()
        self._places = asyncio.Semaphore(settings.at_once)

    async def check(self, issued: Issued) -> None:
        """Raises IdentityRefused where the certificate is revoked, or where that must be known and is not."""
        try:
            answer = await self._answer(issued)
        except OcspFailed as error:
            if self._settings.mode == "on":
                self.facts.refused_total += 1
                raise IdentityRefused(REVOCATION_UNKNOWN, str(error)) from error
            return
        if answer.is_revoked:
            self.facts.refused_total += 1
            raise IdentityRefused(CERTIFICATE_REVOKED, f"serial number {issued.leaf.serial_number:x}")

    async def _answer(self, issued: Issued) -> _Answer:
        key = (issued.issuer.fingerprint(hashes.SHA256()), issued.leaf.serial_number)
        remembered = self._answers.get(key)
        now = self._clock()
        if remembered is not None and now < remembered.believed_until:
            self._answers.move_to_end(key)
            self.facts.remembered_total += 1
            return remembered
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(issued))
            asking.add_done_callback(lambda task: self._keep(key, task))
        try:
            # Several may wait for it: one that gives up leaves it to the others.
            return await asyncio.shield(asking)
        except OcspFailed:
            if remembered is not None and (remembered.is_revoked or now < remembered.valid_until):
                self.facts.remembered_total += 1
                return remembered
            raise

    def _keep(self, key: _Key, asked: asyncio.Task[_Answer]) -> None:
        self._asking.pop(key, None)
        if asked.cancelled() or asked.exception() is not None:
            return
        self._answers[key] = asked.result()
        self._answers.move_to_end(key)
        while len(self._answers) > self._settings.entries_max:
            self._answers.popitem(last=False)

    async def _ask(self, issued: Issued) -> _Answer:
        url = _responder(issued.leaf)
        async with self._places:
            if self._clock() < self._paused.get(url, 0):
                raise OcspFailed(f"{url:.200} failed a moment ago")
            self.facts.asked_total += 1
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    return await self._fetch(url, issued)
            except TimeoutError:
                problem = OcspFailed(f"{url:.200} did not answer within {self._settings.timeout_s:g} s")
                self._pause(url)
            except (EgressRefused, OSError) as error:
                problem = OcspFailed(f"{url:.200}: {error}")
                self._pause(url)
            except (OcspFailed, ValueError, h11.ProtocolError) as error:
                # It answers: what is wrong with one answer says nothing about others.
                problem = OcspFailed(f"{url:.200}: {error}")
            self.facts.failed_total += 1
            _log.warning("ocsp_failed detail=%s", problem)
            raise problem

    def _pause(self, url: str) -> None:
        self._paused[url] = self._clock() + _PAUSE_S
        while len(self._paused) > self._settings.entries_max:
            self._paused.popitem(last=False)

    async def _fetch(self, url: str, issued: Issued) -> _Answer:
        # The form of the identifier that every responder knows.
        builder = ocsp.OCSPRequestBuilder().add_certificate(issued.leaf, issued.issuer, hashes.SHA1())  # noqa: S303
        request = builder.build()
        destination = await resolve(url, self._policy)
        answer = await _post(destination, request.public_bytes(serialization.Encoding.DER))
        return self._read(answer, request, issued.issuer)

    def _read(self, data: bytes, request: ocsp.OCSPRequest, issuer: x509.Certificate) -> _Answer:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspFailed(f"answered {response.response_status.name.lower()}")
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        _check_signature(response, issuer, now)
        wanted = (request.serial_number, request.issuer_key_hash, request.issuer_name_hash)
        for single in response.responses:
            if (single.serial_number, single.issuer_key_hash, single.issuer_name_hash) == wanted:
                return self._answered(single, now)
        raise OcspFailed("answered about other certificates")

    def _answered(self, single: ocsp.OCSPSingleResponse, now: datetime.datetime) -> _Answer:
        if single.this_update_utc > now + _SKEW:
            raise OcspFailed("the answer is of the future")
        end = single.next_update_utc
        if end is not None and end < now:
            raise OcspFailed("the answer is outdated")
        if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise OcspFailed("the responder does not know the certificate")
        believed_until = now.timestamp() + self._settings.believed_s
        valid_until = believed_until if end is None else end.timestamp()
        is_revoked = single.certificate_status is ocsp.OCSPCertStatus.REVOKED
        return _Answer(is_revoked, min(believed_until, valid_until), valid_until)


def _responder(leaf: x509.Certificate) -> str:
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        for place in access:
            is_responder = place.access_method == AuthorityInformationAccessOID.OCSP
            if is_responder and isinstance(place.access_location, x509.UniformResourceIdentifier):
                return place.access_location.value
    raise OcspFailed("the certificate names no responder")


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime.datetime) -> None:
    """Signed by the authority itself, or by a certificate that it made for this purpose."""
    delegates = [one for one in response.certificates[:_SIGNERS_MAX] if _is_delegate(one, issuer, now)]
    if not any(_has_signed(signer, response) for signer in (issuer, *delegates)):
        raise OcspFailed("the answer is not signed by the authority")


def _is_delegate(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    is_in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    return is_in_time and ExtendedKeyUsageOID.OCSP_SIGNING in purposes


def _has_signed(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, signature, data = signer.public_key(), response.signature, response.tbs_response_bytes
    try:
        algorithm = response.signature_hash_algorithm
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1):
            return False
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


async def _post(destination: Destination, body: bytes) -> bytes:
    """Send a request and read the answer's body, bounded. Follows nothing."""
    tls = ssl.create_default_context() if destination.is_tls else None
    name = destination.host if destination.is_tls else None
    reader, writer = await asyncio.open_connection(destination.address, destination.port, ssl=tls, server_hostname=name)
    try:
        connection = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", destination.authority),
            ("Content-Type", "application/ocsp-request"),
            ("Accept", "application/ocsp-response"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        events = (
            h11.Request(method="POST", target=destination.target, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        writer.write(b"".join(connection.send(event) or b"" for event in events))
        await writer.drain()
        return await _answer_body(connection, reader)
    finally:
        writer.transport.abort()


async def _answer_body(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    received = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_ANSWER_BYTES_MAX))
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                raise OcspFailed(f"answered with status {event.status_code}")
        elif isinstance(event, h11.Data):
            received += event.data
            if len(received) > _ANSWER_BYTES_MAX:
                raise OcspFailed("the answer is too large")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(received)
        elif not isinstance(event, h11.InformationalResponse):
            raise OcspFailed("the connection ended before the answer did")
