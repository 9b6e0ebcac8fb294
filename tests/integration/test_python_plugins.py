"""Plugins in Python, through a whole node and real sockets: what they see and change, and what their faults cost."""

from __future__ import annotations

from typing import Annotated

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from twinplane.pdk import Answer, Config, Context, Plugin, Request
from twinplane.testing import gateway

ROUTES = [{"name": "r", "paths": ["/r"]}]


class GreetConfig(Config):
    """How to greet."""

    greeting: Annotated[str, "What to say."] = "hello"


class Greet(Plugin[GreetConfig]):
    """Greets the upstream."""

    name = "greet"
    version = "1.2.3"
    priority = 900
    config_class = GreetConfig

    def access(self, request: Request, ctx: Context, config: GreetConfig) -> Answer | None:
        if request.path == "/r/no":
            return ctx.exit(403, {"message": "no"}, {"X-Why": "greet"})
        request.headers["X-Greeting"] = f"{config.greeting} {request.query_arg('name', 'you')}"
        return None


def test_a_plugin_sets_a_header_and_answers() -> None:
    with gateway(ROUTES, plugins=[Greet], configs={"greet": {"greeting": "hi"}}) as gw:
        assert gw.get("/r?name=bob").json()["headers"]["X-Greeting"] == "hi bob"
        refused = gw.get("/r/no")
        assert (refused.status, refused.json(), refused.header("X-Why")) == (403, {"message": "no"}, "greet")
        assert len(gw.upstream.arrivals) == 1
        assert gw.metric("twinplane_python_plugin_calls_total", plugin="greet", result="continued") == 1
        assert gw.metric("twinplane_python_plugin_calls_total", plugin="greet", result="answered") == 1
