"""Recorded bodies with parts replaced by odd values: the answer is a refusal or a row, never a failure."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.asgi import Client
from tests.conformance.admin.recording import FOLDER, Binding, cases, fixtures
from tests.control_room import open_platform

from twinplane.api.admin import create_app

REQUESTS = 3000
SEED = 20

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"recordings are not at {FOLDER}")

_ID = "00000000-0000-4000-8000-000000000001"
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**64, 10**30, float("nan"), float("inf")),
    *("", "a", "\x00", "é", "\U0001f600", "a" * 5000, "{vault://env/x}", "1", "null", "\u2028", "%00"),
    *("http://[::1", "http://a:" + "9" * 5000, "~(", "~[", "[::1]:99999", "1.2.3.4/99", "*", "..", "/a//b", "/%zz"),
    *([], {}, [[]], [None], [{}], ["a", "a"], {"a": 1}, {"": ""}, {"id": None}, {"id": "x"}, {"id": _ID}),
    *({"name": []}, [["a", ["b"]]], {"a": {"b": {"c": [1, {}]}}}, _ID),
)
_NAMES = ("nosuch", "", "id", "@entity", "config", "\x00", "ttl", "updated_at")


def altered(value: Any, dice: random.Random) -> Any:
    """A value with one part of it replaced."""
    if not isinstance(value, dict | list) or not value or dice.random() < 0.25:
        return dice.choice(_ODD)
    if isinstance(value, list):
        place = dice.randrange(len(value))
        return [altered(inner, dice) if index == place else inner for index, inner in enumerate(value)]
    name, chance = dice.choice(list(value)), dice.random()
    if chance < 0.1:
        return {key: inner for key, inner in value.items() if key != name}
    if chance < 0.25:
        return {**value, dice.choice(_NAMES): dice.choice(_ODD)}
    return {**value, name: altered(value[name], dice)}


async def test_no_body_makes_a_handler_fail(tmp_path: Path) -> None:
    dice, binding = random.Random(SEED), Binding(fixtures())
    recorded = [step["request"] for case in cases() for step in case["steps"] if "body" in step.get("request", ())]
    with open_platform(tmp_path) as platform:
        app = create_app(platform.control, platform.default.scope)
        client = Client(app)
        for request in dice.sample(recorded, REQUESTS):
            body = json.dumps(altered(binding.fill(request["body"]), dice)).encode()
            path = binding.fill_path(request["path"])
            received = await client.call(request["method"], path, body)
            assert received.status < 500, f"{request['method']} {path} {body[:500]!r}: {received.body!r}"
        for collection in ("services", "routes", "plugins", "consumers", "upstreams", "certificates", "key-auths"):
            assert (await client.call("GET", f"/{collection}?size=1000")).status == 200
        app.close()
