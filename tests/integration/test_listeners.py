"""Listeners of a real node as `kong.conf` describes them: flags, addresses, both ports, and what is wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.certificates import Leaf
from tests.integration.installation import Client, Upstream, eventually, free_ports, run_twinplane

from twinplane._dataplane import Core  # noqa: TID251 - the door itself is what is tried
from twinplane.node.authority import Identity
from twinplane.node.core_settings import node_core_settings
from twinplane.settings import load_node_settings

HAS_IPV6 = socket.has_ipv6


def rsa_leaf(name: str) -> Leaf:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=1))
    made = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Leaf(made.public_bytes(Encoding.PEM).decode(), text)


class TlsUpstream:
    """Notes which certificate it is shown, and answers 204."""

    def __init__(self, directory: Path, trusted: str) -> None:
        leaf = Leaf.self_signed("upstream")
        (directory / "up.pem").write_text(leaf.certificate)
        (directory / "up.key").write_text(leaf.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "up.pem", directory / "up.key")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._context.load_verify_locations(cadata=trusted)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.shown: list[bytes | None] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> TlsUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            raw.settimeout(10)
            with contextlib.suppress(OSError), raw, self._context.wrap_socket(raw, server_side=True) as connection:
                self.shown.append(connection.getpeercert(binary_form=True))
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@dataclass
class Running:
    """A node with many listeners."""

    plain: int
    secure: int
    behind: int
    secure_behind: int
    named: int
    status: int
    status_secure: int
    status_behind: int
    status_secure_behind: int
    upstream: Upstream
    shown: list[bytes | None]
    client: Leaf
    prefix: Path


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("listeners")
    ports = free_ports(9)
    client, leaves = Leaf.self_signed("client"), [rsa_leaf("rsa"), Leaf.self_signed("ecdsa")]
    for name, leaf in zip(("rsa", "ecdsa"), leaves, strict=True):
        (directory / f"{name}.crt").write_text(leaf.certificate)
        (directory / f"{name}.key").write_text(leaf.key)
    with Upstream() as upstream, TlsUpstream(directory, client.certificate) as secure:
        document = {
            "_format_version": "3.0",
            "services": [
                {
                    "name": "s",
                    "url": f"http://127.0.0.1:{upstream.port}",
                    "routes": [
                        {"name": "any", "paths": ["/any"]},
                        {"name": "tls", "paths": ["/tls"], "protocols": ["https"], "https_redirect_status_code": 308},
                    ],
                },
                {"name": "t", "url": f"https://127.0.0.1:{secure.port}", "routes": [{"name": "t", "paths": ["/up"]}]},
            ],
        }
        found = Running(*ports, upstream=upstream, shown=secure.shown, client=client, prefix=directory / "prefix")
        environ = {
            "KONG_ROLE": "traditional",
            "KONG_DECLARATIVE_CONFIG_STRING": json.dumps(document),
            "KONG_PREFIX": str(found.prefix),
            "KONG_NGINX_WORKER_PROCESSES": "2",
            "KONG_PROXY_LISTEN": (
                f"127.0.0.1:{found.plain} reuseport bind deferred backlog=64 so_keepalive=30s:5s:3, "
                f"127.0.0.1:{found.secure} ssl http2, 127.0.0.1:{found.behind} proxy_protocol, "
                f"127.0.0.1:{found.secure_behind} ssl http2 proxy_protocol reuseport, localhost:{found.named} http2"
            ),
            "KONG_STATUS_LISTEN": (
                f"127.0.0.1:{found.status} backlog=16 deferred so_keepalive=on, 127.0.0.1:{found.status_secure} ssl, "
                f"127.0.0.1:{found.status_behind} proxy_protocol, "
                f"127.0.0.1:{found.status_secure_behind} ssl proxy_protocol"
            ),
            "KONG_ADMIN_LISTEN": "off",
            "KONG_PORT_MAPS": f"80:{found.plain}, 9443:{found.secure}",
            "KONG_SSL_CERT": f"{directory}/rsa.crt,{directory}/ecdsa.crt",
            "KONG_SSL_CERT_KEY": f"{directory}/rsa.key,{directory}/ecdsa.key",
            "KONG_TRUSTED_IPS": "127.0.0.1",
            "KONG_REAL_IP_HEADER": "proxy_protocol",
            "KONG_CLIENT_SSL": "on",
            "KONG_CLIENT_SSL_CERT": client.certificate,
            "KONG_CLIENT_SSL_CERT_KEY": client.key,
        }
        process = run_twinplane("data-plane", environ=environ)
        try:
            eventually(lambda: Client(found.status)("GET", "/status/ready").status == 200, seconds=60)
            yield found
        finally:
            process.terminate()
            process.communicate(timeout=30)


def anyones() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def ask(
    port: int,
    path: str,
    *,
    before: bytes = b"",
    context: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
    host: str = "shop.example:1234",
) -> http.client.HTTPResponse:
    """GET, after some bytes that stand before everything else."""
    connection: Any = socket.create_connection((address, port), 20)
    try:
        connection.sendall(before)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname="shop.example")
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()
        return response
    finally:
        connection.close()


def forwarded(node: Running) -> dict[str, str]:
    """What the upstream was told by the last request."""
    return {name.lower(): value for name, value in node.upstream.seen[-1][2].items()}


V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n"
    + struct.pack("!BBH", 0x21, 0x11, 12)
    + bytes([203, 0, 113, 9, 192, 0, 2, 1])
    + b"\x12\x67\x00\x50"
)


def test_mapped_ports_are_what_upstreams_and_clients_are_told(node: Running) -> None:
    assert ask(node.plain, "/any").status == 200
    assert forwarded(node)["x-forwarded-port"] == "80"
    assert ask(node.secure, "/any", context=anyones()).status == 200
    assert forwarded(node)["x-forwarded-port"] == "9443"
    assert ask(node.behind, "/any", before=V1).status == 200
    assert forwarded(node)["x-forwarded-port"] == str(node.behind)
    moved = ask(node.plain, "/tls/x?y=1")
    assert (moved.status, moved.getheader("Location")) == (308, "https://shop.example:9443/tls/x?y=1")


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_proxy_header_names_the_client(node: Running, header: bytes) -> None:
    for port, context in ((node.behind, None), (node.secure_behind, anyones())):
        assert ask(port, "/any", before=header, context=context).status == 200
        assert forwarded(node)["x-real-ip"] == "203.0.113.9"
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(node.behind, "/any")
    # Where none is expected, it is no request.
    assert ask(node.plain, "/any", before=V1).status == 400


def test_names_are_listened_on_and_http2_is_spoken_in_the_clear(node: Running) -> None:
    assert ask(node.named, "/any", address="localhost").status == 200
    with socket.create_connection(("localhost", node.named), 20) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        # A SETTINGS frame on stream 0 is how HTTP/2 answers.
        assert connection.recv(9)[3:9] == b"\x04\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_each_client_gets_a_certificate_of_its_kind_of_key(node: Running, kind: str) -> None:
    context = anyones()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
    with (
        socket.create_connection(("127.0.0.1", node.secure), 20) as raw,
        context.wrap_socket(raw, server_hostname="x.example") as connection,
    ):
        shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    assert shown.subject.rfc4514_string() == f"CN={kind.lower()}"


def test_http2_is_offered_where_it_is_asked_for(node: Running) -> None:
    context = anyones()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", node.secure), 20) as raw,
        context.wrap_socket(raw, server_hostname="x.example") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"


def test_upstreams_are_shown_the_client_certificate(node: Running) -> None:
    assert ask(node.plain, "/up").status == 204
    shown = x509.load_der_x509_certificate(node.shown[-1] or b"")
    assert shown == x509.load_pem_x509_certificate(node.client.certificate.encode())


def test_the_status_port_has_every_flag_too(node: Running) -> None:
    assert ask(node.status, "/status/ready").status == 200
    assert ask(node.status_secure, "/status/ready", context=anyones()).status == 200
    assert (node.prefix / "ssl" / "status-kong-default.crt").exists()
    for header in (V1, V2, b"PROXY UNKNOWN\r\n"):
        assert ask(node.status_behind, "/status/ready", before=header).status == 200
        assert ask(node.status_secure_behind, "/status/ready", before=header, context=anyones()).status == 200
    for header in (b"", b"PROXY nonsense\r\n", b"PROXY " + b"x" * 200, V2[:12] + b"\x31\x11\x00\x00", b"\r\n\r\n"):
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(node.status_behind, "/status/ready", before=header)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(node.status_secure, "/status/ready")


def test_a_header_may_come_in_pieces(node: Running) -> None:
    with socket.create_connection(("127.0.0.1", node.status_behind), 20) as connection:
        for at in range(len(V2)):
            connection.sendall(V2[at : at + 1])
        connection.sendall(b"GET /status/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"


@contextlib.contextmanager
def core(**environ: str) -> Iterator[Core]:
    """The core alone, with the settings of a node."""
    given = {
        "KONG_ROLE": "traditional",
        "KONG_DECLARATIVE_CONFIG": "x",
        "KONG_STATUS_LISTEN": "off",
        "KONG_NGINX_WORKER_PROCESSES": "1",
        **environ,
    }
    leaf = Leaf.self_signed("core")
    settings = node_core_settings(load_node_settings(None, given), "n", [Identity(leaf.certificate, leaf.key)])
    started = Core.start(settings, b'{"_format_version":"3.0"}')
    try:
        yield started
    finally:
        started.stop(0)


def agreed(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    """Version and cipher of a handshake."""
    with (
        socket.create_connection(("127.0.0.1", port), 20) as raw,
        context.wrap_socket(raw, server_hostname="x.example") as connection,
    ):
        cipher = connection.cipher()
        return connection.version() or "", cipher[0] if cipher else ""


def older(ciphers: str = "DEFAULT") -> ssl.SSLContext:
    context = anyones()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    return context


def test_suites_and_versions_are_those_of_the_settings() -> None:
    listen = {"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl"}
    with core(**listen) as running:
        port = running.status().listeners[0][1]
        assert agreed(port, anyones())[0] == "TLSv1.3"
        assert agreed(port, older())[0] == "TLSv1.2"
    for narrowed in ({"KONG_SSL_CIPHER_SUITE": "modern"}, {"KONG_SSL_PROTOCOLS": "TLSv1.3"}):
        with core(**listen, **narrowed) as running:
            port = running.status().listeners[0][1]
            assert agreed(port, anyones())[0] == "TLSv1.3"
            with pytest.raises(ssl.SSLError):
                agreed(port, older())
    custom = {
        "KONG_SSL_CIPHER_SUITE": "custom",
        "KONG_SSL_CIPHERS": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256",
    }
    with core(**listen, **custom) as running:
        port = running.status().listeners[0][1]
        assert agreed(port, anyones()) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        # Our order counts.
        both = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"
        assert agreed(port, older(both))[1] == "ECDHE-ECDSA-CHACHA20-POLY1305"
        with pytest.raises(ssl.SSLError):
            agreed(port, older("ECDHE-ECDSA-AES256-GCM-SHA384"))
    with core(**listen, **custom, KONG_SSL_PREFER_SERVER_CIPHERS="off") as running:
        port = running.status().listeners[0][1]
        assert agreed(port, older(both))[1] == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(("tickets", "resumed"), [("on", True), ("off", False)])
def test_sessions_are_taken_up_again_where_tickets_are_on(tickets: str, resumed: bool) -> None:
    with core(KONG_PROXY_LISTEN="127.0.0.1:0 ssl", KONG_SSL_SESSION_TICKETS=tickets) as running:
        port = running.status().listeners[0][1]
        context = older()
        session = None
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", port), 20) as raw,
                context.wrap_socket(raw, server_hostname="x.example", session=session) as connection,
            ):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while connection.recv(4096):
                    pass
                session = connection.session
                was_resumed = connection.session_reused
        assert was_resumed is resumed


def test_addresses_of_both_families_are_listened_on() -> None:
    if not HAS_IPV6:
        pytest.skip("no IPv6")
    try:
        with core(KONG_PROXY_LISTEN="[::1]:0, 127.0.0.1:0, [::]:0 ipv6only=off") as running:
            literal, v4, dual = running.status().listeners
            assert [literal[0], v4[0], dual[0]] == ["::1", "127.0.0.1", "::"]
            assert ask(literal[1], "/", address="::1").status == 404
            assert ask(v4[1], "/").status == 404
            assert ask(dual[1], "/", address="::1").status == 404
            assert ask(dual[1], "/").status == 404
    except Exception as error:
        if "does not have the address" in str(error) or "not supported" in str(error):
            pytest.skip("no IPv6 on loopback")
        raise


@pytest.mark.parametrize("reuseport", ["", " reuseport"])
def test_all_workers_serve_a_port_with_and_without_sockets_of_their_own(reuseport: str) -> None:
    with core(KONG_PROXY_LISTEN=f"127.0.0.1:0{reuseport}", KONG_NGINX_WORKER_PROCESSES="3") as running:
        port = running.status().listeners[0][1]
        assert [ask(port, "/").status for _ in range(30)] == [404] * 30
        held = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(30)]
        eventually(lambda: running.status().connections_active >= 30)
        for each in held:
            each.close()


def test_every_port_that_cannot_be_had_is_told_at_once(tmp_path: Path) -> None:
    (taken,) = free_ports(1)
    with socket.create_server(("127.0.0.1", taken)):
        environ = {
            "KONG_ROLE": "traditional",
            "KONG_DECLARATIVE_CONFIG_STRING": '{"_format_version":"3.0"}',
            "KONG_PREFIX": str(tmp_path),
            "KONG_STATUS_LISTEN": "off",
            "KONG_PROXY_LISTEN": f"127.0.0.1:{taken}, 192.0.2.77:0",
        }
        process = run_twinplane("data-plane", environ=environ)
        output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    told = output.decode()
    assert f"cannot listen on 127.0.0.1:{taken}: the port is in use" in told
    assert "cannot listen on 192.0.2.77:0: this machine does not have the address" in told


def test_a_name_without_an_address_is_told(tmp_path: Path) -> None:
    environ = {
        "KONG_ROLE": "traditional",
        "KONG_DECLARATIVE_CONFIG_STRING": '{"_format_version":"3.0"}',
        "KONG_PREFIX": str(tmp_path),
        "KONG_PROXY_LISTEN": "nobody.invalid:8000",
    }
    process = run_twinplane("data-plane", environ=environ)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "proxy_listen: nobody.invalid is not resolved" in output.decode()
