"""signed-token through a real gateway, and the example of its page."""

import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from signed_token import SignedToken

from twinplane.testing import Gateway, gateway

PAGE = Path(__file__).resolve().parents[1] / "README.md"
SECRET = "s3cret"


def token(custom_id: str, *, seconds: int = 60, secret: str = SECRET) -> str:
    signed = f"{custom_id}.{int(time.time()) + seconds}"
    return f"{signed}.{hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()}"


def document(**config: object) -> dict[str, Any]:
    return {
        "_format_version": "3.0",
        "consumers": [
            {"username": "bob", "custom_id": "shop-7", "acls": [{"group": "shops"}]},
            {"username": "visitor"},
        ],
        "services": [{"name": "s", "url": "http://<upstream>", "routes": [{"name": "r", "paths": ["/"]}]}],
        "plugins": [{"name": "signed-token", "config": {"secret": SECRET, **config}}],
    }


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(document(hide_credentials=True), plugins=[SignedToken]) as running:
        yield running


def test_a_signed_token_says_who_asks(gw: Gateway) -> None:
    given = token("shop-7")
    told = gw.get("/", X_Token=given, X_Consumer_Username="evil").json()["headers"]
    assert (told["X-Consumer-Username"], told["X-Consumer-Custom-ID"]) == ("bob", "shop-7")
    assert told["X-Credential-Identifier"] == "shop-7"
    assert "X-Token" not in told


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", token("nobody"), token("shop-7", seconds=-60), token("shop-7", secret="other")],
    ids=["none", "nonsense", "nobody", "spent", "forged"],
)
def test_anything_else_is_refused(gw: Gateway, given: str) -> None:
    refused = gw.get("/", X_Token=given)
    assert (refused.status, refused.header("WWW-Authenticate")) == (401, "SignedToken")


def test_the_example_of_the_page_runs() -> None:
    shown = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    text = shown[1].replace("127.0.0.1:9100", "<upstream>")
    with gateway(text, plugins=[SignedToken], environ={"TOKEN_SECRET": SECRET}) as gw:
        known = gw.get("/books", X_Token=token("shop-7"))
        assert known.json()["headers"]["X-Consumer-Username"] == "bookshop"
        assert known.header("X-RateLimit-Limit-Minute") is None
        visitor = gw.get("/books")
        assert visitor.json()["headers"]["X-Anonymous-Consumer"] == "true"
        assert visitor.header("X-RateLimit-Limit-Minute") == "5"
