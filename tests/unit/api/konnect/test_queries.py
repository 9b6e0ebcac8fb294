"""Arguments of Konnect's lists."""

from __future__ import annotations

import pytest

from twinplane.api.core.message import Query
from twinplane.api.konnect.errors import Problem
from twinplane.api.konnect.queries import cursor_page, read_filters, read_number_page


def query(text: str) -> Query:
    return Query(text.encode())


def test_pages_by_number_have_defaults_and_bounds() -> None:
    assert read_number_page(query("")) == (1, 10)
    assert read_number_page(query("page%5Bnumber%5D=3&page[size]=1000")) == (3, 1000)
    for text in ("page[number]=0", "page[size]=1001", "page[size]=x", "page[number]=-1", "page[size]=99999999999"):
        with pytest.raises(Problem) as caught:
            read_number_page(query(text))
        assert caught.value.status == 400
        assert caught.value.invalid[0].source == "query"


def test_filters_name_field_and_operator() -> None:
    text = "filter[name][eq]=a&filter[cluster_type][oeq]=X,Y&filter[cloud_gateway]=true&filter[id][eq]=&other=1"
    assert read_filters(query(text)) == {
        "name": {"eq": "a"},
        "cluster_type": {"oeq": "X,Y"},
        "cloud_gateway": {"eq": "true"},
    }


def test_cursor_walks_through_all_and_ends() -> None:
    rows = [1, 2, 3, 4, 5]
    ids = [f"id-{row}" for row in rows]
    seen: list[int] = []
    text = "page[size]=2"
    for _ in range(3):
        part, page = cursor_page(rows, ids, query(text), path="/nodes")
        seen += part
        assert page["total_count"] == 5
        text = page.get("next", "").partition("?")[2]
    assert seen == rows
    assert text == ""


def test_cursor_of_another_origin_is_refused() -> None:
    with pytest.raises(Problem):
        cursor_page([], [], query("page[after]=%FF"), path="/nodes")
    assert cursor_page([], [], query("page[after]="), path="/nodes")[0] == []
