"""A table taken apart and changed row by row is the one that was meant, byte for byte."""

from __future__ import annotations

import json
import random

import orjson
import pytest

from twinplane.control.records import RowChange
from twinplane.control.table_text import join_table
from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.table import ConfigTable, Rows, split_rows

ORDER = ("parameters", "services", "routes")


def row(number: int, text: str = "") -> bytes:
    return orjson.dumps({"host": f"{text}\n],[{{", "id": f"{number:08d}", "nested": {"id": "x"}})


def made(content: dict[str, dict[str, bytes]]) -> ConfigTable:
    """A table of its own from ids and rows."""
    return ConfigTable(
        {
            name: Rows(sorted(content[name]), [content[name][one] for one in sorted(content[name])])
            for name in ORDER
            if content.get(name)
        }
    )


def test_text_has_one_row_on_each_line_and_is_json() -> None:
    table = made({"services": {"00000001": row(1), "00000002": row(2)}, "routes": {"00000003": row(3)}})
    assert table.text().count(b"\n") == 2 * 2 + 3
    document = json.loads(table.text())
    assert list(document) == ["_format_version", "_transform", "services", "routes"]
    assert [one["id"] for one in document["services"]] == ["00000001", "00000002"]


def test_what_was_joined_splits_into_the_same() -> None:
    table = made({"parameters": {"cluster_id": b'{"key":"cluster_id"}'}, "routes": {"00000003": row(3)}})
    again = split_rows(table.text())
    assert again is not None
    assert (again.text(), again.digest) == (table.text(), table.digest)
    assert list(again.collections) == ["parameters", "routes"]


def test_an_empty_table_splits_too() -> None:
    again = split_rows(join_table(()))
    assert again is not None
    assert again.collections == {}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"_format_version":"3.0","_transform":false,"services":[{"id":"1"}]}',
        b'{"_format_version":"3.0","_transform":false\n,"services":[\n{"id":"1"}\n]',
        b'{"_format_version":"3.0","_transform":false\n,"services":[\n{"id":"1"}\n]}}',
        b'{"_format_version":"3.0","_transform":false\n,"services":[\n{"id":"1"}\n}',
    ],
)
def test_text_of_another_form_is_not_split(text: bytes) -> None:
    assert split_rows(text) is None


@pytest.mark.parametrize("one", [b"{}", b'{"id":1}', b"[]", b"{", b""])
def test_a_row_without_id_is_refused(one: bytes) -> None:
    with pytest.raises(FrameInvalid):
        split_rows(join_table([("services", [one])]))


@pytest.mark.parametrize("seed", range(40))
def test_splicing_equals_making_anew(seed: int) -> None:
    chooser = random.Random(seed)
    content: dict[str, dict[str, bytes]] = {name: {} for name in ORDER}
    table = made(content)
    for step in range(12):
        operations = []
        for _ in range(chooser.choice([0, 1, 3, 40, 400])):
            name, number = chooser.choice(ORDER), chooser.randrange(300)
            row_id = f"{number:08d}"
            if chooser.random() < 0.4:
                operations.append(RowChange(name, row_id, None))
                content[name].pop(row_id, None)
            else:
                content[name][row_id] = row(number, str(step))
                operations.append(RowChange(name, row_id, content[name][row_id]))
        before = table.text(), table.digest
        spliced = table.spliced(operations, ORDER)
        assert (table.text(), table.digest) == before
        table = spliced
        assert (table.text(), table.digest) == (made(content).text(), made(content).digest)


def test_the_digest_tells_collections_and_rows_apart() -> None:
    one = made({"services": {"00000001": row(1)}})
    assert one.digest != made({"routes": {"00000001": row(1)}}).digest
    assert one.digest != made({"services": {"00000001": row(1, "x")}}).digest
    assert len(made({}).digest) == 64
