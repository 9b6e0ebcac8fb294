"""How a node reaches its control plane: TLS with the node's certificate, through a forward proxy if need be.

The control plane's certificate is verified against authorities (pki) or must be the shared one, byte for byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import logging
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from weakref import WeakSet

from websockets.http11 import Response

from twinplane.hybrid.errors import LinkError, PeerGone, PeerSilent, PeerUnverified
from twinplane.hybrid.forward_proxy import ForwardProxy, open_tunnel
from twinplane.hybrid.frames import FrameStream, open_link
from twinplane.hybrid.wire import IO_TIMEOUT_S, LINK_HEADER, LINK_VERSION, PAYLOAD_BYTES_MAX
from twinplane.settings.network import SHARED_NAME

HURRY_S = 10.0
_log = logging.getLogger(__name__)


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
    """Opens links to one endpoint. Another certificate can be put in place at any time."""

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
        self._begin(_Way.of(tls, endpoint))

    def _begin(self, way: _Way) -> None:
        self._way = way
        self._way_before: _Way | None = None
        self._renewed = asyncio.Event()
        self._awake = asyncio.Event()
        self._hurried_at = float("-inf")
        self._open: WeakSet[FrameStream] = WeakSet()
        self._closing: set[asyncio.Future[None]] = set()

    @property
    def is_renewed(self) -> bool:
        """Whether a certificate waits for its first use: links end for that, and no attempt has to wait."""
        return self._renewed.is_set()

    def renew(self, tls: LinkTls) -> None:
        """Dial with another certificate from now on, and say goodbye to what is open. Raises ValueError.

        While the other end does not take the new one, be it that it does not know it yet, the old one is dialled with.
        """
        try:
            way = _Way.of(tls, self.endpoint)
        except ssl.SSLError as error:
            raise ValueError(str(error)) from error
        # The last one that was taken: one that was not is no help.
        self._way_before, self._way = self._way_before or self._way, way
        self._renewed.set()
        self._awake.set()
        for stream in list(self._open):
            self._say_goodbye(stream)

    def hurry(self) -> None:
        """The process stood still: where a link ended for that, the next attempt does not wait."""
        self._hurried_at = time.monotonic()
        self._awake.set()

    async def pause(self, seconds: float) -> None:
        """Wait between two attempts, no longer than until there is a new certificate to try or a reason to hurry."""
        if not self.is_renewed:
            self._awake.clear()
        hurried_at, self._hurried_at = self._hurried_at, float("-inf")
        if time.monotonic() - hurried_at < HURRY_S:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()

    async def open(
        self, target: str, headers: Mapping[str, str] = MappingProxyType({}), *, subprotocol: str | None = None
    ) -> tuple[FrameStream, Response]:
        """An upgraded link; `headers` go with the upgrade. Raises a LinkError, whatever went wrong."""
        self._renewed.clear()
        way, before = self._way, self._way_before
        try:
            opened = await self._open_by(way, target, headers, subprotocol)
        except PeerSilent:
            raise
        except LinkError as error:
            if before is None:
                raise
            opened = await self._open_by(before, target, headers, subprotocol)
            _log.warning("certificate_not_taken peer=%s detail=%s; the old one is", self.endpoint.authority, error)
        else:
            if way is self._way:
                self._way_before = None
        self._open.add(opened[0])
        if self.is_renewed:
            # Meanwhile.
            self._say_goodbye(opened[0])
        return opened

    def _say_goodbye(self, stream: FrameStream) -> None:
        closing = asyncio.ensure_future(stream.close(with_code=True))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _open_by(
        self, way: _Way, target: str, headers: Mapping[str, str], subprotocol: str | None
    ) -> tuple[FrameStream, Response]:
        reader, writer = await self._reach(way)
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
        except BaseException:
            # Be it that nobody waits for it any more.
            writer.transport.abort()
            raise

    def at(self, endpoint: Endpoint) -> Dialer:
        """One for another port or host of the same peer, with the certificate and trust of this moment."""
        other = copy.copy(self)
        other.endpoint = endpoint
        other._begin(self._way)
        return other

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to who the endpoint should be. Raises a LinkError, whatever went wrong."""
        return await self._reach(self._way)

    async def _reach(self, way: _Way) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self._timeout_s * (2 if self._proxy is None else 4)):
                reader, writer = await self._connect(way)
        except LinkError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise PeerUnverified(f"{self.endpoint.authority}: {error.verify_message}{self._interception()}") from error
        except TimeoutError:
            raise PeerSilent(f"no connection to {self.endpoint.authority} in time") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise PeerGone(f"{self.endpoint.authority}: {error}") from error
        try:
            way.check_pin(writer)
        except LinkError:
            writer.transport.abort()
            raise
        return reader, writer

    async def _connect(self, way: _Way) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._proxy is None:
            return await asyncio.open_connection(
                self.endpoint.host,
                self.endpoint.port,
                ssl=way.context,
                server_hostname=way.server_name,
                ssl_handshake_timeout=self._timeout_s,
            )
        return await open_tunnel(
            self._proxy,
            self.endpoint.authority,
            way.context,
            server_name=way.server_name,
            timeout_s=self._timeout_s,
        )

    def _interception(self) -> str:
        """What to look at where a certificate is not the control plane's own and a proxy stands in between."""
        if self._proxy is None:
            return ""
        return f"; does the forward proxy {self._proxy.shown} open TLS by itself? Exempt this host there"


@dataclass(frozen=True, slots=True)
class _Way:
    """How a control plane is met with one certificate."""

    context: ssl.SSLContext
    server_name: str
    pinned: bytes | None

    @staticmethod
    def of(tls: LinkTls, endpoint: Endpoint) -> _Way:
        if tls.mode == "shared":
            return _Way(link_context(tls), SHARED_NAME, _digest(tls.certificate))
        return _Way(link_context(tls), endpoint.server_name, None)

    def check_pin(self, writer: asyncio.StreamWriter) -> None:
        if self.pinned is None:
            return
        tls = writer.get_extra_info("ssl_object")
        presented = tls.getpeercert(binary_form=True) if tls else None
        if presented is None or hashlib.sha256(presented).digest() != self.pinned:
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
