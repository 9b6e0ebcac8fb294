"""Who may speak to the Admin API of a node: whoever knows its token; without one, who calls from this machine."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field

from twinplane.api.admin.origins import Origins
from twinplane.api.core.message import Answer, Headers, Request, message

_UNKNOWN = message(401, "Unauthorized")


@dataclass(frozen=True, slots=True)
class Admission:
    """What is asked of a caller. With `is_open` any name in the Host field will do."""

    origins: Collection[str] = ()
    token: str | None = field(default=None, repr=False)
    is_open: bool = False


class Guard:
    """Decides on heads of requests, before a body is looked at."""

    def __init__(self, admission: Admission) -> None:
        self._token = None if admission.token is None else admission.token.encode()
        # A page that was led here by a false name knows no token.
        self._origins = Origins(admission.origins, any_host=admission.is_open or admission.token is not None)

    def refuse(self, request: Request) -> Answer | None:
        """The refusal of a request, None where it is let in."""
        refusal = self._origins.refuse(request)
        if refusal is not None or self._token is None:
            return refusal
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
