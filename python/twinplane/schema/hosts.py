"""Tests of host names, addresses and ranges, with the texts that Kong gives for each use of them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

HostKind = Literal["name", "ipv4", "ipv6"]

_NAME = re.compile(r"([A-Za-z0-9._-]+)(?::([0-9]+))?")
_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and its port, taken apart. IPv6 hosts are spelled out in full."""

    kind: HostKind
    host: str
    port: int | None


class BadAddressError(ValueError):
    """The text is no host; the argument says why in Kong's words."""


def parse_address(text: str) -> Address:
    """Takes `host`, `host:port`, `1.2.3.4:80`, `::1` or `[::1]:80` apart."""
    if text.count(":") > 1 or text.startswith("["):
        return _ipv6(text)
    host, colon, port = text.partition(":")
    if _DIGITS_AND_DOTS.fullmatch(host):
        if not _is_ipv4(host):
            raise BadAddressError(f"invalid ipv4 address: {text}")
        return Address("ipv4", host, _port(port, text) if colon else None)
    found = _NAME.fullmatch(text)
    if found is None or not _segments_are_sound(found[1]):
        raise BadAddressError(f"invalid hostname: {text}")
    return Address("name", found[1], _port(found[2], text) if found[2] else None)


def _ipv6(text: str) -> Address:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise BadAddressError(f"invalid ipv6 address: {text}")
        port = rest[1:]
    try:
        full = ipaddress.IPv6Address(host).exploded
    except ValueError as error:
        raise BadAddressError(f"invalid ipv6 address: {text}") from error
    return Address("ipv6", full, _port(port, text) if port else None)


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(part and len(part) <= 3 and int(part) <= 255 for part in parts)


def _port(digits: str, text: str) -> int:
    if not digits.isdigit():
        raise BadAddressError(f"invalid hostname: {text}")
    if int(digits) > _PORT_MAX:
        raise BadAddressError("invalid port number")
    return int(digits)


def _segments_are_sound(name: str) -> bool:
    segments = name.split(".")
    if len(segments) > 1 and not segments[-1]:
        segments.pop()
    return all(segment and not segment.endswith("-") for segment in segments)


def bad_host(value: str) -> str | None:
    """A name or address without a port."""
    try:
        address = parse_address(value)
    except BadAddressError as error:
        return "must not have a port" if str(error) == "invalid port number" else f"invalid value: {value}"
    return "must not have a port" if address.port is not None else None


def bad_host_with_optional_port(value: str) -> str | None:
    """A name or address, perhaps with a port."""
    try:
        parse_address(value)
    except BadAddressError as error:
        return str(error)
    return None


def bad_route_host(value: str) -> str | None:
    """A host of a route: a name or address, perhaps with a port, perhaps with a wildcard label."""
    wrong = bad_host_with_optional_port(value.replace("*", "wildcard", 1))
    return wrong if wrong is None or not wrong.startswith("invalid hostname") else f"invalid hostname: {value}"


def bad_wildcard_host(value: str) -> str | None:
    """A name for SNI: no address, no port, a wildcard at one end at most."""
    at = value.find("*")
    if at >= 0:
        if value.count("*") > 1:
            return "only one wildcard must be specified"
        if 0 < at < len(value) - 1:
            return "wildcard must be leftmost or rightmost character"
        value = value.replace("*", "wildcard")
    try:
        address = parse_address(value)
    except BadAddressError as error:
        return str(error) if str(error) == "invalid port number" else f"invalid value: {value}"
    if address.kind != "name":
        return "must not be an IP"
    return "must not have a port" if address.port is not None else None


def bad_sni(value: str) -> str | None:
    """A plain server name: no address, no port, no wildcard."""
    try:
        address = parse_address(value)
    except BadAddressError:
        return f"invalid value: {value}"
    if address.kind != "name":
        return "must not be an IP"
    return "must not have a port" if address.port is not None else None


def bad_upstream_name(value: str) -> str | None:
    """A virtual host name: no address, no port."""
    try:
        address = parse_address(value)
    except BadAddressError:
        return f"Invalid name ('{value}'); must be a valid hostname"
    if address.kind != "name":
        return f"Invalid name ('{value}'); no ip addresses allowed"
    return f"Invalid name ('{value}'); no port allowed" if address.port is not None else None


def bad_ip(value: str) -> str | None:
    """An address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"not an ip address: {value}"
    return None


def bad_ip_or_cidr(value: str) -> str | None:
    """An address or a range."""
    _, slash, length = value.partition("/")
    if not slash or length.isdigit():
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            return None
    return f"invalid ip or cidr range: '{value}'"
