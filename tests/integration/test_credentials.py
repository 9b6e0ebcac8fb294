"""Credentials on their way from the Admin API over the link to a node, and what a change of them does to requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest
from tests.integration.installation import Installation, Upstream, eventually, installation


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("credentials")) as found:
        assert found.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}"}).status == 200
        for plugin in ("basic-auth", "hmac-auth", "jwt"):
            assert found.admin("PUT", f"/services/s/routes/{plugin}", {"paths": [f"/{plugin}"]}).status == 200
            assert found.admin("POST", f"/routes/{plugin}/plugins", {"name": plugin}).status == 201
        assert found.admin("PUT", "/consumers/bob", {"custom_id": "b-1"}).status == 200
        yield found


def _create(up: Installation, kind: str, body: dict[str, str]) -> str:
    answer = up.admin("POST", f"/consumers/bob/{kind}", body)
    assert answer.status == 201, answer.body
    created: str = answer.json()["id"]
    return created


def _basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"bob:{password}".encode()).decode()}


def _signed(secret: str) -> dict[str, str]:
    date = formatdate(usegmt=True)
    signature = base64.b64encode(hmac.new(secret.encode(), f"date: {date}".encode(), "sha256").digest()).decode()
    shown = f'hmac username="bob", algorithm="hmac-sha256", headers="date", signature="{signature}"'
    return {"Date": date, "Authorization": shown}


def _bearer(secret: str) -> dict[str, str]:
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "typ": "JWT"}, {"iss": "bobs"})]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.new(secret.encode(), text, "sha256").digest()).rstrip(b"=")
    return {"Authorization": f"Bearer {(text + b'.' + signature).decode()}"}


@pytest.mark.parametrize(
    ("plugin", "body", "show"),
    [
        ("basic-auth", {"username": "bob", "password": "one-secret"}, _basic),
        ("hmac-auth", {"username": "bob", "secret": "one-secret"}, _signed),
        ("jwt", {"key": "bobs", "secret": "one-secret"}, _bearer),
    ],
)
def test_a_credential_is_of_use_until_it_is_changed_or_deleted(
    up: Installation, upstream: Upstream, plugin: str, body: dict[str, str], show: Callable[[str], dict[str, str]]
) -> None:
    def status(secret: str) -> int:
        return up.proxy("GET", f"/{plugin}", headers=show(secret)).status

    eventually(lambda: up.proxy("GET", f"/{plugin}").status == 401, seconds=60)
    created = _create(up, plugin, body)
    eventually(lambda: status("one-secret") == 200, seconds=60)
    told = {name.lower(): value for name, value in upstream.seen[-1][2].items()}
    assert told["x-consumer-username"] == "bob"
    assert told["x-consumer-custom-id"] == "b-1"
    assert status("other-secret") == 401
    field = "password" if plugin == "basic-auth" else "secret"
    changed = up.admin("PATCH", f"/consumers/bob/{plugin}/{created}", {field: "other-secret"})
    assert changed.status == 200, changed.body
    eventually(lambda: status("other-secret") == 200, seconds=60)
    eventually(lambda: status("one-secret") == 401, seconds=60)
    assert up.admin("DELETE", f"/consumers/bob/{plugin}/{created}").status == 204
    eventually(lambda: status("other-secret") == 401, seconds=60)


def test_a_password_leaves_as_a_hash_alone(up: Installation) -> None:
    created = _create(up, "basic-auth", {"username": "eve", "password": "never-to-be-seen"})
    shown = up.admin("GET", f"/consumers/bob/basic-auth/{created}").json()
    assert shown["password"] == hashlib.sha1(f"never-to-be-seen{shown['consumer']['id']}".encode()).hexdigest()
    kept = [path for path in up.data.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"never-to-be-seen" in path.read_bytes()]
