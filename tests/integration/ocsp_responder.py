"""A small OCSP responder on loopback, with real signatures and with every fault that a test asks for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from tests.certificates import Authority, Key, Leaf


class Responder:
    """Answers for the certificates of one authority."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.revoked: set[int] = set()
        self.unknown: set[int] = set()
        self.asked: list[int] = []
        self.lifetime: timedelta | None = timedelta(hours=1)
        self.begin = timedelta()
        self.status = 200
        self.is_silent = False
        self.raw: bytes | None = None
        self.signer: Leaf | None = None
        self.location = ""
        self.certificates: dict[int, x509.Certificate] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """What stands in the certificates."""
        return f"http://127.0.0.1:{self.port}/ocsp"

    def leaf(self, name: str, *, url: str | None = None) -> Leaf:
        """A certificate of the authority that names this responder."""
        leaf = self.authority.leaf(name, responder=self.url if url is None else url)
        certificate = x509.load_pem_x509_certificate(leaf.certificate.encode())
        self.certificates[certificate.serial_number] = certificate
        return leaf

    def revoke(self, leaf: Leaf) -> None:
        """From now on."""
        self.revoked.add(serial(leaf))

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("POST /ocsp HTTP/1.1\r\n")
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-len"))
        request = ocsp.load_der_ocsp_request(await reader.readexactly(length))
        self.asked.append(request.serial_number)
        if self.is_silent:
            await reader.read()
            return
        body = self.raw if self.raw is not None else self._answer(request)
        more = f"Location: {self.location}\r\n" if self.location else ""
        writer.write(f"HTTP/1.1 {self.status} x\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    def _answer(self, request: ocsp.OCSPRequest) -> bytes:
        certificate = self.certificates[request.serial_number]
        issuer = x509.load_pem_x509_certificate(self.authority.certificate.encode())
        now = datetime.now(UTC) + self.begin
        status = ocsp.OCSPCertStatus.GOOD
        if request.serial_number in self.unknown:
            status = ocsp.OCSPCertStatus.UNKNOWN
        if request.serial_number in self.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
        is_revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=issuer,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=now,
            next_update=None if self.lifetime is None else now + self.lifetime,
            revocation_time=now if is_revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if is_revoked else None,
        )
        signer, key = issuer, self.authority.key
        if self.signer is not None:
            signer = x509.load_pem_x509_certificate(self.signer.certificate.encode())
            key = _key(self.signer)
            builder = builder.certificates([signer])
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def serial(leaf: Leaf) -> int:
    """The serial number of a certificate."""
    return x509.load_pem_x509_certificate(leaf.certificate.encode()).serial_number


def _key(leaf: Leaf) -> Key:
    key = load_pem_private_key(leaf.key.encode(), None)
    assert isinstance(key, Key)
    return key
