"""What surrounds a request: who asks, where it goes, what plugins keep, where they log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from twinplane.pdk.answer import Answer, Body, Headers
from twinplane.pdk.entities import Consumer, Route, Service, consumer_of, with_tuples
from twinplane.pdk.request import Request

if TYPE_CHECKING:
    from twinplane.pdk.cache import Cache
    from twinplane.pdk.http import Http
    from twinplane.pdk.meter import Meter
    from twinplane.pdk.surroundings import Surroundings
    from twinplane.pdk.visit import Visit


class Consumers:
    """Looks consumers up; no request leaves the node for it."""

    __slots__ = ("_visit",)

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def by_id(self, id: str) -> Consumer | None:  # noqa: A002 - as the field is called
        """The consumer with this id."""
        return consumer_of(self._visit.find_consumer("id", id))

    def by_username(self, username: str) -> Consumer | None:
        """The consumer called so."""
        return consumer_of(self._visit.find_consumer("username", username))

    def by_custom_id(self, custom_id: str) -> Consumer | None:
        """The consumer that another system calls so."""
        return consumer_of(self._visit.find_consumer("custom_id", custom_id))


class Context:
    """What surrounds a request: who asks, where it goes, what the plugin keeps, where it logs."""

    __slots__ = ("_around", "_request", "_visit")

    def __init__(self, visit: Visit, around: Surroundings, request: Request | None = None) -> None:
        self._visit = visit
        self._around = around
        self._request = request

    @property
    def request(self) -> Request:
        """The request, in the phases of the response too."""
        if self._request is None:
            self._request = Request(self._visit)
        return self._request

    @property
    def visit(self) -> Visit:
        """The core's end, for what is built upon these views."""
        return self._visit

    @property
    def cache(self) -> Cache:
        """Shared by all requests of this plugin."""
        return self._around.cache

    @property
    def http(self) -> Http:
        """Requests to other servers, from phases that are `async`."""
        return self._around.http

    @property
    def meter(self) -> Meter:
        """Counters and histograms of this plugin on `/metrics`."""
        return self._around.meter

    def secret(self, reference: str) -> str:
        """The secret behind a reference, `{vault://env/my-secret}`. Raises LookupError."""
        return self._around.secret(reference)

    @property
    def request_id(self) -> str:
        """The id that the client and the upstream are told."""
        return self._visit.request_id

    @property
    def plugin_id(self) -> str:
        """Id of the configured plugin."""
        return self._visit.plugin_id

    @property
    def route(self) -> Route | None:
        """The matched route."""
        found = self._visit.route()
        return None if found is None else Route(found["id"], found["name"], tuple(found["tags"]))

    @property
    def service(self) -> Service | None:
        """Its service."""
        found = self._visit.service()
        return None if found is None else Service(**with_tuples(found))

    @property
    def consumer(self) -> Consumer | None:
        """Who asks, where an auth plugin before this one found out."""
        return consumer_of(self._visit.consumer())

    @property
    def consumers(self) -> Consumers:
        """The consumers of the configuration that the request is served by."""
        return Consumers(self._visit)

    @property
    def credential(self) -> tuple[str, str] | None:
        """Kind and id of the credential that was used."""
        return self._visit.credential()

    @property
    def kept(self) -> dict[str, Any]:
        """What the plugin keeps from one phase of this request to the next."""
        found = self._visit.kept()
        if found is None:
            found = {}
            self._visit.keep(found)
        assert isinstance(found, dict)
        return found

    @property
    def shared(self) -> dict[str, Any]:
        """What plugins in Python keep for each other in this request."""
        found = self._visit.shared()
        if found is None:
            found = {}
            self._visit.share(found)
        assert isinstance(found, dict)
        return found

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs with the plugin's name and the request's id on each line."""
        return _RequestLog(logging.getLogger(f"plugin.{self._visit.plugin}"), {"request_id": self._visit.request_id})

    @staticmethod
    def exit(status: int, body: Body = None, headers: Headers = ()) -> Answer:
        """An answer to return from a phase."""
        return Answer(status, body, headers)


class _RequestLog(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Put the request's id behind the line."""
        assert self.extra is not None
        return f"{msg} request_id={self.extra['request_id']}", kwargs
