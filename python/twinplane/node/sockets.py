"""Listening sockets of a node's own ports, made as a listen directive says. Client traffic has those of the core."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import replace

from twinplane.settings import Listener
from twinplane.settings.listeners import Keepalive

_DEFER_SECONDS = 10


def resolved(listeners: Iterable[Listener]) -> list[Listener]:
    """The listeners with addresses in place of host names. Raises OSError where a name has none."""
    found: list[Listener] = []
    for listener in listeners:
        try:
            ipaddress.ip_address(listener.address)
        except ValueError:
            found += [replace(listener, address=address) for address in _addresses(listener.address)]
        else:
            found.append(listener)
    return found


def open_socket(listener: Listener) -> socket.socket:
    """A socket that listens. Raises OSError."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listener.ipv6only))
        opened.bind((listener.address, listener.port))
        change_socket(opened, listener)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def change_socket(opened: socket.socket, listener: Listener) -> None:
    """Have a bound socket listen with these flags."""
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_SECONDS if listener.deferred else 0)
    # Connections have what the listening socket has.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(listener.keepalive is not None))
    if listener.keepalive is not None:
        _keep_alive(opened, listener.keepalive)
    opened.listen(listener.backlog)


def _keep_alive(opened: socket.socket, told: Keepalive) -> None:
    values = {"TCP_KEEPIDLE": told.idle_s, "TCP_KEEPINTVL": told.interval_s, "TCP_KEEPCNT": told.probes}
    for name, value in values.items():
        option = getattr(socket, name, None)
        if value is not None and option is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


def _addresses(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, f"{name} is not resolved: {error.strerror}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
