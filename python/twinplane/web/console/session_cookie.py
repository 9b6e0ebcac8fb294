"""The cookie of a session: for this host alone, not for scripts, never sent in the clear or by other sites."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

NAME = "__Host-session"


def read_cookie(request: Request) -> str:
    """The secret that came with a request; empty where none did."""
    return request.cookies.get(NAME, "")


def set_cookie(response: Response, secret: str) -> None:
    """Give the browser the secret of its session, until it is closed or the session ends."""
    response.set_cookie(NAME, secret, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response) -> None:
    """Take it away."""
    response.delete_cookie(NAME, path="/", secure=True, httponly=True, samesite="lax")
