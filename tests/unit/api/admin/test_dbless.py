"""Parts of the Admin API of a node without control plane: violations as text, and who is let in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from twinplane.api.admin.dbless.guard import Admission, Guard
from twinplane.api.admin.dbless.lua_text import lua_text
from twinplane.api.core.message import Query, Request

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "{}"),
        ({"b": "x", "a": 'say "hi"'}, '{a="say \\"hi\\"",b="x"}'),
        ({"key-sets": "unknown field"}, '{["key-sets"]="unknown field"}'),
        ({"s": [{"host": "h"}]}, '{s={{host="h"}}}'),
        ({"s": [None, "a", None, "b"]}, '{s={[2]="a",[4]="b"}}'),
        ({"s": ["a", None, "b"]}, '{s={"a",[3]="b"}}'),
        ({"n": True, "i": 1}, "{i=1,n=true}"),
    ],
)
def test_violations_stand_on_one_line(tree: dict[str, object], text: str) -> None:
    assert lua_text(tree) == text


def test_a_long_text_is_cut() -> None:
    assert len(lua_text({"x": "y" * 1_000_000})) < 70_000


def asked(**headers: str) -> Request:
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Request("GET", "/", Query(b""), fields)


@pytest.mark.parametrize(
    ("admission", "headers", "status"),
    [
        (Admission(), {"host": "localhost:8001"}, None),
        (Admission(), {"host": "[::1]:8001"}, None),
        (Admission(), {"host": "evil.test"}, 403),
        (Admission(), {"host": "localhost", "origin": "https://evil.test"}, 403),
        (Admission(("https://good.test",)), {"host": "localhost", "origin": "https://good.test"}, None),
        (Admission(hosts=("kong.svc",)), {"host": "kong.svc:8001"}, None),
        (Admission(), {"host": "10.0.0.1:8001"}, 403),
        (Admission(is_open=True), {"host": "10.0.0.1:8001"}, None),
        (Admission(is_open=True), {"host": "[2001:db8::1]:8001"}, None),
        (Admission(is_open=True), {"host": "10.0.0.1:8001", "origin": "http://10.0.0.1:8001"}, None),
        (Admission(is_open=True), {"host": "10.0.0.1:8001", "origin": "http://evil.test"}, 403),
        (Admission(is_open=True), {"host": "kong.svc"}, 403),
        (Admission(is_open=True), {"host": "evil.test:8001", "origin": "http://evil.test:8001"}, 403),
        (Admission(("*",), is_open=True), {"host": "evil.test:8001", "origin": "http://evil.test:8001"}, 403),
        (Admission(is_open=True, hosts=("Kong.svc",)), {"host": "KONG.svc.:8001"}, None),
        (Admission(is_open=True, hosts=("kong.svc",)), {"host": "kong.svc", "origin": "http://kong.svc"}, None),
        (Admission(is_open=True, hosts=("kong.svc",)), {"host": "kong.svc", "origin": "https://evil.test"}, 403),
        (Admission(is_open=True, hosts=("kong.svc",)), {"host": "evil.kong.svc"}, 403),
        (Admission(token=TOKEN), {"host": "evil.test", "origin": "http://evil.test", "kong_admin_token": TOKEN}, 403),
        (Admission(token=TOKEN), {"host": "kong.svc"}, 401),
        (Admission(token=TOKEN), {"host": "kong.svc", "kong_admin_token": TOKEN}, None),
        (Admission(token=TOKEN), {"host": "kong.svc", "kong_admin_token": TOKEN + "x"}, 401),
        (Admission(token=TOKEN), {"host": "kong.svc", "authorization": f"bearer {TOKEN}"}, None),
        (Admission(token=TOKEN), {"host": "kong.svc", "authorization": f"Basic {TOKEN}"}, 401),
    ],
)
def test_who_is_let_in(admission: Admission, headers: dict[str, str], status: int | None) -> None:
    refusal = Guard(admission).refuse(asked(**headers))
    assert (None if refusal is None else refusal.status) == status


PAGE = "http://ui.test"
WITH_PAGE = Admission((PAGE,), TOKEN)


def preflight(**headers: str) -> Request:
    asking = {"host": "kong.svc", "access_control_request_method": "POST", **headers}
    return replace(asked(**asking), method="OPTIONS")


def test_a_browser_asks_without_the_token_what_a_listed_page_may_send() -> None:
    question = preflight(origin=PAGE, access_control_request_headers="kong-admin-token")
    guard = Guard(WITH_PAGE)
    assert guard.refuse(question) is None
    assert dict(guard.preflight(question, "GET"))[b"access-control-allow-headers"] == b"kong-admin-token"


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (preflight(origin="http://evil.test"), 403),
        (preflight(), 401),
        (preflight(origin=PAGE, content_length="9"), 401),
        (preflight(origin=PAGE, transfer_encoding="chunked"), 401),
        (replace(preflight(origin=PAGE), method="GET"), 401),
        (replace(asked(host="kong.svc", origin=PAGE), method="OPTIONS"), 401),
    ],
)
def test_other_questions_need_the_token(question: Request, status: int) -> None:
    refusal = Guard(WITH_PAGE).refuse(question)
    assert refusal is not None
    assert refusal.status == status


def test_a_listed_page_can_read_why_it_was_refused() -> None:
    refusal = Guard(WITH_PAGE).refuse(asked(host="kong.svc", origin=PAGE, kong_admin_token="wrong"))
    assert refusal is not None
    assert dict(refusal.headers)[b"access-control-allow-origin"] == PAGE.encode()
    foreign = Guard(WITH_PAGE).refuse(asked(host="kong.svc", origin="http://evil.test"))
    assert foreign is not None
    assert b"access-control-allow-origin" not in dict(foreign.headers)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Admission(token=TOKEN))
