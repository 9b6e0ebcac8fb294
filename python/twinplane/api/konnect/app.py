"""The Konnect API as one ASGI application: who asks, which region, core entities or Konnect's own resources.

Core entities go to `api/core`; everything else to FastAPI. Global and regional paths are served on any host.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from twinplane import __version__
from twinplane.api.core.errors import answer_for
from twinplane.api.core.face import (
    BodyTooLarge,
    EntityFace,
    Receive,
    Send,
    read_request,
    send_answer,
    worded,
)
from twinplane.api.core.message import NOT_FOUND, Answer, Headers, Site, json_answer
from twinplane.api.core.message import Request as Head
from twinplane.api.core.watched import Watched
from twinplane.api.core.workers import Workers, WorkersBusy
from twinplane.api.konnect import audit_logs, certificates, control_planes, identity, legacy, nodes
from twinplane.api.konnect.analytics import create_router
from twinplane.api.konnect.asking import asker_of, names_of
from twinplane.api.konnect.context import Asker, Services, region_of
from twinplane.api.konnect.core_entities import core_entity_paths, split_path, unauthorized
from twinplane.api.konnect.errors import (
    PROBLEM_TYPE,
    Problem,
    invalid_parameters,
    problem_answer,
    problem_for,
)
from twinplane.api.konnect.hosts import host_answer, host_problem, read_host
from twinplane.audit.accesses import Access, Accesses
from twinplane.control import Control
from twinplane.control.analytics import Analytics
from twinplane.control.errors import ControlError, StoreError, TokenExpired, TokenInvalid, TokenRevoked
from twinplane.settings.host_names import HostNames

_ASKER: Final = "twinplane.asker"
_BEARER: Final = "bearer "
_TOKEN_LENGTH_MAX: Final = 512

_log = logging.getLogger(__name__)


class App:
    """The ASGI application."""

    def __init__(
        self,
        control: Control,
        *,
        analytics: Analytics | None,
        threads: int,
        body_bytes_max: int,
        accesses: Accesses | None = None,
        audit_counters: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._accesses = accesses
        self._control = control
        self._hosts = HostNames(
            (control.settings.domain, *control.settings.other_domains), bare=control.settings.bare_hosts
        )
        self._body_bytes_max = body_bytes_max
        self._workers = Workers(threads=threads)
        self._entities = EntityFace(core_entity_paths(control), self._workers, body_bytes_max=body_bytes_max)
        self._resources = resources_app(Services(control, self._workers, audit_counters), analytics)

    def close(self) -> None:
        """End the worker threads."""
        self._workers.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        head = read_request(scope)
        access = Access.of(head.method, head.path, peer_ip(head))
        watched = Watched(send)
        await self._answer(head, access, scope, receive, watched)
        asker: Asker | None = scope.get(_ASKER)
        if self._accesses is not None and asker is not None:
            principal = asker.principal
            self._accesses.answered(access, principal.organization_id, principal.actor, watched.status)

    async def _answer(
        self, head: Head, access: Access, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        below = split_path(head.path)
        refusal = await self._refusal(head, access, scope, is_core=below is not None)
        if refusal is not None:
            await send_answer(send, refusal, head_only=head.method == "HEAD")
        elif below is not None:
            answer = await self._core_entity(head, scope[_ASKER], below, receive)
            await send_answer(send, answer, head_only=head.method == "HEAD")
        else:
            await self._resource(head, scope, receive, send)

    async def _refusal(
        self, head: Head, access: Access, scope: MutableMapping[str, Any], *, is_core: bool
    ) -> Answer | None:
        """The answer to a request that goes no further: health, another service's host, no valid token."""
        if head.path.rstrip("/") == "/health":
            return await self.health(head)
        found = read_host(self._hosts, head)
        problem = host_problem(found, head)
        if found is None or problem is not None:
            return host_answer(problem or Problem(404, "Not found"), head)
        try:
            principal = await self._workers.run(self._control.callers.admit, _bearer(head))
        except TokenInvalid as error:
            if self._accesses is not None:
                self._accesses.token_refused(access, _token_reason(head, error))
            return unauthorized() if is_core else problem_answer(Problem(401, "Unauthenticated"))
        except Exception as error:  # the last place where a refusal can be worded
            known = problem_for(error)
            return worded(error, head) if is_core or known is None else problem_answer(known)
        if self._accesses is not None:
            principal = replace(principal, actor=access.by(principal.actor))
            self._accesses.token_used(access, principal)
        scope[_ASKER] = Asker(principal, found.region or None)
        return None

    async def health(self, head: Head) -> Answer:
        """Whether the store of this application can be read and written."""
        if head.method not in {"GET", "HEAD"}:
            return problem_answer(Problem(405, "Method not allowed"))
        try:
            await self._workers.run(self._control.check)
        except StoreError as error:
            _log.warning("health_failed", extra={"error": str(error)})
            return json_answer(503, {"status": "unavailable", "version": __version__})
        except Exception as error:
            known = problem_for(error)
            if known is None:
                raise
            return problem_answer(known)
        return json_answer(200, {"status": "ok", "version": __version__})

    async def _core_entity(self, head: Head, asker: Asker, below: tuple[str, str, str], receive: Receive) -> Answer:
        base, control_plane_id, path = below
        principal = asker.principal
        try:
            region = region_of(self._control, asker.region)
            planes = self._control.control_planes
            plane = await self._workers.run(planes.get, principal.organization_id, region, control_plane_id)
        except Problem:
            return NOT_FOUND
        except Exception as error:  # worded as Kong would
            return answer_for(error) or worded(error, head)
        site = Site(plane.scope, principal.actor, base)
        return (await self._entities.serve(head, path, receive, site)).answer

    async def _resource(self, head: Head, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        limited = _Limited(receive, self._body_bytes_max)
        declared = head.header(b"content-length") or ""
        if declared.isdigit() and int(declared[:18]) > self._body_bytes_max:
            await send_answer(send, _too_large())
            return
        if _has_body(head) and not any(kind.startswith("application/json") for kind in head.content_types):
            await send_answer(send, problem_answer(Problem(415, "Bodies are read as application/json only")))
            return
        try:
            await self._resources(scope, limited, send)
        except Exception as error:  # answered already
            _log.exception("request_failed", exc_info=error, extra={"method": head.method, "path": head.path})


def peer_ip(head: Head) -> str:
    """Where a request came from, as the front door saw it."""
    return (head.header(b"twinplane-peer") or "").rpartition(":")[0].strip("[]")


def _token_reason(head: Head, error: TokenInvalid) -> str:
    if isinstance(error, TokenExpired):
        return "expired"
    if isinstance(error, TokenRevoked):
        return "revoked"
    return "unknown" if _bearer(head) else "missing"


class _Limited:
    """Counts what a body sends and stops it at the limit."""

    def __init__(self, receive: Receive, bytes_max: int) -> None:
        self._receive = receive
        self._left = bytes_max

    async def __call__(self) -> MutableMapping[str, Any]:
        event = await self._receive()
        self._left -= len(event.get("body", b""))
        if self._left < 0:
            raise BodyTooLarge
        return event


def _has_body(head: Head) -> bool:
    declared = head.header(b"content-length")
    return head.header(b"transfer-encoding") is not None if declared is None else declared.strip("0") != ""


def _too_large() -> Answer:
    answer = problem_answer(Problem(413, "The body is larger than this server reads"))
    return Answer(answer.status, answer.body, answer.headers, closes=True)


def _bearer(head: Head) -> str:
    value = head.header(b"authorization") or ""
    if value[: len(_BEARER)].lower() != _BEARER:
        return ""
    return value[len(_BEARER) :].strip()[:_TOKEN_LENGTH_MAX]


def resources_app(services: Services, analytics: Analytics | None) -> FastAPI:
    """Konnect's own resources."""
    app = FastAPI(title="twinplane", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    for part in (audit_logs, control_planes, nodes, certificates, identity, legacy):
        app.include_router(part.router)
    if analytics is not None:
        asker = asker_of(services)
        app.include_router(create_router(analytics, asker=asker, names=names_of(services.control)))
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in (ControlError, StoreError, Problem, WorkersBusy, BodyTooLarge):
        app.add_exception_handler(kind, _on_refused)
    app.add_exception_handler(Exception, _on_failure)
    return app


def _response(problem: Problem, more: Headers = ()) -> Response:
    answer = problem_answer(problem)
    response = Response(answer.body, status_code=answer.status, media_type=PROBLEM_TYPE[1].decode())
    for name, value in more:
        response.headers[name.decode()] = value.decode()
    return response


async def _on_invalid(_request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    if any(entry["type"] == "json_invalid" for entry in errors):
        return _response(Problem(400, "The body is not valid JSON"))
    return _response(Problem(400, "Invalid parameters", invalid_parameters(errors)))


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, BodyTooLarge):
        return await _on_refused(request, error.__cause__)
    status = error.status_code if isinstance(error, HTTPException) else 500
    details = {404: "Not found", 405: "Method not allowed", 400: "The body cannot be read"}
    return _response(Problem(status, details.get(status, "The request was refused")))


async def _on_refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, BodyTooLarge):
        return _response(Problem(413, "The body is larger than this server reads"), ((b"connection", b"close"),))
    return _response(problem_for(error) or Problem(500, "An unexpected error occurred"))


async def _on_failure(_request: Request, _error: Exception) -> Response:
    # The framework raises the error again once this is sent; `App` notes it.
    return _response(Problem(500, "An unexpected error occurred"))
