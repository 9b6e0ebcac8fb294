"""`with gateway(routes, plugins=[MyPlugin]) as gw: gw.get("/x")`: a node with plugins, through real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from twinplane.node.declared import read_declared
from twinplane.node.errors import NodeStartError
from twinplane.node.runner import Node
from twinplane.pdk import Plugin
from twinplane.registry import disable_plugins, enable_plugins
from twinplane.settings import load_node_settings
from twinplane.testing.upstream import EchoUpstream

START_SECONDS = 60.0
REQUEST_SECONDS = 60.0
UPSTREAM = "<upstream>"
"""Stands for `host:port` of the echoing upstream in a declarative document."""
Configuration = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


class GatewayRefused(Exception):
    """The node did not start; the message says everything that is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


class Gateway:
    """A node that serves, and the upstream behind it."""

    def __init__(self, node: Node, upstream: EchoUpstream, loop: asyncio.AbstractEventLoop) -> None:
        self.node = node
        self.upstream = upstream
        self._loop = loop

    @property
    def port(self) -> int:
        """Where requests are taken."""
        return self.node.ports[0]

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | str | None = None
    ) -> Answer:
        """Send a request on a connection of its own."""
        return _ask(self.port, method, path, headers or {}, body)

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET; `x_name="value"` is the header `x-name`."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: bytes | str = b"", **headers: str) -> Answer:
        """Send a POST; headers as with `get`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, headers=named, body=body)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where there is none; of several series with these labels, their sum."""
        text = _ask(self.node.status_ports[0], "GET", "/metrics", {}, None).body.decode()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = (line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(each in line for each in wanted))

    def plugin(self, name: str) -> Plugin[Any]:
        """The instance that runs. Raises KeyError where no configuration names it."""
        return self.node.plugins.instances[name]

    def reload(self, *plugins: type[Plugin[Any]]) -> bool:
        """Run other code for plugins of the same names. False where the configuration is refused with it."""
        done = asyncio.run_coroutine_threadsafe(self.node.reload_plugins(plugins), self._loop)
        return done.result(REQUEST_SECONDS)


@contextlib.contextmanager
def gateway(
    configuration: Configuration,
    *,
    plugins: Sequence[type[Plugin[Any]]] = (),
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """A node for as long as the block runs. Raises GatewayRefused.

    `configuration` is a declarative document (text or mapping; `<upstream>` stands for the upstream's address), or a
    list of routes to the upstream: then each of `plugins` is attached to all of them, with its config out of `configs`.
    `settings` are those of `kong.conf` (a phase has 30 s unless they say otherwise), `environ` is what references to
    secrets (`{vault://env/...}`) lead to.
    """
    enable_plugins(plugins)
    upstream = EchoUpstream()
    upstream.start()
    try:
        document = _document(configuration, upstream, plugins, configs or {})
        with (
            tempfile.TemporaryDirectory() as prefix,
            _running(Path(prefix), document, plugins, settings or {}, environ or {}) as found,
        ):
            yield Gateway(found[0], upstream, found[1])
    finally:
        upstream.close()
        disable_plugins(plugins)


def _document(
    configuration: Configuration,
    upstream: EchoUpstream,
    plugins: Sequence[type[Plugin[Any]]],
    configs: Mapping[str, Mapping[str, Any]],
) -> str:
    address = f"127.0.0.1:{upstream.port}"
    if isinstance(configuration, str):
        return configuration.replace(UPSTREAM, address)
    if isinstance(configuration, Mapping):
        return yaml.safe_dump(dict(configuration)).replace(UPSTREAM, address)
    return yaml.safe_dump(
        {
            "_format_version": "3.0",
            "services": [
                {"name": "echo", "url": f"http://{address}", "routes": [dict(each) for each in configuration]}
            ],
            "plugins": [{"name": each.name, "config": dict(configs.get(each.name, {}))} for each in plugins],
        }
    )


@contextlib.contextmanager
def _running(
    prefix: Path,
    document: str,
    plugins: Sequence[type[Plugin[Any]]],
    settings: Mapping[str, str],
    environ: Mapping[str, str],
) -> Iterator[tuple[Node, asyncio.AbstractEventLoop]]:
    conf = prefix / "kong.conf"
    conf.touch()
    declared = prefix / "gateway.yaml"
    declared.write_text(document, encoding="utf-8")
    given = {
        "role": "traditional",
        "prefix": str(prefix),
        "declarative_config": str(declared),
        "proxy_listen": "127.0.0.1:0",
        "status_listen": "127.0.0.1:0",
        # Several run side by side, and none takes a port that it was not asked for.
        "admin_listen": "off",
        "nginx_worker_processes": "1",
        # A busy machine is no late plugin.
        "python_plugin_timeout": "30000",
        **settings,
    }
    loaded = load_node_settings(conf, {f"KONG_{name.upper()}": value for name, value in given.items()})
    ready = threading.Event()
    found: list[tuple[Node, asyncio.AbstractEventLoop, asyncio.Event]] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        stop = asyncio.Event()
        node = Node(loaded, prefix, read_declared(declared, None), plugins, environ)
        async with node.running():
            found.append((node, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="gateway")
    thread.start()
    is_ready = ready.wait(START_SECONDS)
    if failures or not is_ready:
        cause = failures[0] if failures else TimeoutError("the node did not start in time")
        problems = cause.problems if isinstance(cause, NodeStartError) else [str(cause)]
        raise GatewayRefused("\n".join(problems)) from cause
    node, loop, stop = found[0]
    try:
        yield node, loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)


def _ask(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes | str | None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, tuple(response.getheaders()), content)
    finally:
        connection.close()
