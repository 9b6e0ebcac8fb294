"""By which names an Admin API may be called, and from which pages: its own names, and listed origins.

Without this any web page could change the gateway through the browser of whoever runs it: directly, or by having its
own name lead to the gateway.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from twinplane.api.core.message import Answer, Headers, Request, message

_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class OwnNames:
    """The names that an Admin API goes by. Nobody else can have them lead to it: they tell own pages from others."""

    listed: Collection[str] = ()
    """In lower case; besides loopback names, which always count."""
    with_addresses: bool = False
    """Whether every IP address counts."""

    def include(self, host: str) -> bool:
        """Whether a Host field holds one of them."""
        name = _bare(host)
        return is_loopback_name(host) or name in self.listed or (self.with_addresses and _is_address(name))

    def __str__(self) -> str:
        return " and ".join([*(("IP addresses",) if self.with_addresses else ()), "loopback names", *self.listed])


class Origins:
    """The listed origins. `*` lets every page in, as a real node does."""

    def __init__(self, allowed: Collection[str], *, names: OwnNames | None = None, any_host: bool = False) -> None:
        """With `any_host` whoever calls may call by any name; still pages of other names count as foreign."""
        self._names = names or OwnNames()
        self._any_host = any_host
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed)

    def refuse(self, request: Request) -> Answer | None:
        """The refusal of a request that came by a foreign name or from a foreign page."""
        host = request.header(b"host") or ""
        is_own = self._names.include(host)
        if not is_own and not self._any_host:
            return message(403, f"The Admin API answers on {self._names} only, not on '{host[:255]}'")
        origin = request.header(b"origin")
        if origin is None or self._is_allowed(origin) or (is_own and origin.partition("://")[2] == host):
            return None
        return message(403, f"Requests from pages of '{origin[:255]}' are not let in")

    def is_preflight(self, request: Request) -> bool:
        """Whether a browser asks what a page of a listed origin may do. It asks without fields that say who it is."""
        origin = request.header(b"origin")
        return (
            request.method == "OPTIONS"
            and origin is not None
            and self._is_allowed(origin)
            and request.header(b"access-control-request-method") is not None
            and request.header(b"transfer-encoding") is None
            and request.header(b"content-length") in (None, "0")
        )

    def headers(self, request: Request) -> Headers:
        """What a browser needs in order to hand the answer to its page."""
        origin = request.header(b"origin")
        if _ANY in self._allowed:
            shown = origin or _ANY
        elif origin is not None and self._is_allowed(origin):
            shown = origin
        else:
            return ((b"vary", b"Origin"),) if self._allowed else ()
        sent: Headers = (
            (b"access-control-allow-origin", shown.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
        )
        return sent if _ANY in self._allowed else (*sent, (b"vary", b"Origin"))

    def preflight(self, request: Request, allow: str) -> Headers:
        """What the answer to OPTIONS says besides."""
        if not any(name == b"access-control-allow-origin" for name, _ in self.headers(request)):
            return ()
        wanted = request.header(b"access-control-request-headers") or "Content-Type"
        return (
            (b"access-control-allow-methods", allow.encode()),
            (b"access-control-allow-headers", wanted.encode("latin-1")),
        )

    def _is_allowed(self, origin: str) -> bool:
        return _ANY in self._allowed or origin in self._allowed


def is_loopback_name(host: str) -> bool:
    """Whether a Host field names this machine and nothing else."""
    name = _bare(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _bare(host: str) -> str:
    """A Host field without its port."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
