"""Who asks: one address, told by trusted proxies alone, for restrictions, limits, logs, targets and upstreams."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import ask

TRUSTED, ALSO_TRUSTED, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.9"
CLIENT, OTHER = "203.0.113.7", "198.51.100.9"
REAL_IP, FORWARDED = "X-Real-IP", "X-Forwarded-For"
_LISTENERS = "127.0.0.1:0, 127.0.0.1:0 http2 ssl, 127.0.0.1:0 http2, 127.0.0.1:0 proxy_protocol"
_TARGETS = 4


@dataclass(frozen=True)
class Door:
    """A node that trusts two addresses, and the targets among which it chooses by address."""

    gateway: Gateway
    targets: list[RecordingUpstream]
    proxied_port: int

    def asked(
        self, path: str, fields: list[tuple[str, str]], *, source: str, proxied_for: str = ""
    ) -> tuple[int, bytes]:
        """Status and body of a request from an address, behind a PROXY header where one is named."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        head = f"GET {path} HTTP/1.1\r\nHost: a.example\r\n{lines}Connection: close\r\n\r\n"
        port = self.gateway.port
        if proxied_for:
            family = "TCP6" if ":" in proxied_for else "TCP4"
            own = "::1" if ":" in proxied_for else "127.0.0.1"
            head = f"PROXY {family} {proxied_for} {own} 4711 80\r\n{head}"
            port = self.proxied_port
        answer = ask(port, head.encode(), source=source)
        return answer.status, answer.body

    def target_of(self, fields: list[tuple[str, str]], *, source: str) -> int:
        """Which of the targets is asked."""
        assert self.asked("/hashed", fields, source=source)[0] == 200
        (found,) = [at for at, target in enumerate(self.targets) if target.seen()]
        return found


def config(upstream: RecordingUpstream, targets: list[RecordingUpstream]) -> dict[str, Any]:
    """A route for each thing that judges by address."""

    def route(name: str, *plugins: Mapping[str, Any], **own: Any) -> dict[str, Any]:
        return {"name": name, "paths": [f"/{name}"], "strip_path": False, "plugins": list(plugins), **own}

    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [
                    route("sentinel-"),
                    route("open"),
                    # Nobody comes from there: the refusal says whom it takes the client for.
                    route("restricted", {"name": "ip-restriction", "config": {"allow": ["192.0.2.1"]}}),
                    route("allowed", {"name": "ip-restriction", "config": {"allow": [CLIENT]}}),
                    route("denied", {"name": "ip-restriction", "config": {"deny": [CLIENT, STRANGER]}}),
                    route("limited", {"name": "rate-limiting", "config": {"year": 1, "limit_by": "ip"}}),
                    route("secure", protocols=["https"], https_redirect_status_code=426),
                ],
            },
            {"name": "hashed", "host": "by-address", "routes": [route("hashed")]},
        ],
        "upstreams": [
            {
                "name": "by-address",
                "algorithm": "consistent-hashing",
                "hash_on": "ip",
                "targets": [{"target": f"127.0.0.1:{target.port}"} for target in targets],
            }
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


@contextlib.contextmanager
def door(
    upstream: RecordingUpstream, targets: list[RecordingUpstream], header: str, *, is_recursive: bool = False
) -> Iterator[Door]:
    """A node that reads the client's address from a header."""
    settings = {
        "proxy_listen": _LISTENERS,
        "trusted_ips": f"{TRUSTED},{ALSO_TRUSTED}/32",
        "real_ip_header": header,
        "real_ip_recursive": "on" if is_recursive else "off",
        "proxy_access_log": "/dev/null",
    }
    with serving(upstream, config(upstream, targets), settings=settings) as gateway:
        port = gateway.core.status().listeners[3][1]
        yield Door(gateway, targets, port)


@pytest.fixture(scope="module")
def targets() -> Iterator[list[RecordingUpstream]]:
    found = [RecordingUpstream() for _ in range(_TARGETS)]
    yield found
    for target in found:
        target.close()


@pytest.fixture(scope="module")
def by_real_ip(upstream: RecordingUpstream, targets: list[RecordingUpstream]) -> Iterator[Door]:
    with door(upstream, targets, REAL_IP) as found:
        yield found


@pytest.fixture(scope="module")
def by_last(upstream: RecordingUpstream, targets: list[RecordingUpstream]) -> Iterator[Door]:
    with door(upstream, targets, FORWARDED) as found:
        yield found


@pytest.fixture(scope="module")
def by_chain(upstream: RecordingUpstream, targets: list[RecordingUpstream]) -> Iterator[Door]:
    with door(upstream, targets, FORWARDED, is_recursive=True) as found:
        yield found


@pytest.fixture(scope="module")
def by_proxy_header(upstream: RecordingUpstream, targets: list[RecordingUpstream]) -> Iterator[Door]:
    with door(upstream, targets, "proxy_protocol") as found:
        yield found


# Which node, from where, what is claimed, who it then is. `*` stands for the address it comes from.
CLAIMS: dict[str, tuple[str, str, list[tuple[str, str]], str]] = {
    "nothing": ("by_real_ip", TRUSTED, [], "*"),
    "a stranger by the header": ("by_real_ip", STRANGER, [(REAL_IP, CLIENT)], "*"),
    "a stranger by every header": (
        "by_real_ip",
        STRANGER,
        [
            (REAL_IP, CLIENT),
            (FORWARDED, CLIENT),
            ("Forwarded", f"for={CLIENT}"),
            ("True-Client-IP", CLIENT),
            ("Client-IP", CLIENT),
            ("CF-Connecting-IP", CLIENT),
        ],
        "*",
    ),
    "a stranger by another spelling": ("by_real_ip", STRANGER, [("x_real_ip", CLIENT)], "*"),
    "a proxy": ("by_real_ip", TRUSTED, [(REAL_IP, CLIENT)], CLIENT),
    "a proxy with a port": ("by_real_ip", TRUSTED, [(REAL_IP, f"{CLIENT}:4711")], CLIENT),
    "a proxy of the sixth version": ("by_real_ip", TRUSTED, [(REAL_IP, "[2001:db8::1]:4711")], "2001:db8::1"),
    "a proxy that writes the fourth as the sixth": ("by_real_ip", TRUSTED, [(REAL_IP, f"::ffff:{CLIENT}")], CLIENT),
    "a proxy in another header": ("by_real_ip", TRUSTED, [(FORWARDED, CLIENT)], "*"),
    "a proxy in another spelling": ("by_real_ip", TRUSTED, [("X_Real_IP", CLIENT)], "*"),
    "a proxy that talks nonsense": ("by_real_ip", TRUSTED, [(REAL_IP, f"{CLIENT} or so")], "*"),
    "a proxy that says nothing": ("by_real_ip", TRUSTED, [(REAL_IP, "")], "*"),
    "the last hop": ("by_last", TRUSTED, [(FORWARDED, f"{OTHER}, {CLIENT}")], CLIENT),
    "the last hop, trusted or not": ("by_last", TRUSTED, [(FORWARDED, f"{CLIENT}, {ALSO_TRUSTED}")], ALSO_TRUSTED),
    "the last hop of several lines": ("by_last", TRUSTED, [(FORWARDED, OTHER), (FORWARDED, CLIENT)], CLIENT),
    "the last hop, unreadable": ("by_last", TRUSTED, [(FORWARDED, f"{CLIENT}, unknown")], "*"),
    "hops of a stranger": ("by_last", STRANGER, [(FORWARDED, CLIENT)], "*"),
    "hops up to the first stranger": ("by_chain", TRUSTED, [(FORWARDED, f"{OTHER}, {CLIENT}, {ALSO_TRUSTED}")], CLIENT),
    "hops over several lines": (
        "by_chain",
        TRUSTED,
        [(FORWARDED, f"{OTHER}, {CLIENT}"), (FORWARDED, f"{ALSO_TRUSTED},{TRUSTED}")],
        CLIENT,
    ),
    "hops that are all trusted": ("by_chain", TRUSTED, [(FORWARDED, f"{ALSO_TRUSTED}, {TRUSTED}")], ALSO_TRUSTED),
    "hops up to an unreadable one": (
        "by_chain",
        TRUSTED,
        [(FORWARDED, f"{CLIENT}, unknown, {ALSO_TRUSTED}")],
        ALSO_TRUSTED,
    ),
    "hops of a stranger, all trusted": ("by_chain", STRANGER, [(FORWARDED, f"{CLIENT}, {TRUSTED}")], "*"),
    "headers where the connection counts": (
        "by_proxy_header",
        TRUSTED,
        [(REAL_IP, CLIENT), (FORWARDED, CLIENT), ("proxy_protocol", CLIENT)],
        "*",
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_all_judge_by_one_address(request: pytest.FixtureRequest, name: str) -> None:
    node, source, claims, wanted = CLAIMS[name]
    found: Door = request.getfixturevalue(node)
    wanted = source if wanted == "*" else wanted
    found.gateway.forget()
    status, body = found.asked("/restricted", claims, source=source)
    assert (status, orjson.loads(body)["message"]) == (403, f"IP address not allowed: {wanted}")
    assert found.asked("/allowed", claims, source=source)[0] == (200 if wanted == CLIENT else 403)
    assert found.asked("/denied", claims, source=source)[0] == (403 if wanted in {CLIENT, STRANGER} else 200)
    passed = [each for each in found.gateway.settled() if each.target != "/restricted"]
    assert len(passed) == (wanted == CLIENT) + (wanted not in {CLIENT, STRANGER})
    assert {tuple(each.values("x-real-ip")) for each in passed} <= {(wanted,)}
    logged = [entry for entry in found.gateway.log_entries(4) if "/sentinel-" not in entry["request"]["uri"]]
    assert [entry["client_ip"] for entry in logged] == [wanted] * 3
    assert [line.split(" ")[0] for line in found.gateway.access_lines(3)] == [wanted] * 3


def test_a_proxy_header_counts_from_trusted_peers_alone(by_proxy_header: Door) -> None:
    for told, name in ((CLIENT, CLIENT), ("2001:db8::1", "2001:db8::1"), (f"::ffff:{CLIENT}", CLIENT)):
        status, body = by_proxy_header.asked("/restricted", [], source=TRUSTED, proxied_for=told)
        assert (status, orjson.loads(body)["message"]) == (403, f"IP address not allowed: {name}")
    status, body = by_proxy_header.asked("/restricted", [], source=STRANGER, proxied_for=CLIENT)
    assert (status, orjson.loads(body)["message"]) == (403, f"IP address not allowed: {STRANGER}")


def test_a_proxy_header_is_no_address_where_another_header_counts(by_real_ip: Door) -> None:
    status, body = by_real_ip.asked("/restricted", [], source=TRUSTED, proxied_for=CLIENT)
    assert (status, orjson.loads(body)["message"]) == (403, f"IP address not allowed: {TRUSTED}")


def test_limits_count_the_address_that_restrictions_see(by_real_ip: Door) -> None:
    def limited(source: str, claim: str) -> int:
        return by_real_ip.asked("/limited", [(REAL_IP, claim), (FORWARDED, claim)], source=source)[0]

    by_real_ip.gateway.forget()
    # A stranger is one client, whoever it says it is.
    assert [limited(STRANGER, f"203.0.113.{number}") for number in range(4)] == [200, 429, 429, 429]
    # A proxy's clients are as many as it names, each in whatever form.
    assert [limited(TRUSTED, claim) for claim in (CLIENT, OTHER, CLIENT, f"::ffff:{CLIENT}")] == [200, 200, 429, 429]
    assert [each.values("x-real-ip") for each in by_real_ip.gateway.settled()] == [[STRANGER], [CLIENT], [OTHER]]


def test_targets_are_chosen_by_that_address(by_real_ip: Door) -> None:
    claims = [f"203.0.113.{number}" for number in range(24)]
    by_proxy = [by_real_ip.target_of([(REAL_IP, claim)], source=TRUSTED) for claim in claims]
    assert len(set(by_proxy)) > 1
    assert [by_real_ip.target_of([(REAL_IP, f"::ffff:{claim}")], source=TRUSTED) for claim in claims[:6]] == by_proxy[
        :6
    ]
    by_stranger = {by_real_ip.target_of([(REAL_IP, claim)], source=STRANGER) for claim in claims}
    assert by_stranger == {by_real_ip.target_of([], source=STRANGER)}


def test_a_scheme_is_believed_from_trusted_peers_alone(by_real_ip: Door) -> None:
    by_real_ip.gateway.forget()
    claims = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443"), ("X-Forwarded-Host", "other.example")]
    assert by_real_ip.asked("/secure", claims, source=STRANGER)[0] == 426
    assert by_real_ip.asked("/secure", [("X-Forwarded-Proto", "https, http")], source=TRUSTED)[0] == 426
    assert by_real_ip.asked("/secure", claims, source=TRUSTED)[0] == 200
    assert by_real_ip.asked("/open", claims, source=STRANGER)[0] == 200
    trusted, stranger = by_real_ip.gateway.settled()
    told = [(name, *each.values(name)) for each in (trusted, stranger) for name, _ in claims]
    assert told == [
        *claims,
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", str(by_real_ip.gateway.port)),
        ("X-Forwarded-Host", "a.example"),
    ]


def test_http2_is_judged_alike(by_real_ip: Door) -> None:
    fields = [(b"x-real-ip", CLIENT.encode()), (b"x-forwarded-for", CLIENT.encode())]
    for source, wanted in ((STRANGER, STRANGER), (TRUSTED, CLIENT)):
        with FrameWire(by_real_ip.gateway.h2_port, source=source) as wire:
            wire.ask(1, request(*fields, path=b"/restricted"))
            reply = wire.reply(1)
        assert (reply.status, orjson.loads(reply.body)["message"]) == (403, f"IP address not allowed: {wanted}")


def test_streams_are_judged_alike(upstream: RecordingUpstream) -> None:
    settings = {"stream_listen": "127.0.0.1:0 proxy_protocol", "trusted_ips": TRUSTED}
    log = {"name": "file-log", "protocols": ["tcp"], "config": {"path": "/dev/null"}}
    told = f"PROXY TCP4 {CLIENT} 127.0.0.1 4711 80\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    for denied in (CLIENT, STRANGER):
        deny = {"name": "ip-restriction", "protocols": ["tcp"], "config": {"deny": [denied]}}
        route = {"name": "only", "protocols": ["tcp"], "sources": [{"ip": STRANGER}, {"ip": CLIENT}], "plugins": [deny]}
        service = {"name": "only", "url": f"tcp://127.0.0.1:{upstream.port}", "routes": [route]}
        with serving(upstream, {"services": [service], "plugins": [log]}, settings=settings) as gateway:
            ((_, port, *_),) = gateway.core.status().stream_listeners
            upstream.seen()
            # Who is trusted speaks for the client; who is not, for itself.
            for source, client in ((TRUSTED, CLIENT), (STRANGER, STRANGER)):
                assert ask(port, told, source=source).status == (0 if client == denied else 200)
                assert len(upstream.seen()) == (client != denied)
            assert {entry["client_ip"] for entry in gateway.log_entries(2)} == {CLIENT, STRANGER}
