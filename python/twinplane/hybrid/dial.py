"""How a node reaches its control plane: TLS with the node's certificate, through a forward proxy if need be.

The control plane's certificate is verified against authorities (pki) or must be the shared one, byte for byte.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from websockets.http11 import Response

from twinplane.hybrid.errors import LinkError, PeerGone, PeerSilent, PeerUnverified
from twinplane.hybrid.forward_proxy import ForwardProxy, open_tunnel
from twinplane.hybrid.frames import FrameStream, open_link
from twinplane.hybrid.wire import IO_TIMEOUT_S, LINK_HEADER, LINK_VERSION, PAYLOAD_BYTES_MAX
from twinplane.settings.network import SHARED_NAME


@dataclass(frozen=True, slots=True)
class LinkTls:
    """The node's certificate, and whom it trusts. All certificates are PEM text."""

    mode: Literal["pki", "shared"]
    certificate: str
    key: str
    trusted: str = ""
    trusts_system: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to dial, and the server name to ask for there."""

    host: str
    port: int
    server_name: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Dialer:
    """Opens links to one endpoint. Certificates are read once, when it is made."""

    def __init__(
        self,
        endpoint: Endpoint,
        tls: LinkTls,
        *,
        proxy: ForwardProxy | None = None,
        timeout_s: float = IO_TIMEOUT_S,
        bytes_max: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        """Raises ssl.SSLError or ValueError where the certificate or key cannot be used."""
        self.endpoint = endpoint
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._bytes_max = bytes_max
        self._context = link_context(tls)
        self._server_name = SHARED_NAME if tls.mode == "shared" else endpoint.server_name
        self._pinned = _digest(tls.certificate) if tls.mode == "shared" else None

    async def open(
        self, target: str, headers: Mapping[str, str] = MappingProxyType({}), *, subprotocol: str | None = None
    ) -> tuple[FrameStream, Response]:
        """An upgraded link; `headers` go with the upgrade. Raises a LinkError, whatever went wrong."""
        reader, writer = await self.connect()
        try:
            return await open_link(
                reader,
                writer,
                host=self.endpoint.authority,
                target=target,
                headers=dict(headers) if subprotocol else {LINK_HEADER: LINK_VERSION, **headers},
                subprotocol=subprotocol,
                bytes_max=self._bytes_max,
                timeout_s=self._timeout_s,
            )
        except LinkError:
            writer.transport.abort()
            raise

    def at(self, endpoint: Endpoint) -> Dialer:
        """One for another port or host of the same peer, with the same certificate and trust."""
        other = copy.copy(self)
        other.endpoint = endpoint
        return other

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to who the endpoint should be. Raises a LinkError, whatever went wrong."""
        try:
            async with asyncio.timeout(self._timeout_s * (2 if self._proxy is None else 4)):
                reader, writer = await self._connect()
        except LinkError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise PeerUnverified(f"{self.endpoint.authority}: {error.verify_message}{self._interception()}") from error
        except TimeoutError:
            raise PeerSilent(f"no connection to {self.endpoint.authority} in time") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise PeerGone(f"{self.endpoint.authority}: {error}") from error
        try:
            self._check_pin(writer)
        except LinkError:
            writer.transport.abort()
            raise
        return reader, writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._proxy is None:
            return await asyncio.open_connection(
                self.endpoint.host,
                self.endpoint.port,
                ssl=self._context,
                server_hostname=self._server_name,
                ssl_handshake_timeout=self._timeout_s,
            )
        return await open_tunnel(
            self._proxy,
            self.endpoint.authority,
            self._context,
            server_name=self._server_name,
            timeout_s=self._timeout_s,
        )

    def _interception(self) -> str:
        """What to look at where a certificate is not the control plane's own and a proxy stands in between."""
        if self._proxy is None:
            return ""
        return f"; does the forward proxy {self._proxy.shown} open TLS by itself? Exempt this host there"

    def _check_pin(self, writer: asyncio.StreamWriter) -> None:
        if self._pinned is None:
            return
        tls = writer.get_extra_info("ssl_object")
        presented = tls.getpeercert(binary_form=True) if tls else None
        if presented is None or hashlib.sha256(presented).digest() != self._pinned:
            raise PeerUnverified("the control plane does not present the shared certificate")


def link_context(tls: LinkTls) -> ssl.SSLContext:
    """What a node presents and whom it trusts. Raises ssl.SSLError where certificate and key cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.mode == "shared":
        # Shared certificates have no usable name and may be of X.509 version 1: the digest decides, see _check_pin.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        if tls.trusted:
            context.load_verify_locations(cadata=tls.trusted)
        if tls.trusts_system:
            context.load_default_certs()
        # A trusted leaf or intermediate is enough: that is how a control plane is pinned.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load_identity(context, tls)
    return context


def _load_identity(context: ssl.SSLContext, tls: LinkTls) -> None:
    # The ssl module takes files only: a private folder holds them for the length of this call.
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_text(tls.certificate)
        key.touch(mode=0o600)
        key.write_text(tls.key)
        context.load_cert_chain(certificate, key)


def _digest(pem: str) -> bytes:
    begin = pem.find("-----BEGIN CERTIFICATE-----")
    end = pem.find("-----END CERTIFICATE-----", begin)
    if begin < 0 or end < 0:
        raise ValueError("no certificate in the PEM text")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[begin : end + 25])).digest()
