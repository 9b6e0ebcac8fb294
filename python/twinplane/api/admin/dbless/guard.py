"""Who may speak to the Admin API of a node: whoever knows its token; without one, who calls it by a name of its own."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from twinplane.api.admin.origins import Origins, OwnNames
from twinplane.api.core.message import Answer, Headers, Request, message

_UNKNOWN = message(401, "Unauthorized")


@dataclass(frozen=True, slots=True)
class Admission:
    """What is asked of a caller.

    `hosts` are names that the API goes by besides loopback names; with `is_open` it is reached from other machines, and
    by its addresses too.
    """

    origins: Collection[str] = ()
    token: str | None = field(default=None, repr=False)
    is_open: bool = False
    hosts: Collection[str] = ()


class Guard:
    """Decides on heads of requests, before a body is looked at."""

    def __init__(self, admission: Admission) -> None:
        self._token = None if admission.token is None else admission.token.encode()
        is_closed = admission.token is not None
        names = OwnNames(
            tuple(host.lower().rstrip(".") for host in admission.hosts), with_addresses=admission.is_open or is_closed
        )
        # A page that was led here by a false name knows no token.
        self._origins = Origins(admission.origins, names=names, any_host=is_closed)

    def refuse(self, request: Request) -> Answer | None:
        """The refusal of a request, None where it is let in. Listed pages can read it."""
        refusal = self._origins.refuse(request) or self._ask_token(request)
        if refusal is None:
            return None
        return replace(refusal, headers=(*refusal.headers, *self._origins.headers(request)))

    def _ask_token(self, request: Request) -> Answer | None:
        # No browser sends the token along when it asks whether its page may send it.
        if self._token is None or self._origins.is_preflight(request):
            return None
        return None if hmac.compare_digest(_given(request).encode("latin-1"), self._token) else _UNKNOWN

    def headers(self, request: Request) -> Headers:
        """What a browser needs in order to hand the answer to its page."""
        return self._origins.headers(request)

    def preflight(self, request: Request, allow: str) -> Headers:
        """What the answer to OPTIONS says besides."""
        return self._origins.preflight(request, allow)


def _given(request: Request) -> str:
    """The token of a request, in the field that Kong's clients send or as a bearer token."""
    named = request.header(b"kong-admin-token")
    if named is not None:
        return named
    scheme, _, token = (request.header(b"authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
