"""Authentication by plugins in Python: whom they recognise is who asks, for the upstream, other plugins and the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.pdk import Answer, Config, Context, Credential, Plugin, Request
from twinplane.testing import Gateway, gateway

entries: list[Mapping[str, Any]] = []


class WhoConfig(Config):
    """Who may come without a name."""

    anonymous: Annotated[str | None, "Consumer that others go on as."] = None


class Who(Plugin[WhoConfig]):
    """Believes whatever the request says."""

    name = "who"
    priority = 1300
    config_class = WhoConfig

    def access(self, request: Request, ctx: Context, config: WhoConfig) -> Answer | None:
        if request.is_settled(config.anonymous):
            return None
        by, _, value = (request.headers.get("X-I-Am") or "").partition("=")
        if by == "groups":
            request.authenticate(None, groups=value.split(","))
            return None
        if by == "broken":
            request.authenticate(ctx.consumers.by_username(value), Credential("c", "id\r\nX-Evil: 1"))
        find = {"id": ctx.consumers.by_id, "name": ctx.consumers.by_username, "custom": ctx.consumers.by_custom_id}
        found = find[by](value) if by in find else None
        if found is None:
            return request.unauthenticated(ctx.exit(401, {"message": "who?"}), config.anonymous)
        request.authenticate(found, Credential("credential-1", "shown"))
        return None

    def log(self, entry: Mapping[str, Any], config: WhoConfig) -> None:
        entries.append(entry)


class WhoAnonymously(Who):
    name = "who-anonymously"


class After(Plugin[Config]):
    """Sees what the plugin before found."""

    name = "after"
    priority = 10

    def access(self, request: Request, ctx: Context, config: Config) -> None:
        who = ctx.consumer.username if ctx.consumer else None
        request.headers["X-After"] = f"{who} {ctx.credential} {request.is_anonymous}"


PLUGINS = [Who, WhoAnonymously, After]


def document() -> dict[str, Any]:
    return {
        "_format_version": "3.0",
        "consumers": [
            {
                "id": "6c4e1a4e-9f38-4b6a-8e0b-0d4a4f8f1c11",
                "username": "bob",
                "custom_id": "b-1",
                "acls": [{"group": "members"}],
                "keyauth_credentials": [{"key": "bobs"}],
                "plugins": [
                    {"name": "request-size-limiting", "config": {"allowed_payload_size": 1, "size_unit": "bytes"}}
                ],
            },
            {"username": "nobody"},
        ],
        "services": [
            {
                "name": "s",
                "url": "http://<upstream>",
                "routes": [
                    {"name": "closed", "paths": ["/closed"], "plugins": [{"name": "who"}, {"name": "after"}]},
                    {
                        "name": "members",
                        "paths": ["/members"],
                        "plugins": [{"name": "who"}, {"name": "acl", "config": {"allow": ["members"]}}],
                    },
                    {
                        "name": "open",
                        "paths": ["/open"],
                        "plugins": [
                            {"name": "key-auth", "config": {"anonymous": "nobody"}},
                            {"name": "who-anonymously", "config": {"anonymous": "nobody"}},
                            {"name": "after"},
                        ],
                    },
                    {
                        "name": "gone",
                        "paths": ["/gone"],
                        "plugins": [{"name": "who", "config": {"anonymous": "not there"}}],
                    },
                ],
            }
        ],
    }


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(document(), plugins=PLUGINS) as running:
        yield running


@pytest.mark.parametrize("by", ["id=6c4e1a4e-9f38-4b6a-8e0b-0d4a4f8f1c11", "name=bob", "custom=b-1"])
def test_a_consumer_is_found_and_told_of(gw: Gateway, by: str) -> None:
    told = gw.get("/closed", X_I_Am=by, X_Consumer_Custom_ID="evil", X_Credential_Identifier="evil").json()["headers"]
    assert told["X-Consumer-Username"] == "bob"
    assert (told["X-Consumer-ID"], told["X-Consumer-Custom-ID"]) == ("6c4e1a4e-9f38-4b6a-8e0b-0d4a4f8f1c11", "b-1")
    assert told["X-Credential-Identifier"] == "shown"
    assert told["X-After"] == "bob ('who', 'credential-1') False"


def test_who_is_not_known_is_refused_and_no_copy_of_a_header_survives(gw: Gateway) -> None:
    refused = gw.get("/closed", X_I_Am="name=carol", X_Consumer_Username="bob")
    assert (refused.status, refused.json()) == (401, {"message": "who?"})


def test_the_plugins_of_the_consumer_run(gw: Gateway) -> None:
    assert gw.post("/closed", "xx", X_I_Am="name=bob").status == 413
    assert gw.post("/closed", "x", X_I_Am="name=bob").status == 200


def test_groups_are_those_that_acl_goes_by(gw: Gateway) -> None:
    assert gw.get("/members", X_I_Am="name=bob").json()["headers"]["X-Consumer-Groups"] == "members"
    vouched = gw.get("/members", X_I_Am="groups=members,others").json()["headers"]
    assert vouched["X-Authenticated-Groups"] == "members, others"
    assert "X-Credential-Identifier" not in vouched
    assert gw.get("/members", X_I_Am="groups=others").status == 401


def test_with_anonymous_one_credential_of_several_will_do(gw: Gateway) -> None:
    by_key = gw.get("/open", apikey="bobs").json()["headers"]
    assert by_key["X-Consumer-Username"] == "bob"
    assert by_key["X-After"].startswith("bob ('keyauth_credentials'")
    by_plugin = gw.get("/open", X_I_Am="name=bob").json()["headers"]
    assert by_plugin["X-After"] == "bob ('who-anonymously', 'credential-1') False"
    nobody = gw.get("/open", X_Consumer_ID="evil").json()["headers"]
    assert (nobody["X-Consumer-Username"], nobody["X-Anonymous-Consumer"]) == ("nobody", "true")
    assert nobody["X-After"] == "nobody None True"


def test_an_anonymous_consumer_that_is_not_there_fails_the_request(gw: Gateway) -> None:
    assert gw.get("/gone").status == 500


def test_a_credential_cannot_split_a_header(gw: Gateway) -> None:
    assert gw.get("/closed", X_I_Am="broken=bob").status == 500
    assert gw.get("/closed", X_I_Am="name=bob").status == 200


def test_the_log_tells_who_it_was(gw: Gateway) -> None:
    gw.get("/closed?logged", X_I_Am="name=bob")

    def logged() -> bool:
        return any(
            each["request"]["uri"] == "/closed?logged"
            and each["consumer"]["username"] == "bob"
            and each["authenticated_entity"]["id"] == "credential-1"
            for each in entries
        )

    eventually(logged)
