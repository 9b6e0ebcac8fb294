"""Introduces the Admin API of a node without control plane to the node: requests one way, answers the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from twinplane.api.admin.dbless import Admission, DblessApp
from twinplane.api.core.message import Answer, Query, Request
from twinplane.hybrid.client import Outcome
from twinplane.node.admin_part import AdminDoor
from twinplane.node.http import Handler, HttpAnswer
from twinplane.node.http_request import HttpRequest
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities

_SLASHES = re.compile(r"/{2,}")
_CONTENT_TYPE = b"content-type"


class NodeAdmin:
    """The API of one node. See `node.admin_part.AdminFace`."""

    def __init__(self, settings: NodeSettings) -> None:
        self._admission = _admission(settings)
        self._body_bytes_max: int = settings["nginx_admin_client_max_body_size"] or settings["cluster_max_payload"]
        self._app: DblessApp | None = None

    def open(self, door: AdminDoor, entities: DeclaredEntities) -> Handler:
        """Who answers requests, from now on."""
        app = self._app = DblessApp(door, entities, self._admission, body_bytes_max=self._body_bytes_max)

        async def handle(received: HttpRequest) -> HttpAnswer:
            return _sent(await app.answer(_request(received)))

        return handle

    def refuse(self, request: HttpRequest) -> HttpAnswer | None:
        """The refusal of a request whose body was not read yet, None where it is let in."""
        refusal = self._app.refuse(_request(request)) if self._app is not None else None
        return None if refusal is None else _sent(refusal)

    def replacing(self, entities: DeclaredEntities, serve: Callable[[], Outcome]) -> Outcome:
        """Show another configuration, which was not posted, where `serve` has it served. Blocks."""
        return serve() if self._app is None else self._app.replacing(entities, serve)

    def use_settings(self, settings: NodeSettings) -> None:
        """Let callers in by other settings from the next request on."""
        if self._app is not None:
            self._app.admit(_admission(settings))

    def close(self) -> None:
        """End the threads of the API."""
        if self._app is not None:
            self._app.close()


def _admission(settings: NodeSettings) -> Admission:
    return Admission(
        tuple(settings["admin_origins"] or ()),
        settings["admin_token"],
        is_open=settings["admin_remote_access"],
        hosts=tuple(settings["admin_hosts"] or ()),
    )


def _request(received: HttpRequest) -> Request:
    path, _, arguments = received.target.partition("?")
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in received.headers.items())
    query = Query(arguments.encode("latin-1"))
    return Request(received.method, _SLASHES.sub("/", path), query, headers, received.body)


def _sent(answer: Answer) -> HttpAnswer:
    content_type = next((value for name, value in answer.headers if name == _CONTENT_TYPE), b"")
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        if name != _CONTENT_TYPE:
            shown = "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
            headers[shown] = (
                f"{headers[shown]}, {value.decode('latin-1')}" if shown in headers else value.decode("latin-1")
            )
    return HttpAnswer(answer.status, answer.body, content_type.decode("latin-1"), headers, closes=answer.closes)
