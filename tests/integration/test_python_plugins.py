"""Plugins in Python, through a whole node and real sockets: what they see and change, and how they are built."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, BodyTooLarge, Chunk, Config, Context, Plugin, Request, Response
from twinplane.schema import Between
from twinplane.testing import Gateway, GatewayRefused, gateway

ROUTES = [{"name": "r", "paths": ["~/r/(?<item>[^/]+)"], "strip_path": False}]


class GreetConfig(Config):
    """How to greet."""

    greeting: Annotated[str, "What to say."] = "hello"
    times: Annotated[int, Between(1, 3), "How often."] = 1


class Greet(Plugin[GreetConfig]):
    """Greets, in all phases."""

    name = "greet"
    version = "1.2.3"
    priority = 900
    config_class = GreetConfig
    body_bytes_max = 200_000

    def __init__(self) -> None:
        self.configs: list[GreetConfig] = []
        self.entries: list[Mapping[str, Any]] = []
        seen.append(self)

    def configure(self, configs: Sequence[GreetConfig]) -> None:
        self.configs = list(configs)

    def access(self, request: Request, ctx: Context, config: GreetConfig) -> Answer | None:
        item = request.captures["item"]
        if item == "no":
            return ctx.exit(403, {"message": "no"}, {"X-Why": "greet"})
        if item == "size":
            try:
                return ctx.exit(200, str(len(request.body)))
            except BodyTooLarge:
                return ctx.exit(413)
        if item == "facts":
            return ctx.exit(200, self._facts(request, ctx))
        if item == "elsewhere":
            request.set_path("/moved")
            request.set_raw_query("a=1")
            request.set_method("PUT")
            request.set_host("other.example")
            request.set_body(b"changed")
            del request.headers["X-Gone"]
            request.headers.add("X-Twice", "2")
        request.headers["X-Greeting"] = " ".join([config.greeting] * config.times)
        ctx.kept["greeted"] = ctx.cache.get_or_make("n", 60, lambda: 41)
        return None

    def header_filter(self, response: Response, ctx: Context, config: GreetConfig) -> None:
        response.headers["X-Kept"] = str(ctx.kept.get("greeted"))
        response.headers["X-Seen"] = f"{response.status} {response.source} {ctx.request.method}"

    def body_filter(self, chunk: Chunk, ctx: Context, config: GreetConfig) -> None:
        if ctx.request.captures.get("item") == "upper":
            chunk.replace(chunk.data.upper())

    def log(self, entry: Mapping[str, Any], config: GreetConfig) -> None:
        self.entries.append(entry)

    @staticmethod
    def _facts(request: Request, ctx: Context) -> dict[str, Any]:
        assert ctx.route is not None
        assert ctx.service is not None
        return {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "host": request.host,
            "scheme": request.scheme,
            "client_ip": request.client_ip,
            "http_version": request.http_version,
            "headers": request.headers.get_all("x-many"),
            "has": "X-Many" in request.headers,
            "route": ctx.route.name,
            "service": [ctx.service.name, ctx.service.protocol],
            "consumer": ctx.consumer and ctx.consumer.username,
            "id": len(ctx.request_id),
        }


seen: list[Greet] = []


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(ROUTES, plugins=[Greet], configs={"greet": {"greeting": "hi", "times": 2}}) as running:
        yield running


def test_access_changes_what_goes_upstream(gw: Gateway) -> None:
    told = gw.get("/r/one").json()
    assert (told["headers"]["X-Greeting"], told["target"]) == ("hi hi", "/r/one")
    moved = gw.post("/r/elsewhere?b=2", "body", X_Gone="1", X_Twice="1").json()
    assert (moved["method"], moved["target"], moved["body"]) == ("PUT", "/moved?a=1", "changed")
    assert (moved["headers"]["Host"], "X-Gone" in moved["headers"]) == ("other.example", False)
    assert [value for name, value in gw.upstream.arrivals[-1].headers if name == "X-Twice"] == ["1", "2"]


def test_an_answer_takes_the_place_of_the_upstream(gw: Gateway) -> None:
    before = len(gw.upstream.arrivals)
    refused = gw.get("/r/no")
    assert (refused.status, refused.json(), refused.header("X-Why")) == (403, {"message": "no"}, "greet")
    assert refused.header("X-Seen") == "403 kong GET"
    assert len(gw.upstream.arrivals) == before


def test_the_views_tell_what_the_request_is(gw: Gateway) -> None:
    told = gw.get("/r/facts?x=1&x=2&y=", X_Many="a").json()
    assert told == {
        "method": "GET",
        "path": "/r/facts",
        "query": {"x": ["1", "2"], "y": [""]},
        "host": f"127.0.0.1:{gw.port}",
        "scheme": "http",
        "client_ip": "127.0.0.1",
        "http_version": "1.1",
        "headers": ["a"],
        "has": True,
        "route": "r",
        "service": ["echo", "http"],
        "consumer": None,
        "id": 32,
    }


def test_what_a_plugin_keeps_it_has_in_the_phases_of_the_response(gw: Gateway) -> None:
    answer = gw.get("/r/one")
    assert (answer.header("X-Kept"), answer.header("X-Seen")) == ("41", "200 upstream GET")


def test_bodies_go_through_in_both_directions(gw: Gateway) -> None:
    assert gw.post("/r/size", b"x" * 200_000).body == b"200000"
    assert gw.post("/r/size", b"x" * 200_001).status == 413
    payload = b"abc" * 700_000
    gw.upstream.reply = lambda arrival: (200, {}, payload)
    try:
        assert gw.get("/r/upper").body == payload.upper()
        assert gw.get("/r/lower").body == payload
    finally:
        gw.upstream.reply = None


def test_the_log_phase_gets_each_request_later(gw: Gateway) -> None:
    gw.get("/r/logged?once=1")
    entries = seen[-1].entries
    eventually(lambda: any(entry["request"]["uri"] == "/r/logged?once=1" for entry in entries))


def test_configure_gets_all_configurations(gw: Gateway) -> None:
    eventually(lambda: gw.plugin("greet").configs)  # type: ignore[attr-defined]
    (config,) = gw.plugin("greet").configs  # type: ignore[attr-defined]
    assert (config.greeting, config.times) == ("hi", 2)


def test_a_configuration_that_the_declaration_refuses_is_refused() -> None:
    with pytest.raises(GatewayRefused, match=r"greet.*times|times.*between"):
        gateway(ROUTES, plugins=[Greet], configs={"greet": {"times": 9}}).__enter__()


def test_two_plugins_run_by_priority_and_a_consumer_is_seen() -> None:
    class Late(Plugin[Config]):
        name = "late"
        priority = 10

        async def access(self, request: Request, ctx: Context, config: Config) -> None:
            who = ctx.consumer.username if ctx.consumer else None
            request.headers["X-Order"] = f"{request.headers.get('X-Order', '')}late:{who}"

    class Early(Plugin[Config]):
        name = "early"
        priority = 2000

        def access(self, request: Request, ctx: Context, config: Config) -> None:
            who = ctx.consumer.username if ctx.consumer else None
            request.headers["X-Order"] = f"early:{who},"

    document = {
        "_format_version": "3.0",
        "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "secret"}]}],
        "services": [{"name": "s", "url": "http://<upstream>", "routes": [{"name": "r", "paths": ["/"]}]}],
        "plugins": [{"name": "key-auth"}, {"name": "late"}, {"name": "early"}],
    }
    with gateway(document, plugins=[Late, Early]) as running:
        assert running.get("/", apikey="secret").json()["headers"]["X-Order"] == "early:None,late:bob"


def test_code_is_swapped_while_requests_run() -> None:
    def version(text: str) -> type[Plugin[Config]]:
        class Swapped(Plugin[Config]):
            name = "swapped"

            def access(self, request: Request, ctx: Context, config: Config) -> Answer:
                return ctx.exit(200, text)

        return Swapped

    with gateway([{"paths": ["/"]}], plugins=[version("1")]) as running:
        answers: list[tuple[int, bytes]] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answer = running.get("/")
                answers.append((answer.status, answer.body))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: (200, b"1") in answers)
        assert running.reload(version("2"))
        eventually(lambda: answers[-1] == (200, b"2"))
        stop.set()
        for thread in threads:
            thread.join()
        assert set(answers) == {(200, b"1"), (200, b"2")}


def test_headers_cannot_be_split_nor_framing_touched() -> None:
    class Splitting(Plugin[Config]):
        name = "splitting"

        def access(self, request: Request, ctx: Context, config: Config) -> Answer:
            refused = []
            for name, value in [("X-A", "1\r\nX-B: 2"), ("X A", "1"), ("Content-Length", "3"), ("X-A", "\u20ac")]:
                try:
                    request.headers[name] = value
                except ValueError as error:
                    refused.append(str(error))
            return ctx.exit(200, refused)

    with gateway([{"paths": ["/"]}], plugins=[Splitting]) as running:
        assert len(running.get("/").json()) == 4


def test_a_gateway_of_the_kit_listens_nowhere_that_others_may() -> None:
    with gateway(ROUTES) as one, gateway(ROUTES) as other:
        assert [*one.node.admin_ports, *other.node.admin_ports] == []
        assert len({*one.node.ports, *one.node.status_ports, *other.node.ports, *other.node.status_ports}) == 4
        assert {one.get("/r/x").status, other.get("/r/x").status} == {200}
