"""Signing in and out, the theme, and what becomes of a form whose session ended while it was being typed."""

from __future__ import annotations

import time
from collections import deque
from urllib.parse import parse_qsl, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from twinplane.control.errors import TokenExpired, TokenInvalid, TokenRevoked
from twinplane.web.console.errors import PageError
from twinplane.web.console.forms import BODY_BYTES_MAX, FIELDS_MAX
from twinplane.web.console.session_cookie import drop_cookie, read_cookie, set_cookie
from twinplane.web.console.visit import Visit

TRIES_MAX = 10
"""Failed sign-ins of one address within a minute; more are refused unread."""

_TRIES_S = 60.0
_ADDRESSES_MAX = 10_000
_SIGN_OUT = "/sign-out"
_SECRET_LENGTH_MAX = 512
_THEMES = ("light", "dark", "")


class SignIn:
    """The doors of the console."""

    PATH = "/sign-in"
    OPEN = frozenset({PATH, "/theme"})
    """Addresses that need no session."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}
        self.routes = [
            Route(self.PATH, self.show, methods=["GET"]),
            Route(self.PATH, self.sign_in, methods=["POST"]),
            Route(_SIGN_OUT, self.sign_out, methods=["POST"]),
            Route("/theme", self.choose_theme, methods=["POST"]),
        ]

    async def show(self, visit: Visit) -> Response:
        """The form."""
        wanted = _local(visit.request.query_params.get("next", "/"))
        return visit.page("sign_in/sign_in.html", next=wanted, put_away="", is_form=False, problem="")

    async def sign_in(self, visit: Visit) -> Response:
        """Begin a session with a token; an old one of the same browser ends."""
        form, peer = visit.form, visit.access.client_ip
        wanted, put_away = _local(form.get("next") or "/"), form.get("put_away")[:BODY_BYTES_MAX]
        is_form = bool(put_away) or form.get("method") == "post"
        if self._has_failed_often(peer):
            problem, status = "Too many attempts from this address. Wait a minute, then try again.", 429
        else:
            try:
                token = form.get("token").strip()[:_SECRET_LENGTH_MAX]
                secret, session = await visit.run(visit.console.sessions.begin, token, client_ip=peer)
            except TokenInvalid as error:
                self._note_failure(peer)
                if visit.console.accesses is not None:
                    visit.console.accesses.token_refused(visit.access, _reason(error))
                problem, status = _problem(error), 401
            else:
                old = read_cookie(visit.request)
                if old:
                    await visit.run(visit.console.sessions.end, old)
                visit.session = session
                response = _resumed(visit, wanted, put_away) if is_form else visit.go(wanted)
                set_cookie(response, secret)
                return response
        return visit.page(
            "sign_in/sign_in.html", status=status, next=wanted, put_away=put_away, is_form=is_form, problem=problem
        )

    async def sign_out(self, visit: Visit) -> Response:
        """End the session."""
        await visit.run(visit.console.sessions.end, read_cookie(visit.request))
        if visit.console.accesses is not None:
            visit.console.accesses.session_ended(visit.access, visit.person.principal)
        response = RedirectResponse("/sign-in", 303)
        drop_cookie(response)
        return response

    async def choose_theme(self, visit: Visit) -> Response:
        """Light, dark, or as the machine has it."""
        theme = visit.form.get("theme")
        response = RedirectResponse(_local(visit.form.get("next") or "/"), 303)
        if theme not in _THEMES:
            raise PageError(400, "Not possible", "There is no such theme.")
        response.set_cookie("theme", theme, max_age=31_536_000, path="/", secure=True, samesite="lax")
        return response

    def _has_failed_often(self, peer: str) -> bool:
        tries = self._failures.get(peer)
        return tries is not None and len(tries) >= TRIES_MAX and time.monotonic() - tries[0] < _TRIES_S

    def _note_failure(self, peer: str) -> None:
        if len(self._failures) >= _ADDRESSES_MAX:
            self._failures.clear()
        self._failures.setdefault(peer, deque(maxlen=TRIES_MAX)).append(time.monotonic())


def resume_page(visit: Visit) -> Response:
    """Ask for a sign-in, and keep what was typed for the time after it."""
    request = visit.request
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method in ("GET", "HEAD"):
        return RedirectResponse(f"/sign-in?{urlencode({'next': path})}" if path != "/" else "/sign-in", 303)
    put_away, is_form = urlencode(list(visit.form)), path != _SIGN_OUT
    problem = "Your session has ended. Sign in again: what you typed is kept."
    if not put_away:
        problem = "Your session has ended. Sign in again."
    if len(put_away) > BODY_BYTES_MAX:
        put_away, is_form = "", False
        problem = "Your session has ended. What you sent is too large to be kept: go back for it."
    # What only takes forms cannot be gone to: the way on is then the form, or the first page.
    wanted = _local(path) if is_form else "/"
    return visit.page(
        "sign_in/sign_in.html", status=401, next=wanted, put_away=put_away, is_form=is_form, problem=problem
    )


def _resumed(visit: Visit, wanted: str, put_away: str) -> Response:
    """A form that was put away, shown for sending: it is never sent by itself."""
    fields = parse_qsl(put_away, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    reopens = ("reopens", "yes") in fields
    return visit.page("sign_in/resume.html", target=wanted, fields=fields, reopens=reopens)


def _reason(error: TokenInvalid) -> str:
    return "expired" if isinstance(error, TokenExpired) else "revoked" if isinstance(error, TokenRevoked) else "unknown"


def _problem(error: TokenInvalid) -> str:
    if isinstance(error, TokenExpired):
        return "This token has expired. Sign in with another one."
    if isinstance(error, TokenRevoked):
        return "This token was revoked. Sign in with another one."
    return (
        "This token is not known here. It begins with kpat_ and stands in the file admin.token of the data directory."
    )


def _local(path: str) -> str:
    """A path of this site; anything else becomes the first page."""
    # One slash, then neither a second one nor what browsers take for one: it cannot name another host.
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"
