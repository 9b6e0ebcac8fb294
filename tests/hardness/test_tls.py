"""TLS as it is spoken with clients: 1.2 and 1.3, forward-secret AEAD suites, no renegotiation, no compression."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import Wire

GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
_ALERT, _FATAL, _HANDSHAKE = 21, 2, 22


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream) as found:
        yield found


def context(gateway: Gateway) -> ssl.SSLContext:
    """A client that trusts the gateway."""
    return ssl.create_default_context(cadata=gateway.leaf.certificate)


def hello(version: int, suites: list[int], *, compression: bytes = b"\0") -> bytes:
    """A ClientHello that offers one version and these suites."""
    groups = b"\0\x0a\0\x08\0\x06\0\x1d\0\x17\0\x18"
    signatures = b"\0\x0d\0\x0a\0\x08\x04\x03\x08\x04\x04\x01\x05\x03"
    extensions = groups + signatures
    listed = b"".join(suite.to_bytes(2) for suite in suites)
    body = version.to_bytes(2) + bytes(32) + b"\0" + len(listed).to_bytes(2) + listed
    body += bytes([len(compression)]) + compression + len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def first_record(port: int, data: bytes) -> bytes:
    """What is said first; nothing where the connection is just closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        try:
            return sock.recv(65536)
        except ConnectionError:
            return b""


# ECDHE with AEAD, as an ECDSA certificate takes it.
GOOD_SUITES = [0xC02B, 0xC02C, 0xCCA9]
# Static RSA, finite-field DH, CBC, RC4, 3DES, NULL, export, anonymous, CCM, ARIA.
BAD_SUITES = [
    0x002F, 0x0035, 0x009C, 0x009D, 0x0033, 0x009E, 0x009F, 0xC009, 0xC00A, 0xC023, 0xC024, 0xC007, 0xC008,
    0x0005, 0x000A, 0x0000, 0x0001, 0x0003, 0x0008, 0x0018, 0xC018, 0xC0AC, 0xC0AE, 0xC05C,
]  # fmt: skip


@pytest.mark.parametrize("version", [0x0200, 0x0300, 0x0301, 0x0302])
def test_versions_before_1_2_are_refused(gateway: Gateway, version: int) -> None:
    told = first_record(gateway.tls_port, hello(version, [*GOOD_SUITES, *BAD_SUITES]))
    assert told == b"" or (told[0] == _ALERT and told[5] == _FATAL), told
    failed = gateway.counts()["connections"]["handshakes_failed"]
    assert failed > 0


def test_ssl_2_is_no_language(gateway: Gateway) -> None:
    told = first_record(gateway.tls_port, b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40))
    assert told == b"" or told[0] == _ALERT


@pytest.mark.parametrize("suite", GOOD_SUITES)
def test_forward_secret_aead_suites_are_agreed_on(gateway: Gateway, suite: int) -> None:
    told = first_record(gateway.tls_port, hello(0x0303, [suite]))
    assert told[0] == _HANDSHAKE
    # ServerHello: version, 32 random bytes, session id, the suite, no compression.
    session = told[43]
    assert int.from_bytes(told[44 + session : 46 + session]) == suite
    assert told[46 + session] == 0


@pytest.mark.parametrize("suite", BAD_SUITES)
def test_no_other_suite_is(gateway: Gateway, suite: int) -> None:
    told = first_record(gateway.tls_port, hello(0x0303, [suite]))
    assert told == b"" or (told[0] == _ALERT and told[5] == _FATAL), told


def test_compression_is_never_agreed_on(gateway: Gateway) -> None:
    told = first_record(gateway.tls_port, hello(0x0303, GOOD_SUITES, compression=b"\x01\0"))
    assert told[0] == _ALERT or told[46 + told[43]] == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_serve(gateway: Gateway, version: ssl.TLSVersion) -> None:
    own = context(gateway)
    own.minimum_version = own.maximum_version = version
    with Wire(gateway.tls_port, context=own) as wire:
        assert isinstance(wire.sock, ssl.SSLSocket)
        assert wire.sock.version() == ("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
        assert wire.sock.compression() is None
        name, _, bits = wire.sock.cipher() or ("", "", 0)
        assert "GCM" in name or "POLY1305" in name
        assert bits >= 128
        wire.send(GET)
        assert wire.read().status == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_client_cannot_renegotiate(gateway: Gateway) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.tls_port}", "-tls1_2", "-servername", "localhost"],
        input=b"R\n" + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        capture_output=True,
        timeout=60,
    )
    told = done.stdout + done.stderr
    assert b"RENEGOTIATING" in told
    assert b"HTTP/1.1 200" not in told
    with Wire(gateway.tls_port, context=context(gateway)) as wire:
        wire.send(GET)
        assert wire.read().status == 200


def test_plain_http_on_the_port_of_tls_is_told_so_or_closed(gateway: Gateway) -> None:
    gateway.forget()
    told = first_record(gateway.tls_port, GET)
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ") or told[0] == _ALERT
    assert gateway.settled() == []


@pytest.fixture(scope="module")
def by_name(upstream: RecordingUpstream) -> Iterator[Gateway]:
    """Two routes for connections of one name, the second for one host of it too; one for all others."""

    def route(name: str, path: str, **own: object) -> dict[str, object]:
        told = {"name": "request-transformer", "config": {"add": {"headers": [f"X-Route:{name}"]}}}
        return {"name": name, "paths": [path], "strip_path": False, "plugins": [told], **own}

    routes = [
        route("named", "/a", snis=["a.example"], protocols=["https"]),
        route("both", "/b", snis=["a.example"], hosts=["a.example"], protocols=["https"]),
        route("else", "/"),
    ]
    with serving(upstream, {"services": [{"url": f"http://127.0.0.1:{upstream.port}", "routes": routes}]}) as found:
        yield found


def any_name(gateway: Gateway) -> ssl.SSLContext:
    """A client that trusts the gateway, whatever its name."""
    own = context(gateway)
    own.check_hostname = False
    return own


def routed(gateway: Gateway, path: str, *, name: str | None, host: str) -> list[str]:
    """The route that a request takes, over TLS where a name is shown."""
    gateway.settled()
    own = None if name is None else any_name(gateway)
    port = gateway.port if name is None else gateway.tls_port
    with Wire(port, context=own, server_name=name or "") as wire:
        # Nobody here is trusted to say by what the client came.
        wire.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n\r\n".encode())
        answer = wire.read()
    if answer.status == 426:
        return ["only over TLS"]
    return [value for each in gateway.settled() for value in each.values("x-route")]


def test_the_name_of_the_connection_decides_not_the_host(by_name: Gateway) -> None:
    for host in ("a.example", "b.example", "localhost", "A.Example:443"):
        assert routed(by_name, "/a", name="a.example", host=host) == ["named"]
    assert routed(by_name, "/b", name="a.example", host="a.example") == ["both"]
    assert routed(by_name, "/b", name="a.example", host="b.example") == ["else"]
    for path in ("/a", "/b"):
        for name in ("b.example", "localhost"):
            assert routed(by_name, path, name=name, host="a.example") == ["else"]
        assert routed(by_name, path, name=None, host="a.example") == ["only over TLS"]


def test_a_connection_is_of_one_name_to_its_end(by_name: Gateway) -> None:
    by_name.settled()
    with Wire(by_name.tls_port, context=any_name(by_name), server_name="b.example") as wire:
        for host in ("b.example", "a.example", "b.example"):
            wire.send(f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert wire.read().status == 200
    assert [each.values("x-route") for each in by_name.settled()] == [["else"]] * 3
