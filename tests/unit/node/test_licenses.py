"""Licences are cut out of a table before the core sees it, wherever they stand and whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from twinplane.node.licenses import split_licenses

TEXT = '{"license":{"version":1,"payload":{"note":",\\"licenses\\":[1]}"}}}'
ROW = {"id": "1", "payload": TEXT}
SERVICE = {"id": "2", "name": 's,"licenses":[]}'}


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ({"services": [SERVICE], "licenses": [ROW]}, [TEXT]),
        ({"licenses": [ROW, ROW], "services": [SERVICE]}, [TEXT, TEXT]),
        ({"licenses": [ROW]}, [TEXT]),
        ({"services": [SERVICE]}, []),
        ({"plugins": [{"config": {"a": 1, "licenses": [ROW]}}], "licenses": [ROW]}, [TEXT]),
        ({"plugins": [{"config": {"a": 1, "licenses": [ROW]}}]}, []),
        ({"services": [], "licenses": [7, {"payload": 7}, {}]}, []),
        ({"services": [], "licenses": "none"}, []),
    ],
)
@pytest.mark.parametrize("compact", [True, False])
def test_what_is_left_is_the_table_without_them(table: dict[str, Any], texts: list[str], compact: bool) -> None:
    written = json.dumps(table, separators=(",", ":") if compact else (", ", " : ")).encode()
    left, found = split_licenses(written)
    assert json.loads(left) == {name: rows for name, rows in table.items() if name != "licenses"}
    assert list(found) == texts


def test_what_is_no_table_is_handed_back() -> None:
    for text in (b"", b'{"licenses":', b'["licenses":[]]', b'{"a":1,"licenses":[}'):
        assert split_licenses(text) == (text, ())
