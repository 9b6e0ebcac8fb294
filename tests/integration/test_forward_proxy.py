"""A node behind a forward proxy: both links go through it, and through it alone; what fails is said with a remedy."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.certificates import Authority, Leaf
from tests.integration import forward_proxies
from tests.integration.forward_proxies import PASSWORD, USER, TlsFront, has, squid, tinyproxy
from tests.integration.installation import Client, Upstream, eventually, run_twinplane
from tests.integration.test_survival import Planes

from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.errors import LinkError
from twinplane.hybrid.forward_proxy import HEAD_BYTES_MAX, ForwardProxy

MAKERS = {"tinyproxy": tinyproxy, "squid": squid}


class Behind(Planes):
    """A control plane, and a node that is told of a proxy."""

    def start_node_behind(self, **environ: str) -> None:
        self.node = run_twinplane("data-plane", "-c", str(self.node_directory / "kong.conf"), environ=environ)
        eventually(lambda: Client(self.ports.status)("GET", "/status").status == 200)


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Behind]:
    (tmp_path / "planes").mkdir()
    found = Behind(tmp_path / "planes")
    try:
        found.start_control_plane()
        found.join()
        yield found
    finally:
        found.stop()


def check_both_links(planes: Behind, log: Callable[[], str]) -> None:
    """The node is configured, its records arrive, and the proxy carried two tunnels."""
    with Upstream() as upstream:
        planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/"]})
        eventually(lambda: planes.proxy("GET", "/through").status == 200, seconds=40)
        eventually(lambda: "/through" in {each["request_uri"] for each in planes.recorded()}, seconds=40)
    assert planes.node is not None
    # squid writes a tunnel down when it ends.
    planes.node.terminate()
    planes.node.communicate(timeout=30)
    wanted = f"localhost:{planes.ports.platform}"
    eventually(lambda: log().count(f"CONNECT {wanted}") >= 2, seconds=20)


@pytest.mark.parametrize("name", sorted(MAKERS))
@pytest.mark.parametrize("with_password", [False, True], ids=["open", "password"])
def test_both_links_go_through_a_real_proxy(name: str, with_password: bool, planes: Behind, tmp_path: Path) -> None:
    if not has(name):
        pytest.skip(f"{name} is not installed")
    folder = tmp_path / "proxy"
    folder.mkdir()
    with MAKERS[name](folder, allows=planes.ports.platform, with_password=with_password) as proxy:
        user = f"{USER}:{quote(PASSWORD, safe='')}@" if with_password else ""
        server = f"http://{user}127.0.0.1:{proxy.port}"
        planes.start_node_behind(KONG_CLUSTER_USE_PROXY="on", KONG_PROXY_SERVER=server)
        check_both_links(planes, proxy.tunnels)


def test_a_proxy_behind_tls_is_verified(planes: Behind, tmp_path: Path) -> None:
    if not has("tinyproxy"):
        pytest.skip("tinyproxy is not installed")
    folder = tmp_path / "proxy"
    folder.mkdir()
    authority = Authority("proxies")
    (folder / "ca.pem").write_text(authority.certificate)
    leaf = authority.leaf("proxy", is_client=False, names=("localhost",))
    trusted = f"system,{planes.data / 'ca.pem'},{folder / 'ca.pem'}"
    with (
        tinyproxy(folder, allows=planes.ports.platform, with_password=True) as proxy,
        TlsFront(folder, leaf, proxy.port) as front,
    ):
        planes.start_node_behind(
            KONG_CLUSTER_USE_PROXY="on",
            KONG_PROXY_SERVER=f"https://{USER}:{PASSWORD}@localhost:{front.port}",
            KONG_LUA_SSL_TRUSTED_CERTIFICATE=trusted,
        )
        check_both_links(planes, proxy.tunnels)


# --- one tunnel at a time ---


AUTHORITY = Authority("planes")
SERVER = AUTHORITY.leaf("cp.example", is_client=False, names=("cp.example",))
NODE = Leaf.self_signed("node")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    serve: Serve, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def bounded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1)
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(bounded, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def dialer(proxy: ForwardProxy, *, host: str = "cp.example", port: int = 443, timeout_s: float = 2.0) -> Dialer:
    tls = LinkTls("pki", NODE.certificate, NODE.key, trusted=AUTHORITY.certificate)
    return Dialer(Endpoint(host, port, "cp.example"), tls, proxy=proxy, timeout_s=timeout_s)


async def failure(proxy: ForwardProxy, **options: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await dialer(proxy, **options).open("/v1/outlet")
    return caught.value


def answering(*parts: bytes, seen: list[bytes] | None = None, closes: bool = True) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
            if not closes:
                await reader.read()

    return serve


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "proxy_refused", "put user:password@ into"),
        (b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n", "proxy_refused", "it asks for ntlm"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno", "proxy_refused", "allow CONNECT to that host and port"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "proxy_refused", "does not reach that host"),
        (b"HTTP/1.1 405 x\r\n\r\n", "proxy_refused", "does not open tunnels"),
        (b"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n", "proxy_refused", "no tunnel"),
        (b"", "proxy_refused", "closed the connection before it answered"),
        (b"HTTP/1.1 200 Conn", "proxy_refused", "closed the connection before it answered"),
        (b"SSH-2.0-x\r\n", "proxy_refused", "something else than HTTP"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "proxy_refused", "something else than HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "proxy_refused", "write it as https://"),
        (b"HTTP/1.1 100 x\r\n\r\n" * 20, "proxy_refused", "100"),
        (b"HTTP/1.1 200 x\r\n" + b"x: y\r\n" * HEAD_BYTES_MAX, "proxy_refused", "something else than HTTP"),
        (b"HTTP/1.1 200 x\r\n\r\nHTTP/1.1 101 Switching\r\n\r\n", "proxy_refused", "data of its own"),
    ],
)
async def test_what_a_proxy_answers_is_told_with_a_remedy(answer: bytes, code: str, said: str) -> None:
    async with listening(answering(answer)) as port:
        error = await failure(ForwardProxy("127.0.0.1", port))
    assert error.code == code
    assert said in str(error)
    assert f"http://127.0.0.1:{port}" in str(error)


async def test_a_password_stands_in_no_error_and_no_representation() -> None:
    seen: list[bytes] = []
    async with listening(answering(b"HTTP/1.1 407 x\r\n\r\n", seen=seen)) as port:
        proxy = ForwardProxy("127.0.0.1", port, username="ada", password="pä:ss")
        error = await failure(proxy)
    assert "refuses these credentials" in str(error)
    assert "pä:ss" not in str(error) + repr(proxy)
    assert b"Proxy-Authorization: Basic YWRhOnDDpDpzcw==\r\n" in seen[0]


async def test_a_silent_proxy_is_given_up_in_time() -> None:
    async with listening(answering(b"HTTP/1.1 ", closes=False)) as port:
        error = await failure(ForwardProxy("127.0.0.1", port), timeout_s=0.3)
    assert error.code == "proxy_silent"
    async with listening(answering(closes=False)) as port:
        # A proxy that is to speak TLS, and says nothing at all.
        error = await failure(ForwardProxy("127.0.0.1", port, is_tls=True), timeout_s=0.3)
    assert error.code == "proxy_unreachable"
    assert "no TLS connection within 0.3 s" in str(error)


async def test_a_proxy_that_is_not_there_is_told() -> None:
    error = await failure(ForwardProxy("127.0.0.1", forward_proxies.free_port()))
    assert error.code == "proxy_unreachable"
    assert "check proxy_server" in str(error)
    error = await failure(ForwardProxy("nobody.invalid", 3128))
    assert "the name is not resolved" in str(error)


async def test_plain_proxies_are_told_from_those_behind_tls() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listening(plain) as port:
        error = await failure(ForwardProxy("127.0.0.1", port, is_tls=True))
    assert error.code == "proxy_unreachable"
    assert "written http://" in str(error)


def tls_context(directory: Path, leaf: Leaf) -> ssl.SSLContext:
    (directory / "leaf.pem").write_text(leaf.certificate)
    (directory / "leaf.key").write_text(leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "leaf.pem", directory / "leaf.key")
    return context


async def test_a_proxys_certificate_is_verified_unless_that_is_turned_off(tmp_path: Path) -> None:
    authority = Authority("proxies")
    context = tls_context(tmp_path, authority.leaf("p", is_client=False, names=("localhost",)))
    async with listening(answering(b"HTTP/1.1 403 x\r\n\r\n"), context=context) as port:
        unknown = await failure(ForwardProxy("localhost", port, is_tls=True))
        other_name = await failure(ForwardProxy("127.0.0.1", port, is_tls=True, trusted=authority.certificate))
        trusted = await failure(ForwardProxy("localhost", port, is_tls=True, trusted=authority.certificate))
        off = await failure(ForwardProxy("127.0.0.1", port, is_tls=True, verifies=False))
    assert [each.code for each in (unknown, other_name)] == ["proxy_unverified"] * 2
    assert "lua_ssl_trusted_certificate" in str(unknown)
    assert [each.code for each in (trusted, off)] == ["proxy_refused"] * 2


async def test_literal_addresses_are_written_in_brackets() -> None:
    seen: list[bytes] = []
    try:
        async with listening(answering(b"HTTP/1.1 403 x\r\n\r\n", seen=seen), host="::1") as port:
            error = await failure(ForwardProxy("::1", port), host="2001:db8::1", port=8005)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    assert seen[0].startswith(b"CONNECT [2001:db8::1]:8005 HTTP/1.1\r\nHost: [2001:db8::1]:8005\r\n")
    assert f"http://[::1]:{port}" in str(error)


async def test_a_tunnel_carries_the_inner_handshake_through_both_kinds_of_proxy(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    inner = tls_context(tmp_path / "inner", SERVER)
    upgraded: list[str] = []

    async def plane(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upgraded.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 503 x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        writer.close()

    async with listening(plane, context=inner) as target:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
            # Byte by byte, after an interim answer: the head has no sizes to rely on.
            for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))

        authority = Authority("proxies")
        outer = tls_context(tmp_path, authority.leaf("p", is_client=False, names=("localhost",)))
        async with listening(serve) as plain, listening(serve, context=outer) as secure:
            first = await failure(ForwardProxy("127.0.0.1", plain))
            second = await failure(ForwardProxy("localhost", secure, is_tls=True, trusted=authority.certificate))
    assert [each.code for each in (first, second)] == ["upgrade_refused"] * 2
    assert upgraded == ["GET /v1/outlet HTTP/1.1"] * 2


async def test_a_proxy_that_opens_tls_by_itself_is_named(tmp_path: Path) -> None:
    intercepting = tls_context(tmp_path, Leaf.self_signed("cp.example", names=("cp.example",)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.start_tls(intercepting)

    async with listening(serve) as port:
        error = await failure(ForwardProxy("127.0.0.1", port))
    assert error.code == "peer_unverified"
    assert "Exempt this host there" in str(error)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    finally:
        writer.close()
