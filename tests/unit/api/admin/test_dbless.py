"""Parts of the Admin API of a node without control plane: violations as text, and who is let in."""

from __future__ import annotations

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
        (Admission(is_open=True), {"host": "kong.svc"}, None),
        (Admission(is_open=True), {"host": "kong.svc", "origin": "https://evil.test"}, 403),
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


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Admission(token=TOKEN))
