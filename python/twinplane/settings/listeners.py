"""Listen directives of `kong.conf`: `0.0.0.0:8443 http2 ssl reuseport backlog=16384, …`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from twinplane.settings.setting import Kind

_FLAGS = frozenset({"ssl", "http2", "proxy_protocol", "deferred", "bind", "reuseport"})
_VALUED = re.compile(r"backlog=\d+|ipv6only=(on|off)|so_keepalive=\S+")


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and port to listen on. `flags` are the words that follow it."""

    address: str
    port: int
    flags: frozenset[str] = frozenset()
    backlog: int = 16384

    @property
    def tls(self) -> bool:
        return "ssl" in self.flags

    @property
    def http2(self) -> bool:
        return "http2" in self.flags

    @property
    def proxy_protocol(self) -> bool:
        return "proxy_protocol" in self.flags


def read_listeners(text: str) -> tuple[Listener, ...]:
    """The listeners that a directive names; none for `off`."""
    if text.strip() == "off":
        return ()
    return tuple(_read_listener(part.split()) for part in text.split(",") if part.strip())


def _read_listener(words: list[str]) -> Listener:
    address, _, port = words[0].rpartition(":")
    bare = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(bare)
    except ValueError as error:
        raise ValueError(f"expected address:port with an IP address, got '{words[0]}'") from error
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected a port from 0 to 65535, got '{words[0]}'")
    backlog = 16384
    for word in words[1:]:
        if word not in _FLAGS and not _VALUED.fullmatch(word):
            raise ValueError(f"unknown listener flag '{word}'")
        if word.startswith("backlog="):
            backlog = int(word.removeprefix("backlog="))
    return Listener(bare, int(port), frozenset(words[1:]) & _FLAGS, backlog)


LISTENERS: Kind[tuple[Listener, ...]] = Kind("listeners", read_listeners)
