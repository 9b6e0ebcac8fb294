"""Ingress controllers as one ASGI application: which control plane a certificate opens, and what lies below it.

No token is ever asked for or taken. Whatever is not theirs goes on to the application behind.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from twinplane.api.core.errors import answer_for
from twinplane.api.core.face import EntityFace, Receive, Send, read_request, send_answer, worded
from twinplane.api.core.message import NOT_FOUND, Answer, Request, Site, message
from twinplane.api.core.workers import Workers
from twinplane.api.kic.paths import controller_paths
from twinplane.api.konnect.app import peer_ip
from twinplane.api.konnect.hosts import read_host
from twinplane.audit.accesses import Access, Accesses
from twinplane.control import Actor, Control, ControlPlane
from twinplane.control.ingress import CONTROLLER, INGRESS_TYPE
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.identity import (
    CERT_HEADER,
    CHAIN_HEADER,
    PEER_HEADER,
    SNI_HEADER,
    Admission,
    Presented,
    read_presented,
)
from twinplane.hybrid.refusals import NAME_DISAGREES, NO_CERTIFICATE
from twinplane.settings.host_names import FoundHost, HostNames
from twinplane.settings.network import KIC_API

Admit = Callable[[Presented, str], Awaitable[Admission]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_BASE: Final = re.compile(r"(?P<base>/kic/api/control-planes/(?P<id>[^/]+))(?P<path>/.*|\Z)", re.DOTALL)

_NO_CERTIFICATE: Final = message(401, "no client certificate provided in request")
_REFUSED: Final = message(401, "client certificate authentication failed")
_OTHER: Final = message(403, "the client certificate belongs to another control plane")
_OTHER_TYPE: Final = message(403, "the control plane is not one of an ingress controller")

_TELL_EVERY_S: Final = 60.0
_TOLD_MAX: Final = 1000

_log = logging.getLogger(__name__)


class App:
    """The ASGI application."""

    def __init__(
        self,
        control: Control,
        rest: Application,
        admit: Admit,
        *,
        accesses: Accesses | None,
        threads: int,
        body_bytes_max: int,
    ) -> None:
        self._accesses = accesses
        self._admit = admit
        settings = control.settings
        self._hosts = HostNames((settings.domain, *settings.other_domains), bare=settings.bare_hosts)
        self._rest = rest
        self._workers = Workers(threads=threads)
        self._entities = EntityFace(controller_paths(control), self._workers, body_bytes_max=body_bytes_max)
        self.refused_total = 0
        self._told: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        """End the worker threads."""
        self._workers.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or hand it on."""
        if scope["type"] != "http":
            return
        head = read_request(scope)
        host = read_host(self._hosts, head)
        if host is None or host.kind is not KIC_API or head.path.rstrip("/") == "/health":
            await self._rest(scope, receive, send)
            return
        answer = await self._answer(head, host, receive)
        await send_answer(send, answer, head_only=head.method == "HEAD")

    async def _answer(self, head: Request, host: FoundHost, receive: Receive) -> Answer:
        found = _BASE.match(head.path)
        if found is None:
            return NOT_FOUND
        try:
            access = Access.of(head.method, head.path, peer_ip(head))
            site = await self._site(head, host, access, found["id"], found["base"])
        except Exception as error:  # the last place where a refusal can be worded
            return answer_for(error) or worded(error, head)
        if isinstance(site, Answer):
            return site
        answer = (await self._entities.serve(head, found["path"] or "/", receive, site)).answer
        if self._accesses is not None:
            self._accesses.answered(access, site.scope.organization_id, site.actor, answer.status)
        return answer

    async def _site(
        self, head: Request, host: FoundHost, access: Access, control_plane_id: str, base: str
    ) -> Site | Answer:
        """Where a request may work, or why not."""
        presented = Presented(None, (), "", access.client_ip)
        try:
            presented = read_presented(_fields(head))
            self._check_name(presented, host)
            admission = await self._admit(presented, control_plane_id)
        except IdentityRefused as refusal:
            answer = _NO_CERTIFICATE if refusal.code == NO_CERTIFICATE else _REFUSED
            return self._refuse(answer, refusal.code, presented, str(refusal))
        refused = _mismatch(admission.control_plane, control_plane_id, host.region)
        if refused is not None:
            return self._refuse(refused, "control_plane_disagrees", presented, f"of {admission.control_plane.id}")
        held_by = admission.certificate_id or presented.fingerprint
        actor = access.by(Actor(CONTROLLER, held_by, CONTROLLER))
        return Site(admission.control_plane.scope, actor, base)

    def _check_name(self, presented: Presented, host: FoundHost) -> None:
        """The handshake must have been for the same host. Raises IdentityRefused."""
        if presented.certificate is None:
            raise IdentityRefused(NO_CERTIFICATE)
        if self._hosts.read(presented.server_name) != host:
            raise IdentityRefused(NAME_DISAGREES, f"the handshake was with {presented.server_name}")

    def _refuse(self, answer: Answer, code: str, presented: Presented, detail: str) -> Answer:
        self.refused_total += 1
        if self._accesses is not None:
            self._accesses.refused(
                code, ip=presented.ip, server_name=presented.server_name, fingerprint=presented.fingerprint
            )
        # Anyone may come and be refused: once a minute is told for each address and reason.
        key, now = (presented.ip, code), time.monotonic()
        if now - self._told.get(key, -_TELL_EVERY_S) >= _TELL_EVERY_S:
            if len(self._told) >= _TOLD_MAX:
                self._told.clear()
            self._told[key] = now
            words = "controller_refused peer=%s status=%d reason=%s detail=%s total=%d"
            _log.warning(words, presented.ip, answer.status, code, detail, self.refused_total)
        return answer


def _mismatch(plane: ControlPlane, control_plane_id: str, region: str) -> Answer | None:
    if plane.id != control_plane_id.lower():
        return _OTHER
    if plane.region != region:
        return NOT_FOUND
    return None if plane.cluster_type == INGRESS_TYPE else _OTHER_TYPE


def _fields(head: Request) -> dict[str, str]:
    """What the front door says of the connection."""
    names = (CERT_HEADER, CHAIN_HEADER, SNI_HEADER, PEER_HEADER)
    return {name: head.header(name.lower().encode()) or "" for name in names}
