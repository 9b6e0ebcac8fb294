"""The base class of plugins in Python."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

from twinplane.pdk.answer import Answer
from twinplane.pdk.config import Config
from twinplane.pdk.context import Context
from twinplane.pdk.request import Request
from twinplane.pdk.response import Chunk, Response, WholeResponse
from twinplane.pdk.surroundings import Surroundings

PHASES = ("rewrite", "access", "response", "header_filter", "body_filter", "log")


C = TypeVar("C")
Outcome = Answer | Awaitable[Answer | None] | None
"""What a phase gives: nothing, so that the request goes on; or an answer in place of the upstream's. May be awaited."""


class Plugin(Generic[C]):
    """A plugin. There is one instance on a node; each configured plugin of its name comes in as `config`.

    A phase is a method, and only those that a plugin defines are called. Each may be `async`.
    """

    name: ClassVar[str]
    """As configurations name it: lower-case words joined by hyphens."""
    version: ClassVar[str] = "0.1.0"
    priority: ClassVar[int] = 1000
    """Higher runs earlier."""
    config_class: ClassVar[type[Any]] = Config
    """Declares the configuration: derived from `Config`, or a dataclass."""
    observes_only: ClassVar[bool] = False
    """It neither refuses nor changes anything: routes are served without it where it cannot run."""
    on_failure: ClassVar[Literal["fail_closed", "fail_open"] | None] = None
    """What a request goes on with after an exception or a time-out; None: as the node is set."""
    timeout_ms: ClassVar[int | None] = None
    """How long one phase may take; None: as the node is set."""
    body_bytes_max: ClassVar[int] = 0
    """The request's body is read up to this size before `access`; 0: it is not read."""
    response_bytes_max: ClassVar[int | None] = None
    """The upstream's body is held back up to this size for `response`; None: as the node is set."""
    scopes: ClassVar[tuple[Literal["service", "route", "consumer"], ...]] = ("service", "route", "consumer")
    """What it may be attached to, beside everything."""

    node: Surroundings
    """What the node lends the plugin, beside phases too: cache, http, meter, secret. Set before anything is called."""

    def prepare(self, config: C) -> None:
        """A configured plugin is about to be served. What is raised refuses the whole configuration, with its words."""

    def configure(self, configs: Sequence[C]) -> Awaitable[None] | None:
        """A configuration of the node is in force: all that it has for this plugin. Requests do not wait for it."""

    def rewrite(self, request: Request, ctx: Context, config: C) -> Outcome:
        """Before the route is known; plugins that are attached to nothing only."""

    def access(self, request: Request, ctx: Context, config: C) -> Outcome:
        """Before the upstream is asked."""

    def response(self, response: WholeResponse, ctx: Context, config: C) -> Outcome:
        """The upstream has answered, its body has come whole, nothing has gone to the client.

        In place of `header_filter` and `body_filter`. An answer that the gateway gives itself does not come here.
        """

    def header_filter(self, response: Response, ctx: Context, config: C) -> Outcome:
        """The head of the response is about to go to the client."""

    def body_filter(self, chunk: Chunk, ctx: Context, config: C) -> Awaitable[None] | None:
        """A piece of the response's body is about to go to the client."""

    def log(self, entry: Mapping[str, Any], config: C) -> Awaitable[None] | None:
        """The response has gone; called later, off the way of requests, with what log plugins tell."""

    @classmethod
    def phases(cls) -> tuple[str, ...]:
        """The phases that the plugin defines."""
        return tuple(phase for phase in PHASES if getattr(cls, phase) is not getattr(Plugin, phase))
