"""TLS on the audit port: asks for a client certificate and has its key proved; who the peer is, others decide.

Pinned certificates have no authority and may be of X.509 version 1; the ssl module of Python refuses them in the
handshake and takes no verdict of ours, so this stands on pyOpenSSL.
"""

from __future__ import annotations

import asyncio

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL

from twinplane.hybrid.identity import CHAIN_MAX, Presented
from twinplane.settings.network import SHARED_NAME

_CHUNK = 16_384


class TlsRefused(Exception):
    """The handshake failed, or the stream broke the rules of TLS."""


Pair = tuple[str, str]
"""A certificate chain and its key, both PEM."""


def server_context(platform: Pair, shared: Pair | None = None) -> SSL.Context:
    """A context that presents `platform`, and `shared` to who asks for the name of shared mode. Raises ValueError."""
    context = _context(*platform)
    if shared is not None:
        other = _context(*shared)

        def choose(connection: SSL.Connection) -> None:
            if connection.get_servername() == SHARED_NAME.encode():
                connection.set_context(other)

        context.set_tlsext_servername_callback(choose)
    return context


def _context(certificate: str, key: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Whether a certificate is good is decided after the handshake, by the rules of the link.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    chain = x509.load_pem_x509_certificates(certificate.encode())
    try:
        context.use_certificate(chain[0])
        for above in chain[1:]:
            context.add_extra_chain_cert(above)
        context.use_privatekey(load_pem_private_key(key.encode(), None))  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        raise ValueError(f"the certificate and the key cannot be used: {error}") from error
    return context


class TlsStream:
    """The server's end of one connection."""

    def __init__(self, context: SSL.Context, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()

    async def handshake(self) -> Presented:
        """Agree on a session; the answer is what the peer showed. Raises TlsRefused, OSError."""
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                await self._flush()
                if not await self._fill():
                    raise TlsRefused("the peer went away in the handshake") from None
            except SSL.Error as error:
                await self._flush()
                raise TlsRefused(_reason(error)) from error
            else:
                await self._flush()
                return self._presented()

    async def read(self) -> bytes:
        """What the peer sent next; empty at the end. Raises TlsRefused, OSError."""
        while True:
            try:
                return self._connection.recv(_CHUNK)
            except SSL.WantReadError:
                await self._flush()
                if not await self._fill():
                    return b""
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise TlsRefused(_reason(error)) from error

    async def _fill(self) -> bool:
        data = await self._reader.read(_CHUNK)
        if data:
            self._connection.bio_write(data)
        return bool(data)

    async def _flush(self) -> None:
        try:
            while data := self._connection.bio_read(_CHUNK):
                self._writer.write(data)
        except SSL.WantReadError:
            pass
        await self._writer.drain()

    def _presented(self) -> Presented:
        leaf = self._connection.get_peer_certificate(as_cryptography=True)
        chain = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        if len(chain) > CHAIN_MAX:
            raise TlsRefused("too many certificates")
        name = (self._connection.get_servername() or b"").decode("latin-1").lower().rstrip(".")
        peer = self._writer.get_extra_info("peername") or ("",)
        certificate = None if leaf is None else leaf.public_bytes(Encoding.DER)
        between = [one.public_bytes(Encoding.DER) for one in chain[1:]]
        return Presented(certificate, between, name, str(peer[0]))


def _reason(error: SSL.Error) -> str:
    details = error.args[0] if error.args else ()
    reasons = [part[-1] for part in details if part and part[-1]] if isinstance(details, list | tuple) else []
    return "; ".join(str(reason) for reason in reasons) or "broken off"
