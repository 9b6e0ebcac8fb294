"""Where this process may fetch from: the one guard in front of every address that came with data.

A name is resolved once and the connection goes to what was checked, so that a second answer cannot lead elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

_URL_LENGTH_MAX = 2048
_PORTS = {"http": 80, "https": 443}
# Services of cloud providers that hand out credentials to whoever can reach them, beside those on link-local addresses.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class EgressRefused(Exception):
    """A place that nothing is fetched from, or that cannot be found."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What is let through beside public addresses."""

    allows_loopback: bool = False
    allows_private: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """A checked place: connect to `address`, ask for `target` at `host`."""

    is_tls: bool
    host: str
    port: int
    target: str
    address: str

    @property
    def authority(self) -> str:
        """What stands in a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.is_tls else "http"] else f"{host}:{self.port}"


async def resolve(url: str, policy: EgressPolicy) -> Destination:
    """Check a URL and everything its name stands for. Raises EgressRefused; the caller bounds the time."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EgressRefused(f"not a URL: {error}") from error
    is_odd = len(url) > _URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url
    if parts.scheme not in _PORTS or not host or is_odd:
        raise EgressRefused("not an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise EgressRefused("a URL with credentials")
    port = port or _PORTS[parts.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise EgressRefused(f"{host} is not found: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        check_address(address, policy)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme == "https", host, port, target, addresses[0])


def check_address(text: str, policy: EgressPolicy) -> None:
    """Raises EgressRefused for an address that the policy does not let through. Pure."""
    address = _meant(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_link_local or address in _METADATA:
        raise EgressRefused(f"{text} is link-local or gives metadata")
    if address.is_loopback:
        if not policy.allows_loopback:
            raise EgressRefused(f"{text} is this machine")
        return
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise EgressRefused(f"{text} is no address of a server")
    if not address.is_global and not policy.allows_private:
        raise EgressRefused(f"{text} is private")


def _meant(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside one of IPv6 that only stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address
