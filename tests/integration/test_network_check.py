"""`twinplane network check` against a running installation, and against everything that a network does to a node."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.certificates import Authority, Leaf
from tests.integration.installation import Installation, installation, run_twinplane

from twinplane.cli.network.check import find
from twinplane.cli.network.findings import Finding, as_json, as_text, has_failed
from twinplane.settings import load_node_settings

NAME = "0a1b2c3d4e.us.cp0.twin.test"
SECRET = "pa55-w0rd-of-the-proxy"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("authority of the platform")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate and key of a node."""
    folder = tmp_path_factory.mktemp("node")
    leaf = Leaf.self_signed("node", days=90)
    (folder / "node.pem").write_text(leaf.certificate)
    (folder / "node.key").write_text(leaf.key)
    return folder


def context_of(leaf: Leaf, folder: Path, *, asks: bool = True) -> ssl.SSLContext:
    """A server's context that asks for a client certificate of the node."""
    (folder / "served.pem").write_text(leaf.certificate)
    (folder / "served.key").write_text(leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served.pem", folder / "served.key")
    if asks:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(folder / "node.pem")
    return context


class ControlPlane:
    """Answers as a control plane does, as far as a check asks; `ahead_s` sets its clock, `refusal` shuts links out."""

    def __init__(self, *, ahead_s: float = 0.0, refusal: tuple[int, str] | None = None) -> None:
        self.ahead_s = ahead_s
        self.refusal = refusal
        self.seen: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.seen.append(head)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        date = f"Date: {formatdate(time.time() + self.ahead_s, usegmt=True)}\r\n"
        if "Sec-WebSocket-Key" not in fields:
            writer.write(f"HTTP/1.1 200 OK\r\n{date}Content-Length: 2\r\n\r\n{{}}".encode())
        elif self.refusal is not None or writer.get_extra_info("peercert") in (None, {}):
            status, text = self.refusal or (401, '{"message":"no client certificate provided in request"}')
            writer.write(f"HTTP/1.1 {status} No\r\n{date}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        else:
            digest = hashlib.sha1(
                fields["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            ).digest()
            accept = base64.b64encode(digest).decode()
            writer.write(
                f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
        await writer.drain()


@contextlib.asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port of loopback."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await handler(reader, writer)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def relay_to(port: int, *, bytes_max: int | None = None) -> Handler:
    """Passes bytes on, both ways; what a client sends beyond `bytes_max` is swallowed without a word."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        passed = 0
        while data := await reader.read(65_536):
            passed += len(data)
            if limit is None or passed <= limit:
                writer.write(data)
                await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            back = asyncio.create_task(pump(up_reader, writer, None))
            await pump(reader, up_writer, bytes_max)
            await back
        finally:
            up_writer.close()

    return relay


async def check(
    node: Path, trusted: str, port: int, *, timeout_s: float = 5.0, audit_port: int = 1, **settings: str
) -> dict[str, Finding]:
    """The findings of the configuration link, by check."""
    (node / "trusted.pem").write_text(trusted)
    environ = {
        "KONG_ROLE": "data_plane",
        "KONG_DATABASE": "off",
        "KONG_CLUSTER_MTLS": "pki",
        "KONG_CLUSTER_CONTROL_PLANE": f"127.0.0.1:{port}",
        "KONG_CLUSTER_SERVER_NAME": NAME,
        "KONG_CLUSTER_CERT": str(node / "node.pem"),
        "KONG_CLUSTER_CERT_KEY": str(node / "node.key"),
        "KONG_LUA_SSL_TRUSTED_CERTIFICATE": str(node / "trusted.pem"),
        "KONG_AUDIT_TRANSPORT": "off",
        **{f"KONG_{name.upper()}": value for name, value in settings.items()},
    }
    found = await find(load_node_settings(None, environ), timeout_s=timeout_s, audit_port=audit_port)
    text = as_text(found) + as_json(found)
    key = (node / "node.key").read_text().splitlines()[1]
    assert key not in text
    assert SECRET not in text
    is_asked = "audit_transport" in settings
    return {finding.check: finding for finding in found if is_asked or not finding.target.startswith("audit")}


def statuses(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.status for name, finding in found.items()}


ALL_WELL = {
    "dates": "ok",
    "resolve": "ok",
    "connect": "ok",
    "TLS": "ok",
    "server certificate": "ok",
    "client certificate": "ok",
    "WebSocket upgrade": "ok",
    "clock": "ok",
    "large packets": "ok",
}


async def test_a_way_without_faults(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    async with listening(ControlPlane(), context) as port:
        found = await check(node, authority.certificate, port)
    assert statuses(found) == ALL_WELL
    assert "authority of the platform" in found["TLS"].seen
    assert not has_failed(found.values())


async def test_a_port_that_is_shut(authority: Authority, node: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        found = await check(node, authority.certificate, holder.getsockname()[1])
    assert found["connect"].status == "fail"
    assert "refused" in found["connect"].seen
    assert "nothing listens there" in found["connect"].advice
    assert "TLS" not in found


async def test_a_name_that_is_not_known(authority: Authority, node: Path) -> None:
    found = await check(node, authority.certificate, 1, cluster_control_plane="nobody.invalid:443")
    assert statuses(found) == {"dates": "ok", "resolve": "fail"}
    assert "name server" in found["resolve"].advice


async def test_a_server_that_speaks_in_the_clear(authority: Authority, node: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(plain) as port:
        found = await check(node, authority.certificate, port)
    assert (found["TLS"].status, found["TLS"].seen) == ("fail", "the answer is not TLS")
    assert "passes TLS through" in found["TLS"].advice


async def test_an_authority_that_is_not_trusted(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=("elsewhere.test",)), node)
    async with listening(ControlPlane(), context) as port:
        found = await check(node, Authority("another one").certificate, port)
    assert found["TLS"].status == "ok"
    assert found["server certificate"].status == "fail"
    assert "lua_ssl_trusted_certificate" in found["server certificate"].advice
    assert "WebSocket upgrade" not in found


async def test_a_certificate_of_another_name(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=("elsewhere.test",)), node)
    async with listening(ControlPlane(), context) as port:
        found = await check(node, authority.certificate, port)
    assert found["server certificate"].status == "fail"
    assert "cluster_server_name" in found["server certificate"].advice


async def test_a_certificate_that_has_expired(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,), seconds=-60), node)
    async with listening(ControlPlane(), context) as port:
        found = await check(node, authority.certificate, port)
    assert "expired" in found["server certificate"].seen
    assert "renew it" in found["server certificate"].advice


@pytest.mark.parametrize("maker", ["Zscaler Root CA", "an office proxy"])
async def test_a_device_that_opens_tls(authority: Authority, node: Path, maker: str) -> None:
    """It makes up a certificate for the very name, and keeps the node's to itself."""
    made_up = Authority(maker).leaf("made up", is_client=False, names=(NAME,))
    async with listening(ControlPlane(), context_of(made_up, node, asks=False)) as port:
        found = await check(node, authority.certificate, port)
    assert maker in found["TLS"].seen
    assert found["server certificate"].status == "fail"
    assert "opens TLS" in found["server certificate"].advice
    assert NAME in found["server certificate"].advice


async def test_a_device_that_opens_tls_and_is_trusted(node: Path) -> None:
    """An office's own authority is trusted on its machines; what it cannot do is show the node's certificate."""
    office = Authority("Netskope of the office")
    made_up = office.leaf("made up", is_client=False, names=(NAME,))
    async with listening(ControlPlane(), context_of(made_up, node, asks=False)) as port:
        found = await check(node, office.certificate, port)
    assert (found["server certificate"].status, found["client certificate"].status) == ("warn", "fail")
    assert "Netskope" in found["server certificate"].seen
    assert "ends TLS" in found["client certificate"].advice


async def test_a_certificate_that_is_pinned_nowhere(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    refusal = (401, '{"message":"client certificate authentication failed"}')
    async with listening(ControlPlane(refusal=refusal), context) as port:
        found = await check(node, authority.certificate, port)
    assert found["client certificate"].status == "fail"
    assert "dp-client-certificates" in found["client certificate"].advice


@pytest.mark.parametrize(
    ("status", "said"), [(426, "WebSocket upgrades"), (404, "host name"), (502, "load balancer"), (302, "in between")]
)
async def test_a_middle_that_answers_the_upgrade(authority: Authority, node: Path, status: int, said: str) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    async with listening(ControlPlane(refusal=(status, "no\x1b[31m")), context) as port:
        found = await check(node, authority.certificate, port)
    assert found["WebSocket upgrade"].status == "fail"
    assert said in found["WebSocket upgrade"].advice
    assert "\x1b" not in as_text(list(found.values()))


async def test_a_relay_that_swallows_everything(authority: Authority, node: Path) -> None:
    async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass

    async with listening(swallow) as port:
        found = await check(node, authority.certificate, port, timeout_s=1)
    assert (found["connect"].status, found["TLS"].status) == ("ok", "fail")
    assert "answers for the other side" in found["TLS"].advice


async def test_large_packets_that_vanish(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    async with listening(ControlPlane(), context) as port, listening(relay_to(port, bytes_max=12_000)) as relay:
        found = await check(node, authority.certificate, relay, timeout_s=2)
    assert {name for name, finding in found.items() if finding.status != "ok"} == {"large packets"}
    assert "MTU" in found["large packets"].advice


@pytest.mark.parametrize(("ahead_s", "status"), [(0, "ok"), (120, "warn"), (-3600, "fail")])
async def test_a_clock_that_differs(authority: Authority, node: Path, ahead_s: float, status: str) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    async with listening(ControlPlane(ahead_s=ahead_s), context) as port:
        found = await check(node, authority.certificate, port)
    assert found["clock"].status == status
    assert ("NTP" in found["clock"].advice) == (status != "ok")


def forward_proxy(answer: bytes | None) -> Handler:
    """A forward proxy that gives one answer to CONNECT, or, without one, opens the tunnel."""

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            return
        target = head.split(b" ")[1].decode().rpartition(":")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await relay_to(int(target[2]))(reader, writer)

    return proxy


async def test_the_way_through_a_forward_proxy(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    async with listening(ControlPlane(), context) as port, listening(forward_proxy(None)) as proxy:
        through = {"cluster_use_proxy": "on", "proxy_server": f"http://user:{SECRET}@127.0.0.1:{proxy}"}
        found = await check(node, authority.certificate, port, **through)
    assert {**statuses(found), "TLS": "ok"} == {**ALL_WELL, "proxy and TLS": "ok"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "refuses these credentials"),
        (b"HTTP/1.1 403 No\r\n\r\n", "allow CONNECT"),
        (b"SSH-2.0-x\r\n\r\n", "is it a forward proxy?"),
    ],
)
async def test_a_forward_proxy_that_refuses(authority: Authority, node: Path, answer: bytes, said: str) -> None:
    async with listening(forward_proxy(answer)) as proxy:
        through = {"cluster_use_proxy": "on", "proxy_server": f"http://user:{SECRET}@127.0.0.1:{proxy}"}
        found = await check(node, authority.certificate, 443, **through)
    assert found["proxy and TLS"].status == "fail"
    assert said in found["proxy and TLS"].seen
    assert "cluster_use_proxy" in found["proxy and TLS"].advice


async def test_shared_mode_compares_certificates(node: Path, tmp_path: Path) -> None:
    pair, other = (Leaf.self_signed("kong_clustering", days=90) for _ in range(2))
    for name, text in (("cert", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_text(text)
    shared = {
        "cluster_mtls": "shared",
        "cluster_cert": str(tmp_path / "cert"),
        "cluster_cert_key": str(tmp_path / "key"),
    }
    for served, status in ((pair, "ok"), (other, "fail")):
        async with listening(ControlPlane(), context_of(served, node, asks=False)) as port:
            found = await check(node, pair.certificate, port, **shared)
        assert found["server certificate"].status == status


async def test_a_key_of_another_certificate_is_not_shown(authority: Authority, node: Path, tmp_path: Path) -> None:
    other = Leaf.self_signed("other").key
    (tmp_path / "key").write_text(other)
    for given in (str(tmp_path / "key"), other, str(tmp_path / "nosuch")):
        found = await check(node, authority.certificate, 1, cluster_cert_key=given)
        assert statuses(found) == {"files": "fail"}
        assert other.splitlines()[1] not in as_text(list(found.values()))


async def test_a_node_certificate_near_its_end(authority: Authority, node: Path, tmp_path: Path) -> None:
    for days, status in ((10.0, "warn"), (-1.0, "fail")):
        leaf = Leaf.self_signed("node", days=days)
        (tmp_path / "cert").write_text(leaf.certificate)
        (tmp_path / "key").write_text(leaf.key)
        own = {"cluster_cert": str(tmp_path / "cert"), "cluster_cert_key": str(tmp_path / "key")}
        found = await check(node, authority.certificate, 1, **own)
        assert found["dates"].status == status


async def test_the_audit_port_never_fails_a_node(authority: Authority, node: Path) -> None:
    context = context_of(authority.leaf("cp", is_client=False, names=(NAME,)), node)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        shut = holder.getsockname()[1]
        async with listening(ControlPlane(), context) as port:
            open_ = await check(node, authority.certificate, port, audit_port=port, audit_transport="tcp")
            closed = await check(node, authority.certificate, port, audit_port=shut, audit_transport="udp")
    assert (open_["TCP"].status, open_["UDP"].status) == ("ok", "ok")
    assert closed["TCP"].status == "warn"
    assert "refused" in closed["UDP"].seen
    assert "Traffic is not concerned" in closed["TCP"].advice
    assert not has_failed(closed.values())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("check")) as found:
        yield found


def program(*words: str) -> tuple[int, str]:
    process = run_twinplane("network", "check", *words)
    text, _ = process.communicate(timeout=120)
    return process.returncode, text.decode()


def test_the_node_of_an_installation_finds_all_well(up: Installation) -> None:
    status, text = program("-c", str(up.data / "node" / "kong.conf"), "--json")
    found = json.loads(text)
    failed = [each for each in found["findings"] if each["status"] == "fail"]
    assert (status, found["ok"], failed) == (0, True, [])
    links = {each["target"].split()[0] for each in found["findings"]}
    assert {"configuration", "telemetry"} <= links
    for link in ("configuration", "telemetry"):
        checks = {each["check"]: each["status"] for each in found["findings"] if each["target"].startswith(link)}
        assert set(checks) == set(ALL_WELL) - {"dates"}
        assert set(checks.values()) == {"ok"}
    # A check leaves no trace: no node but the one that runs.
    nodes = up.api("GET", f"/v2/control-planes/{up.control_plane_id()}/nodes").json()["items"]
    assert len(nodes) == 1


def test_options_win_and_the_exit_status_tells(up: Installation) -> None:
    conf = str(up.data / "node" / "kong.conf")
    status, text = program("-c", conf, "--server-name", "elsewhere.us.cp0.twinplane.localhost")
    assert status == 1
    assert "FAIL client certificate" in text
    status, text = program("-c", conf, "--ca", str(up.data / "node" / "node.pem"))
    assert status == 1
    assert "FAIL server certificate" in text
    status, text = program("-c", conf, "--timeout", "0", "--audit-port", "0")
    assert status == 2
    assert "timeout" in text
    assert "audit-port" in text
