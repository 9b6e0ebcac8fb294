"""Tunnels through a forward proxy: HTTP CONNECT, then TLS with the real peer. Never sends the proxy anything inside.

Every failure says which side it lies on and what to do about it. Credentials stand in no error and no log line.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Final

from twinplane.hybrid.errors import ProxyRefused, ProxySilent, ProxyUnreachable, ProxyUnverified

HEAD_BYTES_MAX: Final = 16_384
_INTERIM_MAX: Final = 8
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_TLS_ALERT: Final = b"\x15\x03"
_STREAM_LIMIT: Final = 65_536


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """A proxy that opens tunnels. `trusted` is PEM; without it and `trusts_system`, the system's authorities count."""

    host: str
    port: int
    is_tls: bool = False
    verifies: bool = True
    trusted: str = ""
    trusts_system: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The proxy as messages name it, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"


async def open_tunnel(
    proxy: ForwardProxy, authority: str, context: ssl.SSLContext, *, server_name: str, timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS with the peer at `authority` (`host:port`), through the proxy.

    `timeout_s` bounds reaching the proxy, its answer, and the inner handshake, each. Raises a LinkError of this module
    for what concerns the proxy, and OSError or ssl.SSLError for the handshake with the peer.
    """
    loop = asyncio.get_running_loop()
    transport, asked = await _reach(proxy, timeout_s)
    try:
        transport.write(_request(proxy, authority))
        try:
            async with asyncio.timeout(timeout_s):
                head = await asked.head
        except TimeoutError:
            raise ProxySilent(f"{proxy.shown} did not answer CONNECT {authority} within {timeout_s:g} s") from None
        _check(head, proxy, authority)
        reader = asyncio.StreamReader(limit=_STREAM_LIMIT, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        inner = await loop.start_tls(
            transport, protocol, context, server_hostname=server_name, ssl_handshake_timeout=timeout_s
        )
        if inner is None:
            raise ProxyRefused(f"{proxy.shown} closed the tunnel to {authority}")
        protocol.connection_made(inner)
    except BaseException:
        transport.abort()
        raise
    return reader, asyncio.StreamWriter(inner, protocol, reader, loop)


async def _reach(proxy: ForwardProxy, timeout_s: float) -> tuple[asyncio.WriteTransport, _Asked]:
    context = _proxy_context(proxy) if proxy.is_tls else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            return await loop.create_connection(
                lambda: _Asked(proxy, loop.create_future()), proxy.host, proxy.port, ssl=context
            )
    except TimeoutError:
        reason = f"no {'TLS ' if proxy.is_tls else ''}connection within {timeout_s:g} s"
        raise ProxyUnreachable(f"{proxy.shown}: {reason}; check proxy_server and what stands in between") from None
    except ssl.SSLCertVerificationError as error:
        raise ProxyUnverified(
            f"{proxy.shown}: {error.verify_message}; add its authority to lua_ssl_trusted_certificate, or turn "
            "proxy_server_ssl_verify off"
        ) from error
    except ssl.SSLError as error:
        raise ProxyUnreachable(
            f"{proxy.shown}: no TLS ({error.reason or error}); a proxy that is spoken to in the clear is written http://"
        ) from error
    except socket.gaierror as error:
        raise ProxyUnreachable(
            f"{proxy.shown}: the name is not resolved ({error.strerror}); check proxy_server"
        ) from error
    except OSError as error:
        raise ProxyUnreachable(f"{proxy.shown}: {error.strerror or error}; check proxy_server") from error


def _proxy_context(proxy: ForwardProxy) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not proxy.verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if proxy.trusted:
        context.load_verify_locations(cadata=proxy.trusted)
    if proxy.trusts_system or not proxy.trusted:
        context.load_default_certs()
    return context


def _request(proxy: ForwardProxy, authority: str) -> bytes:
    lines = [
        f"CONNECT {authority} HTTP/1.1",
        f"Host: {authority}",
        "User-Agent: twinplane",
        "Proxy-Connection: Keep-Alive",
    ]
    if proxy.username is not None:
        credentials = f"{proxy.username}:{proxy.password or ''}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode()}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Asked(asyncio.Protocol):
    """Takes the head of the answer, no byte more: what follows it belongs to the handshake inside the tunnel."""

    def __init__(self, proxy: ForwardProxy, head: asyncio.Future[bytes]) -> None:
        self.head = head
        self._proxy = proxy
        self._data = bytearray()
        self._interim = 0
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to stop reading in time."""
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect the head."""
        if self.head.done():
            return
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head, rest = bytes(self._data[:end]), bytes(self._data[end + 4 :])
            is_interim = head[:10].startswith((b"HTTP/1.1 1", b"HTTP/1.0 1"))
            if not is_interim or self._interim == _INTERIM_MAX:
                self._finish(head, rest)
                return
            self._interim += 1
            self._data = bytearray(rest)
        if self._data[:2] == _TLS_ALERT:
            self._fail(f"{self._proxy.shown} speaks TLS; write it as https:// in proxy_server")
        elif not b"HTTP/1.".startswith(bytes(self._data[:7])) or len(self._data) > HEAD_BYTES_MAX:
            self._fail(f"{self._proxy.shown} answers with something else than HTTP; is it a forward proxy?")

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy hung up."""
        detail = f": {exc}" if exc else ""
        self._fail(f"{self._proxy.shown} closed the connection before it answered CONNECT{detail}")

    def _finish(self, head: bytes, rest: bytes) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
        if rest and head[9:10] == b"2":
            # Whatever comes before our hello cannot be the peer's: it must not be taken for what the tunnel carries.
            self._fail(f"{self._proxy.shown} sends data of its own into the tunnel")
        else:
            self.head.set_result(head)

    def _fail(self, text: str) -> None:
        if not self.head.done():
            self.head.set_exception(ProxyRefused(text))


def _check(head: bytes, proxy: ForwardProxy, authority: str) -> None:
    lines = head.split(b"\r\n")
    found = _STATUS_LINE.match(lines[0])
    if found is None:
        raise ProxyRefused(f"{proxy.shown} answers with something else than HTTP; is it a forward proxy?")
    status = int(found[1])
    if not 200 <= status < 300:
        raise ProxyRefused(
            f"{proxy.shown} answered CONNECT {authority} with {status}: {_advice(status, lines, proxy)}", status
        )


def _advice(status: int, lines: list[bytes], proxy: ForwardProxy) -> str:
    if status == 407:
        offered = [
            line.partition(b":")[2].strip().lower() for line in lines if line[:19].lower() == b"proxy-authenticate:"
        ]
        if offered and not any(each.startswith(b"basic") for each in offered):
            named = ", ".join(sorted({each.split(b" ")[0][:20].decode("latin-1") for each in offered}))
            return f"it asks for {named}, and only basic credentials are spoken"
        return "put user:password@ into proxy_server" if proxy.username is None else "it refuses these credentials"
    if status in (401, 403):
        return "it does not let this through; allow CONNECT to that host and port"
    if status in (400, 405, 501):
        return "it does not open tunnels; is it a forward proxy?"
    if status in (502, 503, 504):
        return "it does not reach that host and port; check its resolver and its way out"
    return "no tunnel"
