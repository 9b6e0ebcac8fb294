"""TLS as entities describe it, with real handshakes: certificates by server name, and how upstreams are spoken to."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.certificates import Authority, Leaf
from tests.conformance.proxy.running_node import RunningNode, running

from twinplane import _dataplane  # noqa: TID251  # what a node refuses is told by its core
from twinplane.control import declarative

_TIMEOUT_S = 30
_RSA_SUITE, _ECDSA_SUITE = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"


def _der(leaf: Leaf) -> bytes:
    """The first certificate of a chain, as a handshake shows it."""
    return ssl.PEM_cert_to_DER_cert(leaf.certificate[: leaf.certificate.index("-----END") + 27])


class TlsUpstream:
    """An upstream over TLS that notes the server names, client certificates and requests it meets."""

    def __init__(self, directory: Path, leaf: Leaf, client_authority: str) -> None:
        (directory / "chain.pem").write_text(leaf.certificate)
        (directory / "key.pem").write_text(leaf.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "chain.pem", directory / "key.pem")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.load_verify_locations(cadata=client_authority)
        self._context.sni_callback = lambda _connection, name, _context: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.names: list[str | None] = []
        self.requests: list[tuple[str, bytes | None]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_TIMEOUT_S)

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            raw.settimeout(_TIMEOUT_S)
            with contextlib.suppress(OSError), raw, self._context.wrap_socket(raw, server_side=True) as connection:
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65_536)):
                    head += piece
                self.requests.append((head.split(b" ")[1].decode(), connection.getpeercert(binary_form=True)))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@dataclass
class World:
    """A node, its upstreams by what they show, and the certificates of all."""

    node: RunningNode
    upstreams: dict[str, TlsUpstream]
    trusted: Authority
    other: Authority
    clients: dict[str, Leaf]
    certificates: dict[str, Leaf] = field(default_factory=dict)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("tls")
    trusted, other, of_clients = Authority("trusted"), Authority("other"), Authority("clients")
    between = other.intermediate("between")
    deep = between.leaf("deep", is_client=False, names=("localhost",))
    leaves = {
        "trusted": trusted.leaf("t", is_client=False, names=("localhost",)),
        "other": other.leaf("o", is_client=False, names=("localhost",)),
        "deep": Leaf(deep.certificate + between.certificate, deep.key),
        "named": other.leaf(
            "n", is_client=False, names=("named.test", "*.wild.test"), uris=("spiffe://mesh.test/orders",)
        ),
        "expired": other.leaf("e", is_client=False, seconds=-60, names=("named.test",)),
    }
    clients = {name: of_clients.leaf(name) for name in ("service", "pool", "node")}
    (directory / "trusted.pem").write_text(trusted.certificate)
    (directory / "client.pem").write_text(clients["node"].certificate)
    (directory / "client.key").write_text(clients["node"].key)
    settings = {
        "lua_ssl_trusted_certificate": str(directory / "trusted.pem"),
        "client_ssl": "on",
        "client_ssl_cert": str(directory / "client.pem"),
        "client_ssl_cert_key": str(directory / "client.key"),
    }
    upstreams = {name: TlsUpstream(directory, leaf, of_clients.certificate) for name, leaf in leaves.items()}
    rsa = Authority("rsa", rsa_bits=2048)
    certificates = {name: Leaf.self_signed(name) for name in ("exact", "leading", "trailing", "any", "new", "ecdsa")}
    certificates["rsa"] = rsa.leaf("rsa", is_client=False)
    with running(settings, {"_format_version": "3.0"}) as node:
        yield World(node, upstreams, trusted, other, clients, certificates)
    for upstream in upstreams.values():
        upstream.close()


def apply(world: World, document: dict[str, Any]) -> None:
    """The node serves this from now on."""
    table = declarative.load({"_format_version": "3.0", **document}, now=time.time()).json()
    assert world.node.core.apply(table).issues == []


def by_names(world: World, **names: list[str]) -> dict[str, Any]:
    """A certificate of the world for each list of server names."""
    leaves = {name: world.certificates[name] for name in names}
    return {
        "certificates": [
            {"cert": leaf.certificate, "key": leaf.key, "snis": [{"name": each} for each in names[name]]}
            for name, leaf in leaves.items()
        ]
    }


def shake_hands(
    world: World, name: str | None, *, suites: str | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLSocket:
    """A connection to the node for a server name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.maximum_version = version
    if suites is not None:
        context.set_ciphers(suites)
    raw = socket.create_connection(("127.0.0.1", world.node.tls_port), timeout=_TIMEOUT_S)
    return context.wrap_socket(raw, server_hostname=name)


def shown(world: World, name: str | None, **how: Any) -> str:
    """Which certificate of the world the node shows; `default` for its own."""
    with shake_hands(world, name, **how) as connection:
        seen = connection.getpeercert(binary_form=True)
    return next((name for name, leaf in world.certificates.items() if _der(leaf) == seen), "default")


def test_the_nearest_name_wins(world: World) -> None:
    apply(
        world,
        by_names(world, exact=["a.shop.test"], leading=["*.shop.test"], trailing=["a.shop.*", "plain.*"], any=["*"]),
    )
    wanted = {
        "a.shop.test": "exact",
        "A.Shop.TEST": "exact",
        "b.shop.test": "leading",
        # One label, as the wildcard of a certificate stands for.
        "c.b.shop.test": "any",
        "shop.test": "any",
        "a.shop.example": "trailing",
        "plain.test": "trailing",
        "elsewhere.example": "any",
    }
    assert {name: shown(world, name) for name in wanted} == wanted


def test_without_a_name_and_for_unknown_ones_the_default_is_shown(world: World) -> None:
    apply(world, by_names(world, exact=["a.shop.test"]))
    assert (shown(world, None), shown(world, "unknown.test")) == ("default", "default")
    apply(world, by_names(world, any=["*"]))
    assert (shown(world, None), shown(world, "unknown.test")) == ("any", "any")


@pytest.mark.parametrize("first", ["rsa", "ecdsa"])
def test_of_two_certificates_the_one_that_the_client_can_check(world: World, first: str) -> None:
    second = {"rsa": "ecdsa", "ecdsa": "rsa"}[first]
    (document,) = by_names(world, **{first: ["two.test"]})["certificates"]
    alternative = world.certificates[second]
    document |= {"cert_alt": alternative.certificate, "key_alt": alternative.key}
    apply(world, {"certificates": [document]})
    old = ssl.TLSVersion.TLSv1_2
    assert shown(world, "two.test", suites=_RSA_SUITE, version=old) == "rsa"
    assert shown(world, "two.test", suites=_ECDSA_SUITE, version=old) == "ecdsa"
    # Who can check both names the shorter one first.
    assert shown(world, "two.test") == "ecdsa"


def test_what_a_client_signs_with_in_tls_1_3_decides_too(world: World) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl not present")
    (document,) = by_names(world, ecdsa=["two.test"])["certificates"]
    alternative = world.certificates["rsa"]
    document |= {"cert_alt": alternative.certificate, "key_alt": alternative.key}
    apply(world, {"certificates": [document]})
    for schemes, wanted in {"rsa_pss_rsae_sha256": "rsa", "ecdsa_secp256r1_sha256": "ecdsa"}.items():
        words = ["-connect", f"127.0.0.1:{world.node.tls_port}", "-servername", "two.test", "-tls1_3"]
        made = subprocess.run(
            ["openssl", "s_client", *words, "-sigalgs", schemes],
            input=b"", capture_output=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
        text = made.stdout.decode()
        pem = text[text.index("-----BEGIN") : text.index("-----END CERTIFICATE-----") + 25]
        assert ssl.PEM_cert_to_DER_cert(pem) == _der(world.certificates[wanted])


def test_a_name_changes_hands_while_connections_live(world: World) -> None:
    route = {"services": [{"url": "http://127.0.0.1:1/", "routes": [{"paths": ["/"]}]}]}
    answers = {"plugins": [{"name": "request-termination", "config": {"status_code": 200, "message": "here"}}]}
    apply(world, {**route, **answers, **by_names(world, exact=["a.shop.test"])})
    with shake_hands(world, "a.shop.test") as connection:
        asked = b"GET / HTTP/1.1\r\nHost: a.shop.test\r\n\r\n"
        assert _answer(connection, asked).startswith(b"HTTP/1.1 200")
        apply(world, {**route, **answers, **by_names(world, new=["a.shop.test"])})
        assert shown(world, "a.shop.test") == "new"
        # The connection of before is served on, by the configuration of now.
        assert _answer(connection, asked).startswith(b"HTTP/1.1 200")
        apply(world, {**route, **by_names(world, new=["a.shop.test"])})
        assert _answer(connection, asked).startswith(b"HTTP/1.1 502")


def _answer(connection: ssl.SSLSocket, asked: bytes) -> bytes:
    connection.sendall(asked)
    with connection.makefile("rb", buffering=0) as stream:
        answer = http.client.HTTPResponse(_Kept(stream))  # type: ignore[arg-type]  # all of a socket that it uses
        answer.begin()
        body = answer.read()
    return f"HTTP/1.1 {answer.status}".encode() + body


class _Kept:
    """A stream in the form in which an HTTP response takes it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> Any:
        return self._stream


def test_a_damaged_certificate_leaves_the_one_before(world: World) -> None:
    apply(world, by_names(world, exact=["a.shop.test"]))
    entity = str(uuid.uuid4())
    damaged = {"id": entity, "cert": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
    row = {"key": world.certificates["new"].key, "created_at": 1, "updated_at": 1}
    table = declarative.load({"_format_version": "3.0"}, now=time.time()).json()
    changed = table[:-1] + b',"certificates":[' + orjson.dumps(damaged | row) + b"]}"
    with pytest.raises(_dataplane.ApplyError, match=entity):
        world.node.core.apply(changed)
    assert shown(world, "a.shop.test") == "exact"


@dataclass(frozen=True)
class Verified:
    """A way of verifying, the upstream that it is tried with, and what must come of it."""

    name: str
    upstream: str
    fields: dict[str, Any]
    status: int


_OTHER_ID, _TRUSTED_ID = str(uuid.uuid4()), str(uuid.uuid4())
_BY_OTHER = {"tls_verify": True, "ca_certificates": [_OTHER_ID]}
VERIFIED = [
    Verified("unset-takes-any", "other", {}, 200),
    Verified("unset-with-authorities-verifies", "other", {"ca_certificates": [_TRUSTED_ID]}, 502),
    Verified("unset-with-its-authority", "other", {"ca_certificates": [_OTHER_ID]}, 200),
    Verified("on-by-the-node", "trusted", {"tls_verify": True}, 200),
    Verified("on-by-the-node-refuses", "other", {"tls_verify": True}, 502),
    Verified("on-by-named-authorities-alone", "trusted", _BY_OTHER, 502),
    Verified("on-by-one-of-two", "other", {"tls_verify": True, "ca_certificates": [_TRUSTED_ID, _OTHER_ID]}, 200),
    Verified("off-takes-any", "other", {"tls_verify": False, "ca_certificates": [_TRUSTED_ID]}, 200),
    Verified("depth-too-small", "deep", _BY_OTHER | {"tls_verify_depth": 0}, 502),
    Verified("depth-enough", "deep", _BY_OTHER | {"tls_verify_depth": 1}, 200),
    Verified("depth-without-verifying", "deep", {"tls_verify": False, "tls_verify_depth": 0}, 200),
    Verified("another-name", "named", _BY_OTHER, 502),
    Verified("dns-name", "named", _BY_OTHER | {"tls_sans": {"dnsnames": ["x.test", "named.test"]}}, 200),
    Verified("dns-name-of-a-wildcard", "named", _BY_OTHER | {"tls_sans": {"dnsnames": ["a.wild.test"]}}, 200),
    Verified("dns-name-that-is-not-there", "named", _BY_OTHER | {"tls_sans": {"dnsnames": ["x.test"]}}, 502),
    Verified("uri", "named", _BY_OTHER | {"tls_sans": {"uris": ["spiffe://mesh.test/orders"]}}, 200),
    Verified("uri-that-is-not-there", "named", _BY_OTHER | {"tls_sans": {"uris": ["spiffe://mesh.test/"]}}, 502),
    Verified("host-beside-other-names", "other", _BY_OTHER | {"tls_sans": {"dnsnames": ["x.test"]}}, 200),
    Verified("name-of-an-expired-one", "expired", _BY_OTHER | {"tls_sans": {"dnsnames": ["named.test"]}}, 502),
    Verified("name-without-authority", "named", {"tls_verify": True, "tls_sans": {"dnsnames": ["named.test"]}}, 502),
]  # fmt: skip


@pytest.fixture
def verifying(world: World) -> World:
    log = {"name": "http-log", "config": {"http_endpoint": "http://127.0.0.1:1/"}}
    services = [
        {
            "name": case.name,
            "url": f"https://localhost:{world.upstreams[case.upstream].port}",
            "retries": 0,
            "routes": [{"name": case.name, "paths": [f"/{case.name}"], "strip_path": False}],
            **case.fields,
        }
        for case in VERIFIED
    ]
    authorities = [
        {"id": _OTHER_ID, "cert": world.other.certificate},
        {"id": _TRUSTED_ID, "cert": world.trusted.certificate},
    ]
    apply(world, {"services": services, "ca_certificates": authorities, "plugins": [log]})
    return world


@pytest.mark.parametrize("case", VERIFIED, ids=lambda case: case.name)
def test_an_upstream_is_verified_as_the_service_asks(verifying: World, case: Verified) -> None:
    upstream = verifying.upstreams[case.upstream]
    before = len(upstream.requests)
    assert _get(verifying.node, f"/{case.name}") == case.status
    arrived = [path for path, _ in upstream.requests[before:]]
    assert arrived == ([f"/{case.name}"] if case.status == 200 else [])
    (entry,) = verifying.node.log_entries(1)
    assert (entry["response"]["status"], entry["service"]["name"]) == (case.status, case.name)
    assert upstream.names[-1] == "localhost"


def test_the_nearest_client_certificate_is_shown(world: World) -> None:
    port = world.upstreams["other"].port
    pair = {name: {"id": str(uuid.uuid4())} for name in ("service", "pool")}
    rows = [{**pair[name], "cert": world.clients[name].certificate, "key": world.clients[name].key} for name in pair]
    own = {"client_certificate": pair["service"]["id"]}
    apply(
        world,
        {
            "certificates": rows,
            "upstreams": [
                {"name": name, "targets": [{"target": f"127.0.0.1:{port}"}], "client_certificate": pair["pool"]["id"]}
                for name in ("with.test", "within.test")
            ],
            "services": [
                {"name": "a", "url": f"https://localhost:{port}", "routes": [{"paths": ["/service"]}], **own},
                {"name": "b", "url": "https://with.test", "routes": [{"paths": ["/pool"]}]},
                {"name": "c", "url": "https://within.test", "routes": [{"paths": ["/both"]}], **own},
                {"name": "d", "url": f"https://localhost:{port}", "routes": [{"paths": ["/node"]}]},
            ],
        },
    )
    requests = world.upstreams["other"].requests
    for path, wanted in {"/service": "service", "/pool": "pool", "/both": "service", "/node": "node"}.items():
        assert _get(world.node, path) == 200
        assert requests[-1][1] == _der(world.clients[wanted]), path


def _get(node: RunningNode, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
