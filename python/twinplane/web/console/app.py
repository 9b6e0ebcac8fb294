"""The console as one ASGI application: what is its own, who is signed in, which page, and the rules for browsers.

A request on its way: host and path -> asset, or session -> form (bounded, of this site, of this session) -> page ->
the headers that every answer carries. A form whose session has ended is put away and comes back after the sign-in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from twinplane.api.core.face import Receive, Send
from twinplane.api.core.workers import Workers
from twinplane.api.konnect.hosts import SNI_FIELD
from twinplane.audit.accesses import Access, Accesses
from twinplane.control.addresses import PublishedAddresses
from twinplane.control.sessions import Sessions
from twinplane.settings.host_names import BARE, HostNames
from twinplane.settings.network import CLOUD
from twinplane.web.console import pages
from twinplane.web.console.assets import PREFIX, Asset, Assets
from twinplane.web.console.errors import PageError, worded
from twinplane.web.console.forms import BODY_BYTES_MAX, PUT_AWAY_BODY_BYTES_MAX, TOKEN_FIELD, Form, FormInvalid
from twinplane.web.console.live import LiveStreams
from twinplane.web.console.session_cookie import read_cookie
from twinplane.web.console.sign_in.page import SignIn, resume_page
from twinplane.web.console.templates import make_templates
from twinplane.web.console.visit import Console, Room, Visit

Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_PEER_FIELD: Final = "twinplane-peer"
_SAFE: Final = frozenset({"GET", "HEAD"})
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_log = logging.getLogger(__name__)


class App:
    """The ASGI application."""

    def __init__(
        self,
        rooms: Mapping[str, Room],
        sessions: Sessions,
        hosts: HostNames,
        rest: Application,
        *,
        authority: Callable[[], str],
        accesses: Accesses | None,
        published: Callable[[], PublishedAddresses] | None,
        threads: int,
    ) -> None:
        self._hosts = hosts
        self._rest = rest
        self._assets = Assets()
        self._workers = Workers(threads=threads)
        self._console = Console(
            rooms, sessions, authority, self._workers, make_templates(self._assets), LiveStreams(), accesses, published
        )
        self._routes: Sequence[Route] = (*SignIn().routes, *pages.routes())
        own = {route.path.split("/")[1] for route in self._routes} - {"{region}"}
        self._own = own | set(rooms) | {"assets"}

    def end_streams(self) -> None:
        """End what never ends by itself, before the server stops."""
        self._console.live.end()

    def close(self) -> None:
        """End the worker threads."""
        self._workers.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or hand it on."""
        if scope["type"] != "http" or not self._is_own(scope):
            await self._rest(scope, receive, send)
            return
        request = Request(scope, receive)
        asset = self._assets.find(request.url.path) if request.url.path.startswith(PREFIX) else None
        response = _asset_response(request, asset) if asset else await self._answer(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        await response(scope, receive, send)

    def _is_own(self, scope: MutableMapping[str, Any]) -> bool:
        headers = dict(reversed(scope["headers"]))
        found = self._hosts.read(headers.get(b"host", b"").decode("latin-1"))
        if found is not None and found.kind is None:
            found = self._hosts.read(headers.get(SNI_FIELD, b"").decode("latin-1")) or BARE
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if found is not None and found.kind is CLOUD:
            return first != "health"
        return found is not None and found.kind is None and first in self._own

    async def _answer(self, request: Request) -> Response:
        access = Access.of(request.method, request.url.path, peer_of(request))
        visit = Visit(self._console, request, access, None)
        response = await self._safely(visit)
        if self._console.accesses is not None and visit.session is not None:
            principal = visit.session.principal
            self._console.accesses.answered(access, principal.organization_id, principal.actor, response.status_code)
        return response

    async def _safely(self, visit: Visit) -> Response:
        request = visit.request
        try:
            return await self._page(visit)
        except Exception as error:  # the last place where a failure can be worded
            said = worded(error)
            if said.status == 500:
                _log.exception("page_failed path=%s", request.url.path[:200])
            elif said.status > 500 and not isinstance(error, PageError):
                _log.warning("page_not_possible path=%s detail=%s", request.url.path[:200], error)
            kept = [] if request.url.path in SignIn.OPEN else list(visit.form)
            return visit.page("frame/error.html", status=said.status, error=said, kept=kept)

    async def _page(self, visit: Visit) -> Response:
        request = visit.request
        route, params = self._route(request)
        request.scope["path_params"] = params
        is_open = route.path in SignIn.OPEN
        if request.method not in _SAFE:
            _check_site(request)
            # First of all, so that whatever fails later can give back what was typed.
            is_sign_in = route.path == SignIn.PATH
            visit.form = await _read_form(request, PUT_AWAY_BODY_BYTES_MAX if is_sign_in else BODY_BYTES_MAX)
        secret = read_cookie(request)
        if secret:
            visit.session = await visit.run(self._console.sessions.find, secret)
        if is_open:
            return await self._called(route, visit)
        if visit.session is None:
            return resume_page(visit)
        if request.method not in _SAFE and not visit.session.allows(visit.form.get(TOKEN_FIELD)):
            return resume_page(visit)
        return await self._called(route, visit)

    async def _called(self, route: Route, visit: Visit) -> Response:
        response: Response = await route.endpoint(visit)
        return response

    def _route(self, request: Request) -> tuple[Route, dict[str, Any]]:
        allowed: set[str] = set()
        for route in self._routes:
            match, found = route.matches(request.scope)
            if match is Match.FULL:
                return route, found["path_params"]
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        if allowed:
            raise PageError(405, "Not possible", f"This address takes {', '.join(sorted(allowed))} only.")
        raise PageError(404, "Not found", "There is no page at this address.")


def peer_of(request: Request) -> str:
    """Where a request came from, as the front door saw it."""
    return request.headers.get(_PEER_FIELD, "").rpartition(":")[0].strip("[]")


def _check_site(request: Request) -> None:
    """A form of another site is refused, whatever cookies came with it."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_ours = (
        site in ("same-origin", "none") if site else origin in (None, f"https://{request.headers.get('host', '')}")
    )
    if not is_ours:
        raise PageError(403, "Refused", "The form was sent from another site.")


async def _read_form(request: Request, bytes_max: int) -> Form:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            raise PageError(413, "Too large", "The form is larger than this server reads.")
    try:
        return Form.read(request.headers.get("content-type", ""), bytes(body))
    except FormInvalid as error:
        raise PageError(error.status, "Not understood", f"{error}.") from error
    except HTTPException as error:
        raise PageError(400, "Not understood", "The form cannot be read.") from error


def _asset_response(request: Request, asset: Asset) -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    body = asset.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = asset.packed
    return Response(body, headers=headers, media_type=asset.content_type)
