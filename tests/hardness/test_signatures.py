"""What a secret proves: signatures cover what is configured, for a while; secrets are compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from tests.hardness.frames import FrameWire, request
from tests.hardness.gateway import Gateway, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import ask

SECRET = b"a secret of thirty-two bytes, say"
SKEW_S = 300
ROOT = Path(__file__).parents[2]


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """A route for each strictness."""

    def route(name: str, **own: Any) -> dict[str, Any]:
        plugin = {"name": "hmac-auth", "config": {"clock_skew": SKEW_S, **own}}
        return {"name": name, "paths": [f"/{name}"], "strip_path": False, "plugins": [plugin]}

    all_of_it = ["date", "@request-target", "host", "digest"]
    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [
                    {"name": "last", "paths": ["/sentinel-"], "strip_path": False},
                    route("loose"),
                    route("whole", enforce_headers=all_of_it, validate_request_body=True, algorithms=["hmac-sha256"]),
                ],
            }
        ],
        "consumers": [
            {"username": "alice", "hmacauth_credentials": [{"username": "alice", "secret": SECRET.decode()}]}
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, config(upstream)) as found:
        yield found


def dated(seconds: float = 0) -> str:
    """A date so far from now."""
    return formatdate(time.time() + seconds, usegmt=True)


def shown(signed: Sequence[str], text: str, *, algorithm: str = "sha256", secret: bytes = SECRET) -> str:
    """The header that shows a signature over a text."""
    signature = base64.b64encode(hmac.new(secret, text.encode(), algorithm).digest()).decode()
    return (
        f'Authorization: hmac username="alice", algorithm="hmac-{algorithm}", headers="{" ".join(signed)}", '
        f'signature="{signature}"'
    )


def whole(
    method: str = "POST",
    target: str = "/whole?a=1",
    body: bytes = b"hello",
    *,
    algorithm: str = "sha256",
    skew_s: float = 0,
) -> bytes:
    """A request of which everything is signed."""
    date, digest = dated(skew_s), "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"date: {date}\n@request-target: {method.lower()} {target}\nhost: a.example\ndigest: {digest}"
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: a.example",
        f"Date: {date}",
        f"Digest: {digest}",
        shown(["date", "@request-target", "host", "digest"], text, algorithm=algorithm),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def refused(gateway: Gateway, data: bytes, status: int = 401) -> None:
    """Nobody is let in by it."""
    gateway.forget()
    assert ask(gateway.port, data).status == status
    assert gateway.settled() == []


def passed(gateway: Gateway, data: bytes) -> None:
    """It is forwarded as alice's."""
    gateway.forget()
    assert ask(gateway.port, data).status == 200
    (forwarded,) = gateway.settled()
    assert forwarded.values("x-consumer-username") == ["alice"]


CHANGES: dict[str, tuple[bytes, bytes]] = {
    "the method": (b"POST /whole", b"PUT /whole"),
    "the path": (b"/whole?a=1 ", b"/whole/?a=1 "),
    "the spelling of the path": (b"/whole?a=1 ", b"/whol%65?a=1 "),
    "the query": (b"a=1 ", b"a=2 "),
    "more of a query": (b"a=1 ", b"a=1&b=2 "),
    "the host": (b"Host: a.example", b"Host: b.example"),
    "the body": (b"hello", b"jello"),
    "the body and its length": (b"5\r\n\r\nhello", b"6\r\n\r\nhello!"),
    "the digest": (b"SHA-256=", b"SHA-512="),
    "the algorithm": (b"hmac-sha256", b"hmac-sha1"),
    "the user": (b'username="alice"', b'username="bob"'),
    "what is signed": (b'digest", ', b'x-digest", '),
    "less that is signed": (b" host digest", b""),
    "the signature": (b'signature="', b'signature="A'),
    "an empty signature": (b'signature="', b'signature="" x="'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_signed_cannot_be_changed(gateway: Gateway, name: str) -> None:
    passed(gateway, whole())
    before, after = CHANGES[name]
    changed = whole().replace(before, after)
    assert changed != whole()
    refused(gateway, changed)


def test_an_algorithm_that_is_not_listed_is_refused(gateway: Gateway) -> None:
    for algorithm in ("sha1", "sha384", "sha512"):
        refused(gateway, whole(algorithm=algorithm))


@pytest.mark.parametrize("skew_s", [-10 * SKEW_S, -SKEW_S - 60, SKEW_S + 60, 10 * SKEW_S])
def test_a_signature_is_good_for_a_while(gateway: Gateway, skew_s: float) -> None:
    refused(gateway, whole(skew_s=skew_s))
    passed(gateway, whole(skew_s=skew_s / abs(skew_s) * (SKEW_S - 120)))


@pytest.mark.parametrize("signed", ["date", "x-date"])
def test_a_date_that_is_not_signed_renews_no_signature(gateway: Gateway, signed: str) -> None:
    """A request that was overheard would else be good for ever: with the other header beside it, written anew."""
    old, other = dated(-10 * SKEW_S), "x-date" if signed == "date" else "date"
    replayed = ["GET /loose HTTP/1.1", "Host: a", f"{signed}: {old}", shown([signed], f"{signed}: {old}")]
    for more in ([], [f"{other}: {dated()}"], [f"{signed}: {dated()}"]):
        refused(gateway, "\r\n".join([*replayed, *more]).encode() + b"\r\n\r\n")
        refused(gateway, "\r\n".join([replayed[0], *more, *replayed[1:]]).encode() + b"\r\n\r\n")
    now = dated()
    fresh = ["GET /loose HTTP/1.1", "Host: a", f"{signed}: {now}", shown([signed], f"{signed}: {now}")]
    passed(gateway, "\r\n".join([*fresh, f"{other}: {old}"]).encode() + b"\r\n\r\n")


def test_a_header_that_is_signed_is_there_once(gateway: Gateway) -> None:
    """Of two values one would be signed, and the other one taken by whoever reads the last."""
    date = dated()
    text = f"date: {date}\nx-sum: 10"
    lines = ["GET /loose HTTP/1.1", "Host: a", f"Date: {date}", shown(["date", "x-sum"], text)]
    passed(gateway, "\r\n".join([*lines, "X-Sum: 10"]).encode() + b"\r\n\r\n")
    for more in (["X-Sum: 10", "X-Sum: 99"], ["X-Sum: 99", "X-Sum: 10"], ["X-Sum: 10", "x-sum:"]):
        refused(gateway, "\r\n".join([*lines, *more]).encode() + b"\r\n\r\n")


def test_two_signatures_are_one_too_many(gateway: Gateway) -> None:
    good = whole()
    (line,) = re.findall(rb"Authorization: [^\r]*", good)
    bad = line.replace(b'signature="', b'signature="A')
    refused(gateway, good.replace(line, bad + b"\r\n" + line), 400)
    refused(gateway, good.replace(line, bad.replace(b"Auth", b"Proxy-Auth", 1) + b"\r\n" + line))


def test_a_signature_over_http2_covers_the_same(gateway: Gateway) -> None:
    date = dated()
    text = f"date: {date}\n@request-target: get /loose?a=1\nhost: a.example"
    name, _, value = shown(["date", "@request-target", "host"], text).partition(": ")
    fields = [(b"date", date.encode()), (name.lower().encode(), value.encode())]
    with FrameWire(gateway.h2_port) as wire:
        for stream, path, status in ((1, b"/loose?a=1", 200), (3, b"/loose?a=2", 401)):
            wire.ask(stream, request(*fields, path=path))
            assert wire.reply(stream).status == status


# Places that decide by a secret, and what each does it with. Any other way of comparing there has to be looked at.
COMPARED = {
    "basic_auth/filter.rs": ".ct_eq(",
    "hmac_auth/signed.rs": "hmac::verify(",
    "jwt/filter.rs": "hmac::verify(",
}
# A key is found by a hash that is keyed anew in every process: how far a guess is right does not show.
LOOKED_UP = {"key_auth/filter.rs": "snapshot.keyauth.get(", "basic_auth/filter.rs": "credentials.basic.get("}


def test_secrets_are_compared_in_the_same_time() -> None:
    plugins = ROOT / "python/twinplane/plugins"
    for file, way in {**COMPARED, **LOOKED_UP}.items():
        assert way in (plugins / file).read_text(encoding="utf-8"), file
    snapshot = (ROOT / "crates/engine/src/snapshot.rs").read_text(encoding="utf-8")
    assert "pub type Index<K, V> = HashMap<K, V, ahash::RandomState>;" in snapshot
    # What proves is named `proof`, `secret` or `password`: it stands beside no `==` in any plugin.
    beside = re.compile(r"\b(proof|secret|password)\s*[!=]=|[!=]=\s*[*&]*(\w+\.)*(proof|secret|password)\b(?!\.)")
    for source in plugins.glob("*/*.rs"):
        found = [line for line in source.read_text(encoding="utf-8").splitlines() if beside.search(line)]
        assert found == [], source
