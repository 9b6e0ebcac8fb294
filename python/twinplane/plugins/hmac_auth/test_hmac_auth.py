"""hmac-auth through a real gateway: its vectors, the example of its page, and signatures made now."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate

import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, gateway, play, vector_cases

from twinplane import _dataplane  # noqa: TID251  # what a node refuses is told by its core

_SECRET = b"a-long-random-text"
_CONFIG = """
_format_version: "3.0"
consumers:
  - {username: bob, hmacauth_credentials: [{username: bob, secret: a-long-random-text}]}
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/], request_buffering: false}]
    plugins:
      - name: hmac-auth
        config: {validate_request_body: true, enforce_headers: [date, "@request-target"], clock_skew: 3600}
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


@pytest.fixture(scope="module")
def running() -> Iterator[Gateway]:
    with gateway(_CONFIG) as started:
        yield started


def _request(
    method: str,
    target: str,
    *,
    signed: Sequence[str] = ("date", "@request-target", "digest"),
    body: bytes = b"",
    date: str | None = None,
    digest_of: bytes | None = None,
    algorithm: str = "sha256",
    more: str = "",
) -> str:
    told = body if digest_of is None else digest_of
    values = {
        "date": date or formatdate(usegmt=True),
        "digest": "SHA-256=" + base64.b64encode(hashlib.sha256(told).digest()).decode(),
        "host": "a",
    }
    lines = {
        **{name: f"{name}: {value}" for name, value in values.items()},
        "request-line": f"{method} {target} HTTP/1.1",
        "@request-target": f"@request-target: {method.lower()} {target}",
    }
    text = "\n".join(lines[name] for name in signed)
    signature = base64.b64encode(hmac.new(_SECRET, text.encode(), algorithm).digest()).decode()
    shown = f'hmac username="bob", algorithm="hmac-{algorithm}", headers="{" ".join(signed)}", signature="{signature}"'
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nDate: {values['date']}\r\nDigest: {values['digest']}\r\n"
    return f"{head}Authorization: {shown}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body.decode()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_signature_of_each_algorithm_is_checked(running: Gateway, algorithm: str) -> None:
    request = _request("POST", "/a?b=1", body=b"hello", algorithm=algorithm)
    assert running.send(request).status == 200
    arrival = running.received()
    assert arrival is not None
    assert arrival.body == b"hello"
    assert ("X-Consumer-Username", "bob") in arrival.headers
    for moved in (
        request.replace("/a?b=1", "/a?b=2"),
        request.replace("POST", "PUT"),
        request.replace("hello", "jello"),
    ):
        assert running.send(moved).status == 401
        assert running.received() is None


def test_what_must_be_signed_must_be_signed(running: Gateway) -> None:
    assert running.send(_request("GET", "/", signed=["date", "@request-target", "host"])).status == 200
    for signed in (["date"], ["@request-target"], ["date", "request-line"]):
        answer = running.send(_request("GET", "/", signed=signed))
        assert answer.status == 401
        assert b"HMAC signature cannot be verified" in answer.body


def test_an_old_signature_is_refused(running: Gateway) -> None:
    for seconds in (-7200, 7200):
        answer = running.send(_request("GET", "/", date=formatdate(time.time() + seconds, usegmt=True)))
        assert answer.status == 401
        assert b"a valid date or x-date header is required" in answer.body


def test_a_body_that_is_not_as_told_is_refused(running: Gateway) -> None:
    answer = running.send(_request("POST", "/", body=b"hello", digest_of=b"other"))
    assert answer.status == 401
    assert b"HMAC signature does not match" in answer.body
    large = b"x" * (8 * 1_048_576 + 1)
    assert running.send(_request("POST", "/", body=large)).status == 401


def test_a_configuration_without_algorithms_is_refused_with_its_path() -> None:
    config = """
    _format_version: "3.0"
    plugins: [{name: hmac-auth, id: 4f1c2b9e-55f0-4b0e-8f5e-3a3f3d3f4b11, config: {algorithms: null}}]
    """
    with pytest.raises(_dataplane.ApplyError, match=r"4f1c2b9e.*config\.algorithms: required"), gateway(config):
        pass
