"""jwt through a real gateway: its vectors, the example of its page, and a token of each algorithm."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.plugin_cases import Gateway, VectorCase, check_example, gateway, play, vector_cases

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_SECRET = b"a-long-random-text"
_KEYS: dict[str, Any] = {
    "RS": rsa.generate_private_key(65537, 2048),
    "PS": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
_ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_SYMMETRIC = ["HS256", "HS384", "HS512"]


def _key(algorithm: str) -> Any:
    return _KEYS.get(algorithm) or _KEYS[algorithm[:2]]


def _pem(key: Any, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, form).decode())


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _signature(algorithm: str, text: bytes, key: Any) -> bytes:
    if algorithm.startswith("HS"):
        return hmac.new(key, text, f"sha{algorithm[2:]}").digest()
    if algorithm == "EdDSA":
        return bytes(key.sign(text))
    chosen = _HASHES[algorithm[2:]]
    if algorithm.startswith("RS"):
        return bytes(key.sign(text, padding.PKCS1v15(), chosen))
    if algorithm.startswith("PS"):
        return bytes(key.sign(text, padding.PSS(padding.MGF1(chosen), padding.PSS.DIGEST_LENGTH), chosen))
    size = (key.key_size + 7) // 8
    return b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(key.sign(text, ec.ECDSA(chosen))))


def _token(algorithm: str, claims: Mapping[str, Any], key: Any) -> str:
    head = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    text = f"{_part(head)}.{_part(json.dumps(claims).encode())}"
    return f"{text}.{_part(_signature(algorithm, text.encode(), key))}"


def _config(*credentials: Mapping[str, Any], **config: Any) -> dict[str, Any]:
    plugin = {"name": "jwt", "config": config}
    service = {"name": "s", "url": "http://127.0.0.1:<echo-port>", "routes": [{"name": "r", "paths": ["/"]}]}
    consumer = {"username": "bob", "jwt_secrets": list(credentials)}
    return {"_format_version": "3.0", "consumers": [consumer], "services": [{**service, "plugins": [plugin]}]}


def _status(running: Gateway, token: str) -> int | None:
    return running.send(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n").status


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


@pytest.fixture(scope="module")
def all_algorithms() -> Iterator[Gateway]:
    credentials = [{"key": name, "algorithm": name, "rsa_public_key": _pem(_key(name))} for name in _ASYMMETRIC]
    credentials += [{"key": name, "algorithm": name, "secret": _SECRET.decode()} for name in _SYMMETRIC]
    with gateway(_config(*credentials)) as running:
        assert running.node.applied.issues == []
        yield running


@pytest.mark.parametrize("algorithm", [*_ASYMMETRIC, *_SYMMETRIC])
def test_a_token_of_each_algorithm_is_checked(algorithm: str, all_algorithms: Gateway) -> None:
    key = _SECRET if algorithm in _SYMMETRIC else _key(algorithm)
    token = _token(algorithm, {"iss": algorithm}, key)
    assert _status(all_algorithms, token) == 200
    head, claims, signature = token.split(".")
    assert (
        _status(all_algorithms, f"{head}.{_part(json.dumps({'iss': algorithm, 'a': 1}).encode())}.{signature}") == 401
    )
    flipped = bytearray(base64.urlsafe_b64decode(signature + "=="))
    flipped[5] ^= 1
    assert _status(all_algorithms, f"{head}.{claims}.{_part(bytes(flipped))}") == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_never_a_secret(algorithm: str, all_algorithms: Gateway) -> None:
    forged = _token("HS256", {"iss": algorithm}, _pem(_key(algorithm)).encode())
    assert _status(all_algorithms, forged) == 401


def test_a_key_in_the_form_of_rsa_alone_is_read() -> None:
    key = _key("RS256")
    pem = _pem(key, PublicFormat.PKCS1)
    with gateway(_config({"key": "k", "algorithm": "RS256", "rsa_public_key": pem})) as running:
        assert _status(running, _token("RS256", {"iss": "k"}, key)) == 200


def test_a_secret_may_be_base64_in_either_alphabet() -> None:
    secret = hashlib.sha512(b"seed 3").digest()
    plain, url = base64.b64encode(secret).decode(), _part(secret)
    assert plain.rstrip("=") != url
    credentials = [{"key": "plain", "secret": plain}, {"key": "url", "secret": url}]
    with gateway(_config(*credentials, secret_is_base64=True)) as running:
        for key in ("plain", "url"):
            assert _status(running, _token("HS256", {"iss": key}, secret)) == 200
            assert _status(running, _token("HS256", {"iss": key}, plain.encode())) == 401


def test_a_key_that_cannot_be_used_is_reported_and_refuses_its_own_tokens_alone() -> None:
    weak, curve = rsa.generate_private_key(65537, 1024), ed448.Ed448PrivateKey.generate()
    good = _key("RS256")
    credentials = [
        {
            "id": "11111111-1111-4111-8111-111111111111",
            "key": "weak",
            "algorithm": "RS256",
            "rsa_public_key": _pem(weak),
        },
        {"key": "other", "algorithm": "RS256", "rsa_public_key": _pem(_key("ES256"))},
        {"key": "curve", "algorithm": "EdDSA", "rsa_public_key": _pem(curve)},
        {"key": "good", "algorithm": "RS256", "rsa_public_key": _pem(good)},
    ]
    with gateway(_config(*credentials)) as running:
        issues = {issue["message"] for issue in running.node.applied.issues}
        assert len(issues) == 3
        expected = "jwt_secrets 11111111-1111-4111-8111-111111111111: rsa_public_key: an RSA key has 2048 to 8192 bits"
        assert any(message.startswith(expected) for message in issues)
        assert _status(running, _token("RS256", {"iss": "weak"}, weak)) == 401
        assert _status(running, _token("EdDSA", {"iss": "curve"}, curve)) == 401
        assert _status(running, _token("RS256", {"iss": "good"}, good)) == 200


def test_times_are_those_of_the_node() -> None:
    now = time.time()
    config = _config({"key": "k", "secret": _SECRET.decode()}, claims_to_verify=["exp", "nbf"], maximum_expiration=3600)
    with gateway(config) as running:
        for exp, nbf, status in [
            (now + 600, now - 600, 200),
            (now - 600, now - 900, 401),
            (now + 900, now + 600, 401),
            (now + 7200, now - 600, 401),
        ]:
            assert _status(running, _token("HS256", {"iss": "k", "exp": exp, "nbf": nbf}, _SECRET)) == status
