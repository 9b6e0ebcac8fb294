"""Where an auth plugin cannot do its work, or is asked in a roundabout way, nobody is let in."""

from __future__ import annotations

import base64
import hmac
import itertools
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from tests.hardness.frames import DATA, END_HEADERS, END_STREAM, HEADERS, FrameWire, block, frame, request
from tests.hardness.gateway import Gateway, declared, serving
from tests.hardness.recorded import RecordingUpstream
from tests.hardness.wire import ask

from twinplane import _dataplane  # noqa: TID251 - the core says what it refuses

KEY = "apikey: right"
BASIC = "Authorization: Basic " + base64.b64encode(b"bob:right").decode()
WRONG_BASIC = "Authorization: Basic " + base64.b64encode(b"bob:wrong").decode()
TOKEN = "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJvd24iLCJleHAiOjF9.c2lnbmF0dXJl"
SIGNATURE = 'Authorization: hmac username="a", algorithm="hmac-sha256", headers="date host", signature="YWJjZA=="'
# What the readers of credentials take for something, and bytes that are no text.
MARKS = b"=\"', :.-_%\t\xff\x80;{}[]()A0z/+"
AUTH_PLUGINS = ["key-auth", "basic-auth", "hmac-auth", "jwt"]
# These guard, and have no behaviour on this node.
UNKNOWN_GUARDS = ["ldap-auth", "oauth2", "session"]
BAD_PATTERN = {"name": "bot-detection", "config": {"deny": ["(?<!a)b"]}}
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BAD_TEMPLATE = {"name": "request-transformer", "config": {"add": {"headers": ["X-A:$((function() return 1 end)())"]}}}
GONE = "5b1b0f9e-97a8-4c1b-8d4b-6a1b8f0c2d11"


def route(name: str, *plugins: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """A route with plugins of its own."""
    return {"name": name, "paths": [f"/{name}"], "strip_path": False, "plugins": list(plugins), **own}


def config(upstream: RecordingUpstream) -> dict[str, Any]:
    """Routes that are guarded in all ways that can go wrong, each by itself."""
    ldap = {"ldap_host": "127.0.0.1", "ldap_port": 1, "base_dn": "dc=a", "attribute": "cn"}
    own: dict[str, dict[str, Any]] = {"ldap-auth": ldap, "oauth2": {"enable_client_credentials": True}, "session": {}}
    key, basic = {"name": "key-auth"}, {"name": "basic-auth"}
    lenient = {"config": {"anonymous": "nobody"}}
    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [
                    route("sentinel-"),
                    route("open"),
                    *(route(f"gone-{name}", {"name": name, "config": {"anonymous": GONE}}) for name in AUTH_PLUGINS),
                    *(route(f"absent-{name}", {"name": name, "config": own[name]}) for name in UNKNOWN_GUARDS),
                    route("pattern", BAD_PATTERN),
                    route("observed", {"name": "zipkin", "config": {"http_endpoint": "http://127.0.0.1:1/"}}),
                    route("key", key),
                    route("in-body", {"name": "key-auth", "config": {"key_in_body": True, "key_in_query": False}}),
                    route("token", {"name": "jwt"}),
                    route("basic", basic),
                    route("signed", {"name": "hmac-auth"}),
                    route("both", key, basic),
                    route("either", key | lenient, basic | lenient, {"name": "acl", "config": {"allow": ["known"]}}),
                    route("key-at-least", key, basic | lenient),
                    route("basic-at-least", key | lenient, basic),
                    route("preflight", {"name": "key-auth", "config": {"run_on_preflight": False}}),
                    route("members", {"name": "acl", "config": {"allow": ["known"]}}),
                    route(
                        "early-acl",
                        key,
                        {
                            "name": "acl",
                            "config": {"allow": ["known"]},
                            "ordering": {"before": {"access": ["key-auth"]}},
                        },
                    ),
                    route(
                        "late-key",
                        key | {"ordering": {"after": {"access": ["request-transformer"]}}},
                        {"name": "request-transformer", "config": {"remove": {"headers": ["apikey"]}}},
                    ),
                    route("conditional", key | {"condition": 'http.path ^= "/conditional/admin"'}),
                    route("of-bob", key, {"name": "basic-auth", "config": {"anonymous": "alice"}}),
                ],
            },
            {
                "name": "guarded",
                "url": f"http://127.0.0.1:{upstream.port}",
                "routes": [route("by-service")],
                "plugins": [BAD_PATTERN],
            },
        ],
        "consumers": [
            {"username": "alice", "keyauth_credentials": [{"key": "right"}], "acls": [{"group": "known"}]},
            {
                "username": "bob",
                "basicauth_credentials": [{"username": "bob", "password": "right"}],
                "acls": [{"group": "known"}],
            },
            {"username": "nobody"},
            {
                "username": "carol",
                "keyauth_credentials": [{"key": "carol"}],
                "plugins": [{"name": "rate-limiting", "config": {"year": 100}}, BAD_TEMPLATE],
            },
            {
                "username": "dave",
                "jwt_secrets": [
                    {"key": "unreadable", "algorithm": "RS256", "rsa_public_key": PUBLIC_KEY},
                    {"key": "own", "secret": "x" * 32},
                ],
            },
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }


# RSA of 1,024 bits: too short to be of use.
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdlatRjRjogo3WojgGHFHYLugd
UWAY9iR3fy4arWNA1KoS8kVw33cJibXr8bvwUAUparCwlvdbH6dvEOfou0/gCFQs
HUfQrSDv+MuSUMAe8jzKE4qW+jK+xQU9a03GUnKHkkle+Q0pX/g6jXZ7r1/xAK5D
o2kQ+X5xK9cipRgEKwIDAQAB
-----END PUBLIC KEY-----
"""


@pytest.fixture(scope="module")
def gateway(upstream: RecordingUpstream) -> Iterator[Gateway]:
    with serving(upstream, config(upstream)) as found:
        yield found


def sent(target: str, *lines: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a.example", *lines]).encode() + b"\r\n\r\n"


def posted(target: str, kind: str, body: bytes) -> bytes:
    """A request with a body."""
    return sent(target, f"Content-Type: {kind}", f"Content-Length: {len(body)}", method="POST") + body


def refused(gateway: Gateway, data: bytes, *statuses: int) -> None:
    """Nothing of it is forwarded; it is logged as refused, and as nobody's."""
    gateway.forget()
    answer = ask(gateway.port, data)
    assert answer.status in statuses
    assert gateway.settled() == []
    (entry,) = [each for each in gateway.log_entries(2) if "/sentinel-" not in each["request"]["uri"]]
    assert entry["response"]["status"] in statuses
    assert "consumer" not in entry
    assert "authenticated_entity" not in entry
    (record,) = [each for each in gateway.records(2) if "/sentinel-" not in each.path]
    assert (record.status, record.source) == (answer.status, "kong")


def passed(gateway: Gateway, data: bytes) -> str:
    """It is forwarded; in whose name."""
    gateway.forget()
    assert ask(gateway.port, data).status == 200
    (forwarded,) = gateway.settled()
    (who,) = forwarded.values("x-consumer-username") or [""]
    return who


# --- what is missing ---


@pytest.mark.parametrize("plugin", AUTH_PLUGINS)
def test_a_stand_in_that_is_not_there_lets_nobody_in(gateway: Gateway, plugin: str) -> None:
    for lines in ([], ["apikey: wrong"], [WRONG_BASIC], ["Authorization: Bearer a.b.c"]):
        refused(gateway, sent(f"/gone-{plugin}", *lines), 500)


@pytest.mark.parametrize("plugin", UNKNOWN_GUARDS)
def test_a_guard_without_behaviour_lets_nobody_in(gateway: Gateway, plugin: str) -> None:
    for lines in ([], [KEY], [BASIC]):
        refused(gateway, sent(f"/absent-{plugin}", *lines), 503)


def test_a_guard_that_could_not_be_built_lets_nobody_in(gateway: Gateway) -> None:
    for target in ("/pattern", "/by-service"):
        refused(gateway, sent(target), 503)
        refused(gateway, sent(target, KEY, "User-Agent: curl"), 503)
    # Scoped to a consumer it guards that one alone, whatever the route.
    gateway.forget()
    assert ask(gateway.port, sent("/key", "apikey: carol")).status == 503
    assert gateway.settled() == []
    assert passed(gateway, sent("/key", KEY)) == "alice"


def test_what_only_looks_on_may_be_missing(gateway: Gateway) -> None:
    assert passed(gateway, sent("/observed")) == ""


def test_a_key_that_is_of_no_use_proves_nothing(gateway: Gateway) -> None:
    def token(issuer: str, algorithm: str, signature: str) -> str:
        parts = [f'{{"alg":"{algorithm}"}}', f'{{"iss":"{issuer}"}}', signature]
        return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)

    for algorithm, signature in itertools.product(("RS256", "HS256", "none"), ("", "x", "x" * 128)):
        refused(gateway, sent("/token", f"Authorization: Bearer {token('unreadable', algorithm, signature)}"), 401)


def test_a_secret_of_nothing_proves_nothing(upstream: RecordingUpstream) -> None:
    """Padding alone is the base64 of no byte: with it as the key everybody could sign."""
    secrets = [{"key": secret, "secret": secret} for secret in ("=", "==", "====")]
    plugin = {"name": "jwt", "config": {"secret_is_base64": True}}
    service = {"url": f"http://127.0.0.1:{upstream.port}", "routes": [route("token", plugin), route("sentinel-")]}
    consumers = [{"username": "nobody", "jwt_secrets": secrets}]
    with serving(upstream, {"services": [service], "consumers": consumers}) as gateway:
        for secret in secrets:
            parts = [b'{"alg":"HS256"}', b'{"iss":"' + secret["key"].encode() + b'"}']
            signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
            proof = base64.urlsafe_b64encode(hmac.digest(b"", signed, "sha256")).rstrip(b"=")
            token = f"Authorization: Bearer {(signed + b'.' + proof).decode()}"
            assert ask(gateway.port, sent("/token", token)).status == 401
        assert gateway.settled() == []


def test_a_configuration_that_is_refused_leaves_the_guards(gateway: Gateway, upstream: RecordingUpstream) -> None:
    wrong = config(upstream)
    wrong["services"][0]["routes"] = [route("key")]
    table = declared(wrong).replace(b'"carol"', b'"mallory"')
    broken = table[:-1]
    dangling = table.replace(
        b'"keyauth_credentials":[{', b'"keyauth_credentials":[{"consumer":{"id":"gone"},"id":"x"},{', 1
    )
    for each in (broken, dangling):
        assert each != table
        with pytest.raises(_dataplane.ApplyError):
            gateway.core.apply(each)
        refused(gateway, sent("/key"), 401)
        assert passed(gateway, sent("/key", KEY)) == "alice"


# --- several of them ---


def test_of_several_that_are_required_each_is(gateway: Gateway) -> None:
    for lines in ([], [KEY], [BASIC], [KEY, WRONG_BASIC], ["apikey: wrong", BASIC]):
        refused(gateway, sent("/both", *lines), 401)
    assert passed(gateway, sent("/both", KEY, BASIC)) == "bob"


def test_of_several_of_which_one_is_enough_one_is_needed(gateway: Gateway) -> None:
    assert passed(gateway, sent("/either", KEY)) == "alice"
    assert passed(gateway, sent("/either", BASIC)) == "bob"
    assert passed(gateway, sent("/either", "apikey: wrong", BASIC)) == "bob"
    for lines in ([], ["apikey: wrong"], [WRONG_BASIC], ["apikey: wrong", WRONG_BASIC]):
        gateway.forget()
        assert ask(gateway.port, sent("/either", *lines)).status == 401
        assert gateway.settled() == []


def test_one_that_is_optional_makes_none_optional_beside_it(gateway: Gateway) -> None:
    for lines in ([], ["apikey: wrong"], [BASIC], ["apikey: wrong", BASIC]):
        refused(gateway, sent("/key-at-least", *lines), 401)
        refused(gateway, sent("/of-bob", *lines), 401)
    assert passed(gateway, sent("/key-at-least", KEY)) == "alice"
    assert passed(gateway, sent("/key-at-least", KEY, WRONG_BASIC)) == "alice"
    for lines in ([], [KEY], [KEY, WRONG_BASIC]):
        refused(gateway, sent("/basic-at-least", *lines), 401)
    assert passed(gateway, sent("/basic-at-least", BASIC)) == "bob"


def test_groups_without_anybody_are_no_way_in(gateway: Gateway) -> None:
    claims = ["X-Consumer-Groups: known", "X-Authenticated-Groups: known", "X_Consumer_Groups: known"]
    refused(gateway, sent("/members", *claims, KEY, BASIC), 401)
    # Asked before anybody is known it refuses; the order does not turn it off.
    refused(gateway, sent("/early-acl", *claims, KEY), 401)


def test_a_credential_that_is_taken_away_first_is_none(gateway: Gateway) -> None:
    refused(gateway, sent("/late-key", KEY), 401)


# --- roundabout ways ---

ODD_PLACES: dict[str, bytes] = {
    "twice": sent("/key", KEY, KEY),
    "twice in the query": sent("/key?apikey=right&apikey=right"),
    "right and wrong": sent("/key", KEY, "apikey: wrong"),
    "wrong and right": sent("/key", "apikey: wrong", KEY),
    "a header wrong, the query right": sent("/key?apikey=right", "apikey: wrong"),
    "a header empty, the query right": sent("/key?apikey=right", "apikey:"),
    "a list": sent("/key", "apikey: right, wrong"),
    "a cookie": sent("/key", "Cookie: apikey=right"),
    "the path": sent("/key;apikey=right"),
    "the path, escaped": sent("/key%3Fapikey=right"),
    "an array of the query": sent("/key?apikey[]=right"),
    "another case in the query": sent("/key?APIKEY=right"),
    "another name": sent("/key", "api-key: right"),
    "a name with a mark before it": sent("/key", "-apikey: right"),
    "Authorization": sent("/key", "Authorization: right"),
    "a body that is not looked into": posted("/key", FORM, b"apikey=right"),
    "a trailer": sent("/key", "Transfer-Encoding: chunked", "Trailer: apikey", method="POST")
    + b"0\r\napikey: right\r\n\r\n",
    "a query that is not looked into": sent("/in-body?apikey=right"),
    "an array of a body": posted("/in-body", JSON, b'{"apikey":["right"]}'),
    "an object of a body": posted("/in-body", JSON, b'{"apikey":{"a":"right"}}'),
    "an array as a body": posted("/in-body", JSON, b'[{"apikey":"right"}]'),
    "a body that is cut": posted("/in-body", JSON, b'{"apikey":"right"'),
    "a body deeper than anybody reads": posted("/in-body", JSON, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    "a body of another kind": posted("/in-body", "text/plain", b"apikey=right"),
    "null": posted("/in-body", JSON, b'{"apikey":null}'),
    "spaces within": sent("/key", "apikey: ri ght"),
    "an empty one": sent("/key", "apikey:"),
    "a percent": sent("/key", "apikey: %72ight"),
    "no such method": sent("/key", method="GETX"),
    "the method of preflights": sent("/key", method="OPTIONS"),
    "a method that asks for another": sent("/key", "X-HTTP-Method-Override: OPTIONS", method="POST"),
}


@pytest.mark.parametrize("name", ODD_PLACES)
def test_a_credential_counts_where_it_belongs_alone(gateway: Gateway, name: str) -> None:
    refused(gateway, ODD_PLACES[name], 400, 401)


@pytest.mark.parametrize("line", [KEY, BASIC, TOKEN, SIGNATURE])
def test_a_credential_with_damage_is_refused_or_read(gateway: Gateway, line: str) -> None:
    """Whatever a client writes in the place of one, the gateway never fails inside."""
    random = Random(line)
    name = {KEY: "key", BASIC: "basic", TOKEN: "token", SIGNATURE: "signed"}[line]
    statuses = set()
    for _ in range(200):
        damaged = bytearray(line.encode())
        for _ in range(random.randint(1, 4)):
            at, byte = random.randrange(len(damaged)), random.choice(MARKS)
            damaged[at : at + random.randint(0, 1)] = bytes([byte]) * random.choice([0, 1, 1, 40])
        data = f"GET /{name} HTTP/1.1\r\nHost: a\r\n".encode() + bytes(damaged) + b"\r\n\r\n"
        statuses.add(ask(gateway.port, data).status)
    assert statuses <= {200, 400, 401}
    assert gateway.core.status().invariant_broken == 0


def test_a_trailer_of_http2_is_no_header(gateway: Gateway) -> None:
    gateway.forget()
    with FrameWire(gateway.h2_port) as wire:
        wire.send(
            frame(HEADERS, END_HEADERS, 1, block(request(path=b"/key", method=b"POST")))
            + frame(DATA, 0, 1, b"x")
            + frame(HEADERS, END_HEADERS | END_STREAM, 1, block([(b"apikey", b"right")]))
        )
        assert wire.reply(1).status == 401
    assert gateway.settled() == []


def test_a_first_header_that_is_wrong_is_not_made_good_by_another(gateway: Gateway) -> None:
    refused(gateway, sent("/both", KEY, WRONG_BASIC, BASIC), 400)
    refused(gateway, sent("/both", KEY, WRONG_BASIC.replace("Auth", "Proxy-Auth", 1), BASIC), 401)


def test_every_method_is_asked(gateway: Gateway) -> None:
    for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"):
        gateway.forget()
        assert ask(gateway.port, sent("/key", method=method), is_head=method == "HEAD").status in {400, 401, 405}
        assert gateway.settled() == []
    # A preflight passes where that is configured: as nobody's, whatever it shows and claims.
    claims = ["X-Consumer-Username: alice", "X_Consumer_Id: 1"]
    assert passed(gateway, sent("/preflight", *claims, KEY, method="OPTIONS")) == ""
    refused(gateway, sent("/preflight", method="GET"), 401)


@pytest.mark.parametrize(
    "path",
    [
        "/conditional/admin",
        "/conditional/%61dmin",
        "/conditional//admin",
        "/conditional/./admin",
        "/conditional/x/../admin/",
    ],
)
def test_no_spelling_of_a_path_evades_a_condition(gateway: Gateway, path: str) -> None:
    refused(gateway, sent(path), 401)
    assert passed(gateway, sent("/conditional/else")) == ""
