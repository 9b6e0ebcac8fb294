"""What a node lends plugins in Python beside the request: requests of their own, metrics, secrets, tasks, configure."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.certificates import Authority
from tests.integration.installation import eventually

from twinplane.node.declared import read_declared
from twinplane.pdk import (
    Answer,
    Config,
    Context,
    HttpFailed,
    HttpResponseTooLarge,
    Plugin,
    Request,
    every,
)
from twinplane.schema import Referenceable
from twinplane.testing import Gateway, gateway

ROUTES = [{"name": "r", "paths": ["/"]}]
HTTP = "twinplane_python_plugin_http_requests_total"
RESPONSE_MAX = 50_000


class AskConfig(Config):
    """Whom to ask."""

    url: Annotated[str, "Where to ask."]
    secret: Annotated[str | None, Referenceable(), "What to send along."] = None


class Ask(Plugin[AskConfig]):
    """Asks another server, counts, and tells."""

    name = "ask"
    timeout_ms = 20_000
    config_class = AskConfig

    async def access(self, request: Request, ctx: Context, config: AskConfig) -> Answer:
        wish = request.path.removeprefix("/")
        ctx.meter.count("asked", wish=wish)
        try:
            if wish == "post":
                told = await ctx.http.post(config.url, json={"a": 1}, headers={"X-Secret": config.secret or ""})
            else:
                patience = 0.2 if wish == "late" else 10.0
                told = await ctx.http.get(f"{config.url}/{wish}", params={"q": "a b"}, timeout_s=patience)
        except HttpFailed as error:
            return ctx.exit(502, {"kind": type(error).__name__, "message": str(error)})
        ctx.meter.observe("bytes", len(told.body), buckets=(10, 1000), wish=wish)
        return ctx.exit(told.status, told.json() if told.body.startswith(b"{") else told.text)


class Working(Plugin[Config]):
    """Works beside requests."""

    name = "working"

    def __init__(self) -> None:
        self.runs: dict[str, int] = {"async": 0, "plain": 0, "failing": 0}
        self.told: list[int] = []
        self.logged: list[bytes] = []
        working.append(self)

    async def configure(self, configs: Sequence[Config]) -> None:
        self.told.append(len(configs))

    @every(0.02)
    async def often(self) -> None:
        self.runs["async"] += 1
        self.node.meter.count("runs")

    @every(0.02)
    def plainly(self) -> None:
        self.runs["plain"] += 1

    @every(0.02)
    async def failing(self) -> None:
        self.runs["failing"] += 1
        raise SystemExit(3)

    def access(self, request: Request, ctx: Context, config: Config) -> Answer:
        try:
            return ctx.exit(200, ctx.secret("{vault://env/plugin-secret}") + ctx.secret("{vault://env/not-there}"))
        except LookupError as error:
            return ctx.exit(200, f"{ctx.secret('{vault://env/plugin-secret}')}, {error}")

    async def log(self, entry: Mapping[str, Any], config: Config) -> None:
        self.logged.append((await self.node.http.get(f"http://127.0.0.1:{others[-1]}/log")).body)


class Stuck(Plugin[Config]):
    """Never comes to an end beside requests."""

    name = "stuck"

    def configure(self, configs: Sequence[Config]) -> None:
        released.wait(60)

    def access(self, request: Request, ctx: Context, config: Config) -> Answer:
        return ctx.exit(200, "served")


working: list[Working] = []
released, never = threading.Event(), threading.Event()
others: list[int] = []


class Other(BaseHTTPRequestHandler):
    """The server that is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "late" in self.path:
            never.wait(5)
        self._answer(b"x" * (RESPONSE_MAX + 1) if "large" in self.path else self.path.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"got":%s,"secret":"%s"}' % (body, self.headers["X-Secret"].encode()))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class OtherServer(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us goes away."""

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.context is not None:
            # The handshake is for the thread that reads.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


@pytest.fixture(scope="module", autouse=True)
def other() -> Iterator[int]:
    with OtherServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        others.append(server.server_port)
        yield server.server_port
        released.set()
        never.set()
        server.shutdown()


@pytest.fixture(scope="module")
def gw(other: int) -> Iterator[Gateway]:
    config = {"url": f"http://127.0.0.1:{other}", "secret": "{vault://env/ask-secret}"}
    with gateway(
        ROUTES,
        plugins=[Ask, Working],
        configs={"ask": config},
        settings={"python_plugin_http_response": str(RESPONSE_MAX)},
        environ={"ASK_SECRET": "42", "PLUGIN_SECRET": "43"},
    ) as running:
        yield running


def test_another_server_is_asked(gw: Gateway) -> None:
    assert gw.get("/hello").body == b"/hello?q=a+b"
    assert gw.get("/post").json() == {"got": {"a": 1}, "secret": "42"}
    assert gw.metric(HTTP, plugin="ask", result="answered") >= 2


def test_no_answer_in_time_an_answer_too_large_and_none_at_all_are_errors(gw: Gateway) -> None:
    assert gw.get("/late").json()["kind"] == "HttpFailed"
    assert gw.get("/large").json()["kind"] == HttpResponseTooLarge.__name__
    assert (gw.metric(HTTP, result="late"), gw.metric(HTTP, result="too_large")) == (1, 1)
    unused = {"url": "http://127.0.0.1:1"}
    with gateway(ROUTES, plugins=[Ask], configs={"ask": unused}) as running:
        assert running.get("/x").status == 502
        assert running.metric(HTTP, result="failed") == 1


def test_servers_are_believed_by_the_trust_of_the_node(tmp_path: Path) -> None:
    authority = Authority("trusted")
    leaf = authority.leaf("localhost", names=("localhost",), is_client=False)
    files = {name: tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")}
    files["ca.pem"].write_text(authority.certificate)
    files["cert.pem"].write_text(leaf.certificate)
    files["key.pem"].write_text(leaf.key)
    with OtherServer(("127.0.0.1", 0), Other) as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(files["cert.pem"], files["key.pem"])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        config = {"ask": {"url": f"https://localhost:{server.server_port}"}}
        trusting = {"lua_ssl_trusted_certificate": str(files["ca.pem"])}
        with gateway(ROUTES, plugins=[Ask], configs=config, settings=trusting) as running:
            assert running.get("/hi").body == b"/hi?q=a+b"
        with gateway(ROUTES, plugins=[Ask], configs=config) as running:
            refused = running.get("/hi")
            assert (refused.status, "CERTIFICATE_VERIFY_FAILED" in refused.json()["message"]) == (502, True)
        server.shutdown()


def test_what_a_plugin_measures_is_scraped(gw: Gateway) -> None:
    gw.get("/measured")
    assert gw.metric("twinplane_plugin_ask_asked_total", wish="measured") == 1
    assert gw.metric("twinplane_plugin_ask_bytes_bucket", wish="measured", le="10") == 0
    assert gw.metric("twinplane_plugin_ask_bytes_bucket", wish="measured", le="1000") == 1
    assert gw.metric("twinplane_plugin_ask_bytes_count", wish="measured") == 1
    for number in range(1100):
        gw.plugin("working").node.meter.count("many", number=str(number))
    assert gw.metric("twinplane_python_plugin_series_lost_total", plugin="working") > 0
    assert 0 < gw.metric("twinplane_plugin_working_many_total") <= 1000


def test_secrets_are_looked_up(gw: Gateway) -> None:
    with gateway(ROUTES, plugins=[Working], environ={"PLUGIN_SECRET": "43"}) as running:
        assert running.get("/").body.startswith(b"43, leads nowhere: the variable NOT_THERE is not set")


def test_tasks_run_again_and_again_until_no_configuration_names_the_plugin() -> None:
    with gateway(ROUTES, plugins=[Working], environ={"PLUGIN_SECRET": "43"}) as running:
        plugin = working[-1]
        eventually(lambda: min(plugin.runs.values()) >= 3)
        eventually(lambda: plugin.told == [1])
        assert running.metric("twinplane_plugin_working_runs_total") >= 3
        eventually(lambda: running.metric("twinplane_python_plugin_task_failures_total") >= 3)
        assert running.reload(Working)
        replacing = working[-1]
        assert replacing is not plugin
        eventually(lambda: min(replacing.runs.values()) >= 3)
        ended, so_far = dict(plugin.runs), dict(replacing.runs)
        eventually(lambda: all(replacing.runs[name] > so_far[name] + 3 for name in so_far))
        assert plugin.runs == ended
        running.get("/logged")
        eventually(lambda: b"/log" in replacing.logged)


def test_a_plugin_that_no_configuration_names_any_more_is_told() -> None:
    with gateway(ROUTES, plugins=[Working]) as running:
        plugin = working[-1]
        eventually(lambda: plugin.told == [1])
        nothing = read_declared(None, '_format_version: "3.0"')
        # Other code has come meanwhile: there is nobody to tell twice.
        for declared in (nothing, nothing):
            asyncio.run_coroutine_threadsafe(running.node.declare(declared), running._loop).result(60)
            running.node.plugins.replace([Working])
        eventually(lambda: plugin.told == [1, 0])
        assert running.get("/").status == 404


def test_configure_that_hangs_keeps_nobody_waiting() -> None:
    settings = {"python_plugin_timeout": "100"}
    with gateway(ROUTES, plugins=[Stuck], settings=settings) as running:
        assert running.get("/").body == b"served"
        assert running.reload(Stuck)
        assert running.get("/").body == b"served"
        released.set()


def test_the_loop_of_plugins_is_one() -> None:
    loops: set[int] = set()

    class Looping(Plugin[Config]):
        name = "looping"

        @every(0.02)
        async def task(self) -> None:
            loops.add(id(asyncio.get_running_loop()))

        async def access(self, request: Request, ctx: Context, config: Config) -> None:
            loops.add(id(asyncio.get_running_loop()))

        async def log(self, entry: Mapping[str, Any], config: Config) -> None:
            loops.add(id(asyncio.get_running_loop()))
            logged.set()

    logged = threading.Event()
    with gateway(ROUTES, plugins=[Looping]) as running:
        running.get("/")
        assert logged.wait(60)
    assert len(loops) == 1
