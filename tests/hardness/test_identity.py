"""Who asks is told by the gateway alone: no claim of a client, in whatever spelling, survives any auth plugin."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import Forwarded, RecordingUpstream
from tests.hardness.wire import ask

SECRET = "a secret of thirty-two bytes, say"
FORGED = "mallory-was-here"
# The identity that the gateway tells, in spellings that some upstream takes for the same.
NAMES = [
    "X-Consumer-ID",
    "X-Consumer-Username",
    "X-Consumer-Custom-ID",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "X-Consumer-Groups",
    "X-Authenticated-Groups",
]
SPELLINGS = {
    "as written": lambda name: name,
    "lower case": str.lower,
    "upper case": str.upper,
    "underscores": lambda name: name.replace("-", "_"),
    "mixed": lambda name: name.lower().replace("-", "_", 1),
}
OURS = [
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Path",
    "X-Real-IP",
    "X-Kong-Request-Id",
]
PLUGINS = ["key-auth", "basic-auth", "jwt", "hmac-auth"]
OUTCOMES = ["none", "wrong", "right"]


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """A route for each plugin, with and without somebody to stand in for nobody, and an open one."""
    routes: list[dict[str, Any]] = [{"name": "open", "paths": ["/"], "strip_path": False}]
    for plugin in PLUGINS:
        for anonymous in ("", "nobody"):
            own = {"anonymous": "nobody"} if anonymous else {}
            routes.append(
                {
                    "name": f"{plugin}{anonymous}",
                    "paths": [f"/{plugin}{anonymous}/"],
                    "strip_path": False,
                    "plugins": [{"name": plugin, "config": own}],
                }
            )
    alice = {
        "username": "alice",
        "custom_id": "a-1",
        "keyauth_credentials": [{"key": "right"}],
        "basicauth_credentials": [{"username": "alice", "password": "right"}],
        "jwt_secrets": [{"key": "issuer", "secret": SECRET}],
        "hmacauth_credentials": [{"username": "alice", "secret": SECRET}],
    }
    return {
        "services": [{"name": "all", "url": f"http://127.0.0.1:{upstream.port}", "routes": routes}],
        "consumers": [alice, {"username": "nobody"}],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, config(upstream)) as found:
        yield found


def credential(plugin: str, outcome: str) -> list[str]:
    """Header lines that show a credential."""
    if outcome == "none":
        return []
    is_right = outcome == "right"
    if plugin == "key-auth":
        return [f"apikey: {outcome}"]
    if plugin == "basic-auth":
        return ["Authorization: Basic " + base64.b64encode(f"alice:{outcome}".encode()).decode()]
    if plugin == "jwt":
        signed = ".".join(encoded(part) for part in ({"alg": "HS256", "typ": "JWT"}, {"iss": "issuer"}))
        secret = SECRET if is_right else "another"
        signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        return [f"Authorization: Bearer {signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"]
    date = formatdate(usegmt=True)
    digest = hmac.new(SECRET.encode(), f"date: {date}".encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest if is_right else b"x" * 32).decode()
    return [
        f"Date: {date}",
        f'Authorization: hmac username="alice", algorithm="hmac-sha256", headers="date", signature="{signature}"',
    ]


def encoded(part: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def forged(forwarded: Forwarded) -> list[tuple[str, str]]:
    """What of a client's claims came through."""
    return [(name, value) for name, value in forwarded.fields if FORGED in value]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("anonymous", ["", "nobody"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_claim_of_a_client_comes_through(
    gateway: Gateway, plugin: str, anonymous: str, outcome: str, spelling: str
) -> None:
    spell = SPELLINGS[spelling]
    claims = [f"{spell(name)}: {FORGED}" for name in [*NAMES, *OURS]]
    gateway.forget()
    lines = [
        f"GET /{plugin}{anonymous}/x HTTP/1.1",
        "Host: a.example",
        *claims,
        *credential(plugin, outcome),
        *claims[:3],
    ]
    answer = ask(gateway.port, "\r\n".join(lines).encode() + b"\r\n\r\n")
    found = gateway.settled()
    if outcome != "right" and not anonymous:
        assert answer.status == 401
        assert found == []
        (logged, _) = gateway.log_entries(2)
        assert "consumer" not in logged
        return
    assert answer.status == 200
    (forwarded,) = found
    assert forged(forwarded) == []
    who = "alice" if outcome == "right" else "nobody"
    assert forwarded.values("x-consumer-username") == [who]
    assert forwarded.values("x-anonymous-consumer") == ([] if outcome == "right" else ["true"])
    assert forwarded.values("x-consumer-custom-id") == (["a-1"] if outcome == "right" else [])
    assert forwarded.values("x-real-ip") == ["127.0.0.1"]
    (logged, _) = gateway.log_entries(2)
    assert logged["consumer"]["username"] == who


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_the_gateway_tells_of_the_connection_is_its_own(gateway: Gateway, spelling: str) -> None:
    gateway.forget()
    claims = [f"{SPELLINGS[spelling](name)}: {FORGED}" for name in OURS]
    answer = ask(gateway.port, "\r\n".join(["GET /x HTTP/1.1", "Host: a.example", *claims]).encode() + b"\r\n\r\n")
    assert answer.status == 200
    (forwarded,) = gateway.settled()
    assert forged(forwarded) == []
    assert [len(forwarded.values(name)) for name in OURS] == [1] * len(OURS)


def test_http2_tells_no_more(gateway: Gateway) -> None:
    gateway.forget()
    claims = [(name.lower().encode(), FORGED.encode()) for name in [*NAMES, *OURS]]
    claims += [(name.lower().replace("-", "_").encode(), FORGED.encode()) for name in [*NAMES, *OURS]]
    with FrameWire(gateway.h2_port) as wire:
        wire.ask(1, request((b"apikey", b"right"), *claims, path=b"/key-auth/x"))
        assert wire.reply(1).status == 200
    (forwarded,) = gateway.settled()
    assert forged(forwarded) == []
    assert forwarded.values("x-consumer-username") == ["alice"]


TOKENS: dict[str, tuple[object, object]] = {
    "none": ({"alg": "none"}, {"iss": "issuer"}),
    "None": ({"alg": "None"}, {"iss": "issuer"}),
    "no algorithm": ({"typ": "JWT"}, {"iss": "issuer"}),
    "another algorithm": ({"alg": "HS512"}, {"iss": "issuer"}),
    "a list of algorithms": ({"alg": ["HS256"]}, {"iss": "issuer"}),
    "crit": ({"alg": "HS256", "crit": ["exp"]}, {"iss": "issuer"}),
    "an issuer of another type": ({"alg": "HS256"}, {"iss": ["issuer"]}),
    "an unknown issuer": ({"alg": "HS256"}, {"iss": "other"}),
    "no issuer": ({"alg": "HS256"}, {}),
    "claims that are none": ({"alg": "HS256"}, ["iss", "issuer"]),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_does_not_choose_how_it_is_proved(gateway: Gateway, name: str) -> None:
    header, claims = TOKENS[name]
    signed = f"{encoded(header)}.{encoded(claims)}"
    gateway.forget()
    digest = hashlib.sha512 if name == "another algorithm" else hashlib.sha256
    for signature in (hmac.new(SECRET.encode(), signed.encode(), digest).digest(), b""):
        text = base64.urlsafe_b64encode(signature).decode().rstrip("=")
        lines = f"GET /jwt/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {signed}.{text}\r\n\r\n"
        assert ask(gateway.port, lines.encode()).status in {401, 403}
    assert gateway.settled() == []


def test_members_given_twice_are_no_token(gateway: Gateway) -> None:
    gateway.forget()
    for header, claims in (
        ('{"alg":"HS256","alg":"HS256"}', '{"iss":"issuer"}'),
        ('{"alg":"HS256"}', '{"iss":"other","iss":"issuer"}'),
        ('{"alg":"none","alg":"HS256"}', '{"iss":"issuer"}'),
    ):
        signed = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (header, claims))
        signature = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        token = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        lines = f"GET /jwt/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
        assert ask(gateway.port, lines.encode()).status == 401
    assert gateway.settled() == []


def test_a_token_brings_no_key_of_its_own(upstream: RecordingUpstream) -> None:
    """A key that a token carries, or points to, is never looked at; one that is too short is never used."""
    strong, weak = (rsa.generate_private_key(public_exponent=65537, key_size=bits) for bits in (2_048, 1_024))
    numbers = weak.public_key().public_numbers()
    own = {"kty": "RSA", "n": number_of(numbers.n), "e": number_of(numbers.e), "kid": "own"}
    secrets = [
        {"key": name, "algorithm": "RS256", "rsa_public_key": public(key)}
        for name, key in (("strong", strong), ("weak", weak))
    ]
    document = config(upstream)
    document["consumers"].append({"username": "bob", "jwt_secrets": [*secrets, {"key": "short", "secret": "x"}]})

    def answered(gateway: Gateway, issuer: str, key: rsa.RSAPrivateKey, **header: object) -> int:
        signed = f"{encoded({'alg': 'RS256', **header})}.{encoded({'iss': issuer})}"
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        token = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        return ask(
            gateway.port, f"GET /jwt/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        ).status

    with serving(upstream, document) as gateway:
        at = f"http://127.0.0.1:{upstream.port}/keys"
        carried = {"jwk": own, "jku": at, "x5u": at, "x5c": ["MIIB"], "kid": "own"}
        assert answered(gateway, "strong", strong) == 200
        assert len(gateway.settled()) == 1
        assert answered(gateway, "weak", weak) == 401
        for name, value in carried.items():
            assert answered(gateway, "strong", weak, **{name: value}) == 401
        assert answered(gateway, "strong", weak, **carried) == 401
        # Nobody was let in, and nobody went to fetch a key.
        assert gateway.settled() == []


def number_of(value: int) -> str:
    """A number as a JSON web key has it."""
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).decode().rstrip("=")


def public(key: rsa.RSAPrivateKey) -> str:
    """The public half, in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_log_line_cannot_be_forged(gateway: Gateway) -> None:
    gateway.forget()
    line = b'x%0a{"forged":true}'
    lines = b"GET /" + line + b'?q="%0a} HTTP/1.1\r\nHost: a\r\nUser-Agent: a","forged":"b\r\n\r\n'
    assert ask(gateway.port, lines).status == 200
    gateway.settled()
    entries = gateway.log_entries(2)
    assert len(entries) == 2
    assert all("forged" not in entry for entry in entries)
    assert entries[0]["request"]["headers"]["user-agent"] == 'a","forged":"b'
