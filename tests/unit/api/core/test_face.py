"""One request through a dispatcher: methods, limits, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from twinplane.api.core.dispatch import Dispatcher
from twinplane.api.core.face import EntityFace, Served
from twinplane.api.core.message import Answer, Call, Query, Request, Site, json_answer
from twinplane.api.core.workers import Workers, WorkersBusy
from twinplane.control import Actor, Scope

SITE = Site(Scope("o", "c"), Actor("user", "u", "u"))
LIMIT = 100


@pytest.fixture
async def face() -> AsyncIterator[EntityFace]:
    dispatcher = Dispatcher()

    def echo(call: Call, keys: tuple[str, ...]) -> Answer:
        return json_answer(200, {"keys": keys, "length": len(call.request.body)})

    def fail(_call: Call, _keys: tuple[str, ...]) -> Answer:
        raise ValueError("ours")

    dispatcher.add("/echo/{key}", {"GET": echo, "POST": echo})
    dispatcher.add("/fail", {"GET": fail})
    workers = Workers(threads=1, waiting_max=0)
    yield EntityFace(dispatcher, workers, body_bytes_max=LIMIT)
    workers.close()


async def serve(face: EntityFace, method: str, path: str, *parts: bytes, length: int | None = None) -> Served:
    headers = () if length is None else ((b"content-length", str(length).encode()),)
    events: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return events.pop(0) if events else {"type": "http.disconnect"}

    return await face.serve(Request(method, path, Query(b""), headers), path, receive, SITE)


async def test_handler_gets_keys_and_whole_body(face: EntityFace) -> None:
    served = await serve(face, "POST", "/echo/a%2Fb", b"x" * 60, b"y" * 40)
    assert served.answer.body == b'{"keys":["a/b"],"length":100}'


async def test_body_over_the_limit_is_refused_declared_or_not(face: EntityFace) -> None:
    for served in (
        await serve(face, "POST", "/echo/a", length=LIMIT + 1),
        await serve(face, "POST", "/echo/a", length=10**30),
        await serve(face, "POST", "/echo/a", b"x" * 60, b"y" * 41),
    ):
        assert served.answer.status == 413
        assert served.answer.closes


async def test_methods_and_paths(face: EntityFace) -> None:
    assert (await serve(face, "DELETE", "/echo/a")).answer.status == 405
    assert (await serve(face, "GET", "/nosuch")).answer.status == 404
    assert (await serve(face, "TRACE", "/echo/a")).answer.status == 405
    assert (await serve(face, "GET", "/echo/%zz")).answer.status == 400
    options = await serve(face, "OPTIONS", "/echo/a")
    assert options.answer.status == 204
    assert options.allow == "GET, HEAD, OPTIONS, POST"


async def test_failure_of_ours_is_told_without_detail(face: EntityFace) -> None:
    served = await serve(face, "GET", "/fail")
    assert served.answer.status == 500
    assert served.answer.body == b'{"message":"An unexpected error occurred"}'


async def test_client_that_leaves_is_answered_to_nobody(face: EntityFace) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    served = await face.serve(Request("POST", "/echo/a", Query(b""), ()), "/echo/a", gone, SITE)
    assert served.answer.body == b""


async def test_more_calls_than_may_wait_are_refused() -> None:
    workers = Workers(threads=1, waiting_max=0)
    first = workers.run(lambda: 1)
    assert await first == 1
    workers._taken = 1
    with pytest.raises(WorkersBusy):
        await workers.run(lambda: 2)
    assert workers.refused_total == 1
    workers.close()
