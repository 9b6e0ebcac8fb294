"""Who may speak to an Admin API that asks for no token: loopback names, and browser pages of listed origins.

Without this any web page could change the gateway through the browser of whoever runs it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final

from twinplane.api.core.message import Answer, Headers, Request, message

_ANY: Final = "*"


class Origins:
    """The listed origins. `*` lets every page in, as a real node does."""

    def __init__(self, allowed: Collection[str], *, any_host: bool = False) -> None:
        self._any_host = any_host
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed)

    def refuse(self, request: Request) -> Answer | None:
        """The refusal of a request that came by a foreign name or from a foreign page."""
        host = request.header(b"host") or ""
        if not self._any_host and not is_loopback_name(host):
            return message(403, f"The Admin API answers on loopback names only, not on '{host[:255]}'")
        origin = request.header(b"origin")
        if origin is not None and not self._is_allowed(origin) and origin.partition("://")[2] != host:
            return message(403, f"Requests from pages of '{origin[:255]}' are not let in")
        return None

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
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
