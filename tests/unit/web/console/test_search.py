"""Finding in a list: the text and the tags that were typed both hold, and the number is of what was found."""

from __future__ import annotations

import re
from typing import Any

from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor, Operation
from twinplane.web.console.entities.page import PAGE_SIZE

ACTOR = Actor("user", "tester", "tester")
SERVICES = (("orders-a", ["x"]), ("orders-b", ["x", "y"]), ("orders-c", []), ("stock", ["x", "y"]))


def _make(rig: Rig, named: Any) -> None:
    scope = rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope
    bodies = [{"name": name, "host": "h.example", "tags": tags} for name, tags in named]
    rig.control.changes.apply(scope, ACTOR, [Operation("create", "services", body=body) for body in bodies])


def _found(page: str) -> tuple[set[str], str]:
    """The names in a list, and what stands below it."""
    names = set(re.findall(r'<td class="name"><a href="[^"]*">([^<]*)</a>', page))
    said = re.search(r'<span class="actions">(?:<span>([^<]*)</span>)?', page)
    return names, (said[1] or "") if said else ""


async def test_text_and_tags_both_hold_and_what_is_found_is_counted(rig: Rig, signed_in: Browser) -> None:
    _make(rig, SERVICES)
    path = f"{rig.plane_path}/entities/services"
    for query, names, said in (
        ({}, {"orders-a", "orders-b", "orders-c", "stock"}, "4 services"),
        ({"q": "ORDERS"}, {"orders-a", "orders-b", "orders-c"}, "3 services found"),
        ({"tags": "x,y"}, {"orders-b", "stock"}, "2 services found"),
        ({"q": "orders", "tags": "x"}, {"orders-a", "orders-b"}, "2 services found"),
        ({"q": "orders", "tags": "x,y"}, {"orders-b"}, "1 service found"),
        ({"q": "orders", "tags": "y/x"}, {"orders-a", "orders-b"}, "2 services found"),
        ({"q": "orders", "tags": "z"}, set(), ""),
    ):
        assert _found((await signed_in.get(path, params=query)).text) == (names, said), query
    wrong = await signed_in.get(path, params={"q": "orders", "tags": "x,y/z"})
    assert "This search is not possible" in wrong.text


async def test_no_number_is_told_of_a_search_that_goes_on(rig: Rig, signed_in: Browser) -> None:
    _make(rig, [(f"orders-{place}", ["x"]) for place in range(PAGE_SIZE + 3)])
    path = f"{rig.plane_path}/entities/services"
    assert _found((await signed_in.get(path)).text)[1] == f"{PAGE_SIZE + 3} services"
    page = (await signed_in.get(path, params={"q": "orders", "tags": "x"})).text
    names, said = _found(page)
    assert (len(names), said) == (PAGE_SIZE, "")
    following = re.search(r'href="([^"]*)">Next page', page)
    assert following
    rest, said = _found((await signed_in.get(following[1].replace("&amp;", "&"))).text)
    assert (len(rest), said) == (3, "")
    assert not rest & names
