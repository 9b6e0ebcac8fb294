"""`/config` where the node takes its time, refuses, or is about to stop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from twinplane.api.admin.dbless import Admission, DblessApp
from twinplane.api.core.message import Answer, Query, Request
from twinplane.control.declarative.entities import DeclaredEntities
from twinplane.hybrid.client import Outcome
from twinplane.hybrid.wire import FAULT_PARSE, Fault, Issue

NOBODY = "00000000-0000-4000-8000-000000000001"


class SlowNode:
    """Stands for the node: serves when it is let, and refuses where it is told to."""

    node_id = NOBODY

    def __init__(self) -> None:
        self.is_stopping = False
        self.is_asked, self.may_serve = threading.Event(), threading.Event()
        self.may_serve.set()
        self.fault: Fault | None = None
        self.tables: list[dict[str, Any]] = []
        self.told: list[Issue] = []

    def serve(self, table: bytes, document: bytes) -> tuple[Outcome, Sequence[Issue]]:
        self.is_asked.set()
        assert self.may_serve.wait(60)
        if self.fault is None:
            self.tables.append(json.loads(table))
            assert json.loads(document)["_format_version"] == "3.0"
        return Outcome("0" * 32, self.fault), self.told

    def issues(self) -> Sequence[Issue]:
        return self.told

    def settings(self) -> Mapping[str, Any]:
        return {}

    def status(self, unit: str, scale: str) -> tuple[int, Mapping[str, Any]]:
        return 200, {"unit": unit, "scale": scale}

    def metrics(self) -> tuple[bytes, str]:
        return b"", "text/plain"

    def workers(self) -> int:
        return 1

    def targets(self, _upstream: str) -> list[dict[str, Any]]:
        return []

    def kept_answer(self, _key: str) -> Mapping[str, Any] | None:
        return None

    def forget_answers(self, _key: str | None) -> int:
        return 0

    def set_health(self, _upstream: str, _target: str, _address: str | None, *, is_healthy: bool) -> bool:
        return is_healthy


@pytest.fixture
def node() -> SlowNode:
    return SlowNode()


@pytest.fixture
def app(node: SlowNode) -> Iterator[DblessApp]:
    made = DblessApp(node, DeclaredEntities({}), Admission(), body_bytes_max=10_000)
    yield made
    node.may_serve.set()
    made.close()


async def post(app: DblessApp, document: Any, query: str = "") -> Answer:
    headers = ((b"content-type", b"application/json"), (b"host", b"localhost"))
    return await app.answer(Request("POST", "/config", Query(query.encode()), headers, json.dumps(document).encode()))


async def names(app: DblessApp) -> list[str]:
    answer = await app.answer(Request("GET", "/services", Query(b""), ((b"host", b"localhost"),)))
    return [row["name"] for row in json.loads(answer.body)["data"]]


def service(name: str) -> dict[str, Any]:
    return {"_format_version": "3.0", "services": [{"name": name, "host": "h.test"}]}


async def test_while_one_is_taken_another_is_told_to_come_again(app: DblessApp, node: SlowNode) -> None:
    node.may_serve.clear()
    first = asyncio.create_task(post(app, service("first")))
    assert await asyncio.to_thread(node.is_asked.wait, 60)
    second = await post(app, service("second"))
    assert (second.status, dict(second.headers)[b"retry-after"]) == (429, b"1")
    assert json.loads(second.body) == {"message": "Currently loading previous configuration"}
    assert await names(app) == [], "what is not served yet is not shown"
    node.may_serve.set()
    assert (await first).status == 201
    assert await names(app) == ["first"]
    assert (await post(app, service("third"))).status == 201


async def test_what_the_core_refuses_changes_nothing_and_is_told(app: DblessApp, node: SlowNode) -> None:
    assert (await post(app, service("good"))).status == 201
    error = {"type": "field", "field": "paths", "message": "looks behind itself"}
    flat = {"entity_type": "route", "entity_id": NOBODY, "errors": [error]}
    node.fault = Fault(FAULT_PARSE, "core", "0" * 32, "refused", flattened_errors=[flat])
    nested = await post(app, service("bad"))
    assert nested.status == 400
    assert json.loads(nested.body)["fields"] == {"routes": {NOBODY: ["paths: looks behind itself"]}}
    flattened = json.loads((await post(app, service("bad"), "flatten_errors=1")).body)
    assert (flattened["code"], flattened["fields"], flattened["flattened_errors"]) == (14, {}, [flat])
    assert await names(app) == ["good"]
    assert len(node.tables) == 1


async def test_a_node_that_is_about_to_stop_takes_no_more(app: DblessApp, node: SlowNode) -> None:
    node.is_stopping = True
    assert (await post(app, service("late"))).status == 503
    assert node.tables == []


async def test_a_body_beyond_the_limit_is_refused(app: DblessApp, node: SlowNode) -> None:
    assert (await post(app, service("x" * 20_000))).status == 413
    assert node.tables == []


async def test_warnings_are_plain_and_bounded(app: DblessApp, node: SlowNode) -> None:
    node.told = [Issue("plugin_unavailable", 'an "odd"\r\nX-Header: ü' + "y" * 1_000, "p")] * 30
    answer = await post(app, service("s"))
    warnings = [value for name, value in answer.headers if name == b"warning"]
    assert len(warnings) == 10
    assert all(
        len(value) < 400 and value.isascii() and value.count(b'"') == 2 and b"\n" not in value for value in warnings
    )
    assert dict(answer.headers)[b"x-twinplane-issues"] == b"30"


async def test_a_configuration_from_elsewhere_is_shown_once_it_is_served(app: DblessApp, node: SlowNode) -> None:
    body = {"config": json.dumps(service("posted"))}
    assert (await post(app, body)).status == 201
    assert (await post(app, body, "check_hash=1")).status == 304
    refusal = Outcome("0" * 32, Fault(FAULT_PARSE, "core", "0" * 32, "refused"))
    assert await asyncio.to_thread(app.replacing, DeclaredEntities({}), lambda: refusal) is refusal
    assert await names(app) == ["posted"]
    await asyncio.to_thread(app.replacing, DeclaredEntities({}), lambda: Outcome("0" * 32))
    assert await names(app) == []
    # What was posted last is not what is served any more.
    assert (await post(app, body, "check_hash=1")).status == 201
    assert len(node.tables) == 2
