"""Several regions behind one address: the host says which one's application a request belongs to.

Each application sees the store of its own region and nothing else, so that no request can reach the data of another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from twinplane.api.core.face import Receive, Send, read_request, send_answer
from twinplane.api.core.message import NOT_FOUND, Answer, Request
from twinplane.api.konnect.app import App
from twinplane.api.konnect.core_entities import split_path
from twinplane.api.konnect.errors import Problem
from twinplane.api.konnect.hosts import host_answer, host_problem, read_host
from twinplane.settings.host_names import FoundHost, HostNames
from twinplane.settings.network import GLOBAL

_HEALTH: Final = "/health"


Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Front:
    """The ASGI application of a process that serves some of several regions."""

    def __init__(self, applications: Mapping[str, Application], faces: Sequence[App], names: HostNames) -> None:
        """`applications` by region, `global` among them where it is served here; `faces` tell whether all are well."""
        self._applications = dict(applications)
        self._faces = faces
        self._names = names
        regions = [region for region in applications if region != GLOBAL]
        # A bare address names no region: it stands for the only one, or else for what is global.
        self._bare = self._applications.get(regions[0] if len(regions) == 1 else GLOBAL)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        head = read_request(scope)
        if head.path.rstrip("/") == _HEALTH:
            await send_answer(send, await self._health(head), head_only=head.method == "HEAD")
            return
        found = read_host(self._names, head)
        application = self._application(found)
        if application is not None:
            await application(scope, receive, send)
            return
        await send_answer(send, _refusal(found, head), head_only=head.method == "HEAD")

    def _application(self, found: FoundHost | None) -> Application | None:
        if found is None or not found.region:
            return self._bare
        return self._applications.get(found.region)

    async def _health(self, head: Request) -> Answer:
        """The first that is not well speaks for all."""
        answer = NOT_FOUND
        for face in self._faces:
            answer = await face.health(head)
            if answer.status != 200:
                break
        return answer


def _refusal(found: FoundHost | None, head: Request) -> Answer:
    if split_path(head.path) is not None:
        return NOT_FOUND
    region = found.region if found is not None else ""
    problem = host_problem(found, head) or Problem(404, f"Region [{region}] is not served here")
    return host_answer(problem, head)
